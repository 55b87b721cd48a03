"""`spark` with flags and no command, as the first Spark took them: `spark --image busybox:1 --cmd "echo Hello"`.

The rules for flags are those of Go: one dash or two, the value in the next word or after `=`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from spark_jobs.cli.attend import Attendance, OnInterrupt
from spark_jobs.cli.connection import Connection
from spark_jobs.cli.failures import UsageError
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import seconds, with_client
from spark_jobs.cli.submitting import Patience, print_ids, submit_one
from spark_jobs.client import Client, Mode
from spark_jobs.client.client import RECONNECT_TIMEOUT, SUBMIT_TIMEOUT
from spark_jobs.domain.nearest import nearest

DEFAULT_TIMEOUT = "30s"
EXAMPLE = """`spark --image busybox:1 --cmd "echo 'Hello World'"`"""
SWITCHES = {"wait": "stay until the job is over, show its log, and end with its exit code"}
FLAGS = {
    "mode": "rest or grpc (default: grpc)",
    "image": "the container image",
    "cmd": "the command, in one word by the rules of a shell; no shell runs it",
    "timeout": f"seconds, or a duration such as 5m (default: {DEFAULT_TIMEOUT}); 0: the server's default",
    "id": "the job's id (default: generated)",
    "grpcAddr": "the server's address for gRPC (default: localhost:9000)",
    "restAddr": "the server's address for REST (default: localhost:8000)",
}
_HELP = ("h", "help")


def original(words: Annotated[list[str], typer.Argument()]) -> None:
    """Submit a job as the first Spark's command line did, and print its id."""
    given = _parse(words)
    if any(name in given for name in _HELP):
        print(_usage())
        return
    spec, connection = _spec(given), connection_of(given)

    async def work(client: Client) -> int:
        screen = Screen()
        submission = await submit_one(client, spec, Patience(SUBMIT_TIMEOUT, for_room=False), screen)
        job_id = submission.job.id
        if "wait" not in given:
            screen.note(f"see `spark get {job_id}` and `spark logs -f {job_id}`")
            return print_ids([submission])
        attendance = Attendance(
            client, job_id, screen, on_interrupt=OnInterrupt.DETACH, reconnect_timeout=RECONNECT_TIMEOUT
        )
        return await attendance.run()

    with_client(connection, work)


def _parse(words: Sequence[str]) -> dict[str, str]:
    """The flags' values by name; the last one of a flag counts."""
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if not word.startswith("-"):
            text = (
                f"{word!r} is neither a command nor the value of a flag: the command goes into --cmd, as in {EXAMPLE}"
            )
            raise UsageError(f"{text}; flags of commands come after them, as in `spark list --mode grpc`")
        if name in FLAGS and not equals:
            following = next(rest, None)
            if following is None:
                raise UsageError(f"--{name} needs a value: {FLAGS[name]}")
            value = following
        elif name not in FLAGS and (name not in (*SWITCHES, *_HELP) or equals):
            meant = nearest(name, [*FLAGS, *SWITCHES])
            hint = f"; did you mean --{meant}?" if meant else "; see `spark --help`"
            raise UsageError(f"without a command there is no flag {word.partition('=')[0]}{hint}")
        given[name] = value
    return given


def _spec(given: dict[str, str]) -> dict[str, object]:
    missing = [f"--{name}" for name in ("image", "cmd") if not given.get(name, "").strip()]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given, as in {EXAMPLE}")
    try:
        command = shlex.split(given["cmd"])
    except ValueError as error:
        raise UsageError(f"--cmd: {str(error).lower()}: the rules are those of a shell, as in {EXAMPLE}") from None
    timeout = seconds("--timeout", given.get("timeout", DEFAULT_TIMEOUT))
    spec = {"image": given["image"], "command": command, "timeout": timeout or None, "id": given.get("id") or None}
    return {name: value for name, value in spec.items() if value is not None}


def connection_of(given: Mapping[str, str]) -> Connection:
    """The server that the flags name: over gRPC, unless something else is said. Raises UsageError."""
    try:
        mode = Mode(given["mode"]) if "mode" in given else None
    except ValueError:
        raise UsageError(f"--mode {given['mode']}: write rest or grpc") from None
    address = given.get("restAddr" if mode is Mode.REST else "grpcAddr")
    return Connection(mode or (Mode.GRPC if address else None), address, default=Mode.GRPC)


def _usage() -> str:
    flags = {**FLAGS, **SWITCHES}
    lines = [f"  --{name:<10} {text}" for name, text in flags.items()]
    return "\n".join([f"Usage: {EXAMPLE.strip('`')}", "", *lines, "", "`spark --help` shows the commands."])
