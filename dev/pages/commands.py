"""The reference page of the command line, made from the commands themselves."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from dev.pages.markdown import page, table
from spark_jobs.cli import failures
from spark_jobs.cli.main import COMMANDS, app
from spark_jobs.cli.original import FLAGS, SWITCHES
from spark_jobs.config import TABLE

_INTRO = """\
`spark COMMAND --help` shows the same for one command. JOB is an id, `@latest`, or the first characters (at least four) of
the random part of an id. Durations are written `90s`, `5m`, `1h30m`, `2d`; sizes `512Mi`, `8Gi`.

The first word that is no flag ends the flags: `spark run --image busybox:1 ls -l` and `spark run --image busybox:1 -- ls -l`
are the same. No shell is added: for pipes and variables write `-- sh -c '…'`.

The server is the one that `--server` or `SPARK_SERVER` names: `http(s)://HOST:PORT` is REST, `grpc(s)://HOST:PORT` gRPC,
which needs `pip install 'spark-jobs[grpc]'`. Where neither names one it is `http://127.0.0.1:8000`, with `--mode grpc`
`grpc://127.0.0.1:9000`. Certificates are checked against those that the machine trusts, or the file that `SSL_CERT_FILE`
names.

`spark submit -f FILE` takes a file of several jobs, up to 1,000, as one: all of them are accepted or none."""

_ORIGINAL = """\
## Without a command

```text
spark --image busybox:1 --cmd "echo 'Hello World'" --timeout 60
```

The flags of the first Spark work without a command: the job is queued and its id printed. With `--wait` the log is shown
and the exit code is the container's. A flag has one dash or two, and its value after a blank or `=`.
"""

_CODES: dict[int, str] = {
    0: "done; for `run` and `wait`: the job SUCCEEDED",
    failures.REFUSED: "refused because of the state of things, or not found; for `grep`: no line was found",
    failures.USAGE: "wrong usage, an invalid spec or setting",
    failures.UNREACHABLE: "the server, or for `doctor` the cluster, can't be reached",
    failures.TRY_AGAIN: "try again: the queue is full, or `wait --timeout` is over",
    failures.NO_TOKEN: "the token is missing or refused",
    failures.TIMED_OUT: "the job is TIMED_OUT",
    failures.FAILED: "the job is FAILED and no container gave an exit code",
    failures.INTERRUPTED: "the job is CANCELLED, or Ctrl-C",
    failures.TERMINATED: "SIGTERM, or SIGHUP while a job is attended to",
}

_SETTINGS = {setting.row.group for setting in TABLE.values()}

_EXIT = """\
## Exit codes

`run`, and `wait` on one job, end with the exit code of the container. All other codes:
"""

_FOLLOWING = """\
- [Quickstart](../quickstart.md): the commands in the order in which you meet them.
- [In a CI pipeline](../guides/ci-pipeline.md): exit codes at work.
- [Settings](settings.md): the flags of `server`, `dev` and `doctor` in full."""


def commands_page() -> str:
    """The page."""
    codes = table(["Code", "Meaning"], ([str(code), text] for code, text in sorted(_CODES.items())))
    parts = [_INTRO, *_sections(), _ORIGINAL + "\n" + _original_flags(), _EXIT + "\n" + codes]
    return page("Command line", "the commands in `src/spark_jobs/cli`", parts, following=_FOLLOWING)


def _original_flags() -> str:
    names = ((f"`--{name}`", text) for name, text in {**FLAGS, **SWITCHES}.items())
    return table(["Flag", "Meaning"], map(list, names))


def _sections() -> Iterator[str]:
    told: dict[tuple[str, str], str] = {}
    for name in COMMANDS:
        yield from _section(name, _context(name), told)


# Typer carries its own copy of Click, whose types are not public: hence `Any`.
def _context(name: str) -> Any:
    """A context of the real command behind one that is only imported when it is used."""
    group: Any = typer.main.get_command(app)
    return group.commands[name].make_context(f"spark {name}", [], resilient_parsing=True)


def _section(name: str, context: Any, told: dict[tuple[str, str], str]) -> Iterator[str]:
    """The command's section, and those of its subcommands. ``told``: where each table of flags stands already."""
    command = context.command
    usage = re.sub(r"\{(.*?)\}(?:\.\.\.)?", r"\1", " ".join(["spark", name, *command.collect_usage_pieces(context)]))
    parts = [f"## spark {name}", *_help(command.help or COMMANDS[name].help), f"```text\n{usage}\n```"]
    repeated: dict[str, list[str]] = {}
    for panel, rows in _panels(command, context).items():
        where = told.setdefault((panel, rows), name) if panel else name
        if where == name:
            parts.append(f"{panel}:\n\n{rows}" if panel else rows)
        else:
            repeated.setdefault(where, []).append(panel)
    for where, panels in repeated.items():
        parts.append(f"{', '.join(panels)}: as for [`spark {where}`](#spark-{where}).")
    yield "\n\n".join(part.rstrip("\n") for part in parts)
    for child in getattr(command, "commands", {}):
        inner = command.commands[child].make_context(
            f"spark {name} {child}", [], parent=context, resilient_parsing=True
        )
        yield from _section(f"{name} {child}", inner, told)


def _help(text: str) -> list[str]:
    """The paragraphs of a command's help; a command line among them stands for itself."""
    paragraphs = text.strip().split("\n\n")
    return [f"```text\n{part}\n```" if part.startswith("spark ") else part for part in paragraphs]


def _panels(command: Any, context: Any) -> dict[str, str]:
    """The tables of flags by the title under which `--help` shows them; those of the settings are a page of their own."""
    panels: dict[str, list[list[str]]] = {}
    settings = False
    for parameter in command.get_params(context):
        panel = getattr(parameter, "rich_help_panel", None) or ""
        record = parameter.get_help_record(context)
        settings = settings or panel in _SETTINGS
        if record is not None and panel not in _SETTINGS and "--help" not in record[0]:
            panels.setdefault(panel, []).append([f"`{_plain(record[0])}`", record[1]])
    if settings:
        panels.setdefault("", []).append(
            ["all [settings](settings.md)", "Each that concerns this command is a flag of it."]
        )
    return {panel: table(["Flag", "Meaning"], rows) for panel, rows in panels.items()}


def _plain(flag: str) -> str:
    """The flag with the types that need no word left out."""
    return re.sub(r" <(list\[str\]|path|boolean)>", "", flag).replace("<str>", "TEXT").replace("<int>", "N")
