"""`spark run` and `spark submit`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spark_jobs.api.checks import LARGEST_BATCH
from spark_jobs.cli.attend import Attendance, OnInterrupt
from spark_jobs.cli.connection import CONNECTION_FLAGS, Connection
from spark_jobs.cli.failures import UsageError
from spark_jobs.cli.flags import Flag, with_parameters, words_parameter
from spark_jobs.cli.options import CONNECTION
from spark_jobs.cli.output import job_json
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import seconds, with_client
from spark_jobs.cli.spec import SPEC_FLAGS, overridden, spec_from_flags
from spark_jobs.cli.standalone import STANDALONE_FLAGS, standalone
from spark_jobs.cli.submitting import PATIENCE_FLAGS, Patience, print_ids, submit_all, submit_one
from spark_jobs.client import Client
from spark_jobs.domain.errors import Fault, InvalidSpec

_FILE = Flag(
    "file",
    ("--file", "-f"),
    Path,
    "A job file: YAML, JSON or JSON lines; - is stdin; flags override it.",
    metavar="FILE",
)
_QUIET = Flag("quiet", ("--quiet", "-q"), bool, "Say nothing on stderr but errors.", default=False)
_RUN_ONLY = (
    Flag("detach", ("--detach", "-d"), bool, "Print the id and leave the job alone.", default=False),
    Flag("result", ("--result",), Path, "Write the job as JSON to this file when it is over.", metavar="FILE"),
    Flag(
        "on_interrupt",
        ("--on-interrupt",),
        OnInterrupt,
        "What Ctrl-C, SIGTERM and SIGHUP do (default: detach; cancel with --standalone).",
    ),
    Flag(
        "reconnect_timeout",
        ("--reconnect-timeout",),
        str,
        "How long to go on while the server is away.",
        CONNECTION,
        default="5m",
        metavar="DURATION",
    ),
)


def _command(function: Callable[..., None], *more: Flag) -> Callable[..., None]:
    words = words_parameter("words", "The command and its arguments; the first word that is no flag ends the flags.")
    return with_parameters(function, [_FILE, _QUIET, *more, *SPEC_FLAGS, *PATIENCE_FLAGS, *CONNECTION_FLAGS], words)


def _run(**flags: Any) -> None:
    """Run a container, show its output on stdout, and end with its exit code.

    spark run --image busybox:1 -- sh -c 'echo Hello; exit 3'
    """
    patience = Patience.taken_from(flags)
    specs, _ = _specs(flags)
    if len(specs) > 1:
        raise UsageError(f"-f {flags['file']} holds {len(specs)} jobs; `spark run` runs one, `spark submit` takes many")
    result: Path | None = flags["result"]
    if result is not None and not result.absolute().parent.is_dir():
        raise UsageError(f"--result {result}: there is no folder {result.parent}")
    reconnect = seconds("--reconnect-timeout", flags["reconnect_timeout"])
    alone = standalone(flags, specs[0])
    on_interrupt = flags["on_interrupt"] or (OnInterrupt.CANCEL if alone else OnInterrupt.DETACH)

    async def work(client: Client) -> int:
        screen = Screen(quiet=flags["quiet"])
        submission = await submit_one(client, specs[0], patience, screen)
        if flags["detach"]:
            return print_ids([submission])
        attendance = Attendance(
            client,
            submission.job.id,
            screen,
            on_interrupt=on_interrupt,
            reconnect_timeout=reconnect,
        )
        code = await attendance.run()
        if result is not None and attendance.job is not None:
            _write(result, job_json(attendance.job))
        return code

    with_client(alone or Connection.taken_from(flags), work)


def _submit(**flags: Any) -> None:
    """Submit a job and print its id on stdout; with a file that holds several, all of them or none.

    spark submit --image busybox:1 --name nightly -- sh -c 'date'
    """
    connection, patience = Connection.taken_from(flags), Patience.taken_from(flags)
    specs, lines = _specs(flags)
    file = flags["file"]
    if len(specs) > LARGEST_BATCH:
        text = f"-f {file} holds {len(specs)} jobs, and at most {LARGEST_BATCH} are submitted as one: split the file"
        raise UsageError(text)

    async def work(client: Client) -> int:
        screen = Screen(quiet=flags["quiet"])
        if len(specs) == 1:
            return print_ids([await submit_one(client, specs[0], patience, screen)])
        try:
            return print_ids(await submit_all(client, specs, patience, screen))
        except InvalidSpec as error:
            raise InvalidSpec([_placed(fault, file, lines) for fault in error.faults]) from error

    with_client(connection, work)


run = _command(_run, *_RUN_ONLY, *STANDALONE_FLAGS)
submit = _command(_submit)


def _specs(flags: dict[str, Any]) -> tuple[list[dict[str, object]], list[int]]:
    """The jobs that flags and file say, and the lines where those of a file begin."""
    from_flags = spec_from_flags(flags, flags["words"] or ())
    if flags["file"] is None:
        if not from_flags:
            raise UsageError("what shall run? Name an image with --image, or a job file with -f")
        return [from_flags], []
    from spark_jobs.cli.jobfile import read_jobs

    jobs = read_jobs(flags["file"])
    return [overridden(job.plain, from_flags) for job in jobs], [job.line for job in jobs]


def _placed(fault: Fault, file: Path, lines: list[int]) -> Fault:
    """The fault of a batch, with the place in its file."""
    number = fault.pointer.removeprefix("#/jobs/").partition("/")[0]
    if not number.isdecimal() or int(number) >= len(lines):
        return fault
    return Fault(f"{file}, line {lines[int(number)]}: {fault.pointer}", fault.detail, fault.code)


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")
