"""The reference page of all settings, made from the table."""

from __future__ import annotations

from spark_jobs.config.table import TABLE, Setting

_INTRO = """# Settings

Settings of `spark server`, `spark dev` and `spark doctor`. A flag counts before the environment, the environment before
the file, the file before the default. `spark config view` shows each value and where it comes from.

- **Durations**: `90` (seconds), `90s`, `5m`, `1h30m`, `2d`, `500ms`. **Sizes**: `512Mi`, `10GiB`, `500MB`, or bytes.
- **Lists**: repeat the flag, or separate by commas.
- **File**: TOML, named by `--config` or `SPARK_CONFIG`. Keys are the names in the tables below, and unknown ones are
  errors. Paths are relative to the file. Two tables may follow: `[job_defaults]` with fields of a job that stand in for
  those a job leaves out (maps merge), and `[job_limits]` with `namespaces`, `service_accounts`, `max_timeout`, `max_cpu`
  and `max_memory`.
- **Environment**: a `SPARK_*` value that begins with `tcp://` comes from a Kubernetes Service named `spark` and counts as
  unset. Empty values count as unset, except `KUBECONFIG_PATH`: empty means the pod's own account.

```toml
max_concurrent_jobs = 20
retain_logs = "14d"
namespace = ["jobs", "experiments"]

[job_defaults]
memory = "1Gi"
labels = { team = "data" }

[job_limits]
max_timeout = "12h"
max_memory = "64Gi"
```
"""


def reference() -> str:
    """The page, in Markdown."""
    groups: dict[str, list[Setting]] = {}
    for setting in TABLE.values():
        groups.setdefault(setting.row.group, []).append(setting)
    parts = [_INTRO]
    for group, settings in groups.items():
        parts.append(f"\n## {group}\n\n| Name | Flag | Environment | Value | Default | |\n|---|---|---|---|---|---|\n")
        parts += [_line(setting) for setting in settings]
    return "".join(parts)


def _line(setting: Setting) -> str:
    row = setting.row
    shown = setting.show(setting.default) if row.default_text is None else ""
    default = row.default_text or (f"`{shown}`" if shown else "none")
    flag = f"`{setting.flag}`" if setting.flag else "never"
    names = ", ".join(f"`{name}`" for name in setting.environment)
    return f"| `{setting.name}` | {flag} | {names} | {row.kind.name} | {default} | {row.help} |\n"
