"""The entry point of `spark`: the list of commands, and what becomes of errors.

This module imports Typer and the standard library only, so that `spark --help` is quick; a command's own module is
imported when the command is used.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import typer

from spark_jobs.cli.grouped import GroupedCommand, GroupedGroup


class Entry(NamedTuple):
    """Where a command is defined: a function, or a `typer.Typer` that groups several. `words` ends the flags."""

    target: str
    help: str
    panel: str
    words: bool = False


JOBS, RUNNING, SERVER = "Jobs", "Jobs under way", "Server"

COMMANDS: dict[str, Entry] = {
    "run": Entry("run:run", "Run a container, show its output, end with its exit code.", JOBS, words=True),
    "submit": Entry("run:submit", "Submit a job and print its id.", JOBS, words=True),
    "list": Entry("jobs:list_jobs", "List jobs, newest first.", JOBS),
    "get": Entry("jobs:get", "Show jobs, one line each, or whole with -o.", JOBS),
    "describe": Entry("jobs:describe", "Tell all about one job.", JOBS),
    "logs": Entry("logs:logs", "Print the log of a job.", JOBS),
    "grep": Entry("grep:grep", "Search the logs of all jobs.", JOBS),
    "wait": Entry("wait:wait", "Wait until jobs are over.", RUNNING),
    "cancel": Entry("change:cancel", "Cancel jobs.", RUNNING),
    "retry": Entry("change:retry", "Submit jobs that are over once more.", RUNNING),
    "delete": Entry("change:delete", "Forget jobs that are over, with their logs.", RUNNING),
    "queue": Entry("queue:queue", "Show, pause, resume or drain the queue.", RUNNING),
    "server": Entry("serve:server", "Run the server.", SERVER),
    "dev": Entry("serve:dev", "Run a server that runs jobs as processes of this machine.", SERVER),
    "doctor": Entry("serve:doctor", "Check the cluster, the permissions and the settings of a server.", SERVER),
    "config": Entry("serve:config", "Show the settings of a server and where they come from.", SERVER),
    "version": Entry("version:version", "Print the version.", SERVER),
}


ORIGINAL = "original"
OWN_FLAGS = ("--help", "-h", "--version", "--install-completion", "--show-completion", "--")


class LazyCommand(GroupedCommand):
    """Stands for a command in the list; turns into the real one when it is used."""

    def __init__(self, name: str, entry: Entry, *, hidden: bool = False) -> None:
        super().__init__(
            name,
            hidden=hidden,
            help=entry.help,
            rich_help_panel=entry.panel,
            add_help_option=False,
            # Words are taken as they are until the real command parses them.
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        )
        self._entry = entry

    # Typer carries its own copy of Click, whose types are not public: hence `Any`.
    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context of the real command."""
        module, _, attribute = self._entry.target.partition(":")
        target = getattr(importlib.import_module(f"spark_jobs.cli.{module}"), attribute)
        if not isinstance(target, typer.Typer):
            function, target = target, typer.Typer(add_completion=False)
            settings = {"allow_interspersed_args": not self._entry.words}
            target.command(self.name, cls=GroupedCommand, help=function.__doc__, context_settings=settings)(function)
        return typer.main.get_command(target).make_context(info_name, args, parent=parent, **extra)


class LazyGroup(GroupedGroup):
    """All commands of `spark`, none of them imported."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands.update({name: LazyCommand(name, entry) for name, entry in COMMANDS.items()})
        original = Entry("original:original", "What the first Spark did.", JOBS)
        self.commands[ORIGINAL] = LazyCommand(ORIGINAL, original, hidden=True)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find the command; flags that are none of ours, in place of a command, are those of the first Spark."""
        for arg in args:
            if not _is_text(arg):
                raise typer.BadParameter(f"{arg!a} is not UTF-8 text, and nothing but that can be passed on")
        if args and args[0].startswith("-") and args[0] not in OWN_FLAGS:
            args = [ORIGINAL, "--", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=LazyGroup,
    name="spark",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        importlib.import_module("spark_jobs.cli.version").version()
        raise typer.Exit


@app.callback()
def spark(
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True, callback=_version),
) -> None:
    """Run containers as Kubernetes Jobs and keep track of them.

    Begin with `spark dev` in one terminal and `spark run --image busybox:1 -- echo Hello` in another.

    The flags of the first Spark work without a command: `spark --mode rest --image busybox:1 --cmd "echo Hello"`.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; always ends with SystemExit."""
    sys.stdout, sys.stderr = sys.stdout or _nothing(), sys.stderr or _nothing()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal can't show is no reason to fail
    try:
        code = typer.main.get_command(app).main(args=args, prog_name="spark", standalone_mode=False)
    except typer.TyperException as error:
        code = _usage(error)
    except typer.Abort:
        code = 130
    except Exception as error:
        if os.environ.get("SPARK_TRACEBACK"):
            raise
        code = importlib.import_module("spark_jobs.cli.failures").report(error)
    sys.exit(code if isinstance(code, int) else 0)


def _nothing() -> TextIO:
    """Stands for a stream that the caller closed (`>&-`), which is None: what is printed to that goes to the other one."""
    return Path(os.devnull).open("w")


def _is_text(arg: str) -> bool:
    """Whether it was given as UTF-8: Python keeps other bytes as halves of surrogate pairs."""
    try:
        arg.encode()
    except UnicodeEncodeError:
        return False
    return True


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return 0
    path = context.command_path if context is not None else "spark"
    print(f"spark: {error.format_message()}", file=sys.stderr)
    print(f"spark: see `{path} --help`", file=sys.stderr)
    return error.exit_code
