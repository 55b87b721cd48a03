"""`spark server`, `spark dev`, `spark doctor` and `spark config view`: their flags are the rows of the settings table."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import typer

from spark_jobs.cli.failures import REFUSED, UsageError
from spark_jobs.cli.flags import Flag, with_parameters
from spark_jobs.cli.grouped import GroupedCommand, GroupedGroup
from spark_jobs.cli.options import Format
from spark_jobs.cli.output import print_document, table, to_yaml
from spark_jobs.cli.text import clean
from spark_jobs.config import Setting, Settings, flags_of, load

_CONFIG = Flag("config", ("--config",), Path, "The settings file, TOML (default: SPARK_CONFIG).", metavar="FILE")
_MARKS = {True: "ok", False: "MISSING", None: "-"}


def setting_flag(setting: Setting) -> Flag:
    """The flag of a row of the settings table."""
    row = setting.row
    default = row.default_text or setting.show(setting.default)
    return Flag(
        setting.name,
        (setting.flag or "",),
        list[str] if row.kind.is_list else str,
        row.help + (f" (default: {default})" if default else ""),
        row.group,
        metavar="|".join(row.kind.choices) or row.kind.name.partition(" or ")[0].replace(" ", "-").upper(),
    )


def _command(function: Callable[..., None], name: str, *more: Flag) -> Callable[..., None]:
    return with_parameters(function, [*more, _CONFIG, *map(setting_flag, flags_of(name))])


def _settings(flags: dict[str, Any]) -> Settings:
    file = flags.pop("config")
    settings = load(flags, os.environ, file)
    for warning in settings.warnings:
        print(f"spark: {clean(warning)}", file=sys.stderr)
    return settings


def need_server(command: str) -> None:
    """Raise UsageError where the packages of the server are not installed."""
    try:
        import aiohttp  # noqa: F401 - whether it is there is the question
        import litestar  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError:
        text = f"`spark {command}` needs the server's packages: pip install 'spark-jobs[server]'"
        raise UsageError(text) from None


def _serve(settings: Settings) -> None:
    from spark_jobs.app.server import serve

    raise typer.Exit(serve(settings))


def _server(**flags: Any) -> None:
    """Run the server, until SIGTERM or Ctrl-C: jobs in the cluster then go on, and the next start finds them.

    Every flag has a name in the environment (--data-dir is SPARK_DATA_DIR) and a key in the settings file (data_dir).
    """
    settings = _settings(flags)
    need_server("server")
    _serve(settings)


def _dev(**flags: Any) -> None:
    """Run a server on this machine that needs no cluster: jobs are processes here, and their images are not used."""
    settings = _settings({**flags, "cluster": "local"})
    need_server("dev")
    if settings.origin("data_dir") == "default":
        # Jobs of a real cluster and processes of this machine do not belong in one folder.
        settings = msgspec.structs.replace(settings, data_dir=settings.data_dir.with_name("dev"))
    _serve(settings)


def _doctor(**flags: Any) -> None:
    """Check what a server with these flags would need: data folder, credentials, cluster, each permission."""
    print_rbac = flags.pop("print_rbac")
    settings = _settings(flags)
    need_server("doctor")
    from spark_jobs.app.doctor import doctor as check
    from spark_jobs.app.doctor import rbac

    if print_rbac:
        print(to_yaml(rbac(settings)))
        return
    lines = check(settings)
    for line in lines:
        print(clean(f"{_MARKS[line.ok]:<8}{line.what}" + (f": {line.detail}" if line.detail else "")))
    if any(line.ok is False for line in lines):
        raise typer.Exit(REFUSED)


def _view(**flags: Any) -> None:
    """Show each setting's value, and where it comes from; secrets are hidden."""
    output: Format = flags.pop("output")
    rows = _settings(flags).view()
    if output in {Format.JSON, Format.YAML}:
        named = [{"name": name, "value": value, "origin": origin} for name, value, origin in rows]
        print_document({"settings": named}, output)
    elif output is Format.NAME:
        print("\n".join(name for name, _, _ in rows))
    else:
        print(table([[clean(cell) for cell in row] for row in rows], header=("NAME", "VALUE", "ORIGIN")))


server = _command(_server, "server")
dev = _command(_dev, "dev")
_PRINT_RBAC = Flag(
    "print_rbac", ("--print-rbac",), bool, "Print the Kubernetes objects that grant what is needed.", default=False
)
doctor = _command(_doctor, "doctor", _PRINT_RBAC)
config = typer.Typer(cls=GroupedGroup, add_completion=False, no_args_is_help=True)
_OUTPUT = Flag("output", ("--output", "-o"), Format, "How to print.", default=Format.TABLE)
config.command("view", cls=GroupedCommand)(_command(_view, "config", _OUTPUT))


@config.callback()
def _config() -> None:
    """Show the settings of a server and where they come from."""
