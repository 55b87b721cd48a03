"""`spark run` and `spark submit`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spark_jobs.cli.attend import Attendance, OnInterrupt
from spark_jobs.cli.connection import CONNECTION_FLAGS, Connection
from spark_jobs.cli.failures import REFUSED, UsageError
from spark_jobs.cli.flags import Flag, with_parameters, words_parameter
from spark_jobs.cli.options import CONNECTION
from spark_jobs.cli.output import job_json
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import seconds, with_client
from spark_jobs.cli.spec import SPEC_FLAGS, overridden, spec_from_flags
from spark_jobs.cli.text import moment, span
from spark_jobs.client import Client, Submission
from spark_jobs.domain.errors import SparkError
from spark_jobs.domain.job import Job
from spark_jobs.domain.quantities import duration_text

_FILE = Flag(
    "file",
    ("--file", "-f"),
    Path,
    "A job file: YAML, JSON or JSON lines; - is stdin; flags override it.",
    metavar="FILE",
)
_QUIET = Flag("quiet", ("--quiet", "-q"), bool, "Say nothing on stderr but errors.", default=False)
_SHARED = (
    Flag(
        "submit_timeout",
        ("--submit-timeout",),
        str,
        "How long to repeat a submission while the server is away or the queue is full.",
        CONNECTION,
        default="30s",
        metavar="DURATION",
    ),
    *CONNECTION_FLAGS,
)
_RUN_ONLY = (
    Flag("detach", ("--detach", "-d"), bool, "Print the id and leave the job alone.", default=False),
    Flag("result", ("--result",), Path, "Write the job as JSON to this file when it is over.", metavar="FILE"),
    Flag(
        "on_interrupt",
        ("--on-interrupt",),
        OnInterrupt,
        "What Ctrl-C, SIGTERM and SIGHUP do.",
        default=OnInterrupt.DETACH,
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
    return with_parameters(function, [_FILE, _QUIET, *more, *SPEC_FLAGS, *_SHARED], words)


def _run(**flags: Any) -> None:
    """Run a container, show its output on stdout, and end with its exit code.

    spark run --image busybox:1 -- sh -c 'echo Hello; exit 3'
    """
    connection = Connection.taken_from(flags)
    specs = _specs(flags)
    if len(specs) > 1:
        raise UsageError(f"-f {flags['file']} holds {len(specs)} jobs; `spark run` runs one, `spark submit` takes many")
    result: Path | None = flags["result"]
    if result is not None and not result.absolute().parent.is_dir():
        raise UsageError(f"--result {result}: there is no folder {result.parent}")
    reconnect = seconds("--reconnect-timeout", flags["reconnect_timeout"])

    async def work(client: Client) -> int:
        screen = Screen(quiet=flags["quiet"])
        submission = await _submit(client, specs[0], flags, screen)
        if flags["detach"]:
            return _print_id(submission)
        attendance = Attendance(
            client,
            submission.job.id,
            screen,
            on_interrupt=flags["on_interrupt"],
            reconnect_timeout=reconnect,
        )
        code = await attendance.run()
        if result is not None and attendance.job is not None:
            _write(result, job_json(attendance.job))
        return code

    with_client(connection, work)


def _submit_command(**flags: Any) -> None:
    """Submit a job and print its id on stdout.

    spark submit --image busybox:1 --name nightly -- sh -c 'date'
    """
    connection = Connection.taken_from(flags)
    specs = _specs(flags)

    async def work(client: Client) -> int:
        screen = Screen(quiet=flags["quiet"])
        code = 0
        for number, spec in enumerate(specs):
            try:
                code = max(code, _print_id(await _submit(client, spec, flags, screen)))
            except SparkError:
                if len(specs) > 1:
                    screen.say(f"job {number + 1} of {len(specs)} was not accepted, and none after it was sent:")
                raise
        return code

    with_client(connection, work)


run = _command(_run, *_RUN_ONLY)
submit = _command(_submit_command)


def _specs(flags: dict[str, Any]) -> list[dict[str, object]]:
    from_flags = spec_from_flags(flags, flags["words"] or ())
    if flags["file"] is None:
        if not from_flags:
            raise UsageError("what shall run? Name an image with --image, or a job file with -f")
        return [from_flags]
    from spark_jobs.cli.jobfile import read_jobs

    return [overridden(job, from_flags) for job in read_jobs(flags["file"])]


async def _submit(client: Client, spec: dict[str, object], flags: dict[str, Any], screen: Screen) -> Submission:
    patience = seconds("--submit-timeout", flags["submit_timeout"])

    def lost(error: SparkError) -> None:
        screen.note(f"{error.message}; trying again for {span(patience)}")

    submission = await client.submit(spec, timeout=patience, on_lost=lost)
    job = submission.job
    if submission.replayed:
        screen.say(f"job {job.id} exists since {moment(job.created_at)} ({job.state}): nothing was started")
    elif spec.get("timeout") is None:
        screen.note(_time_limit(job))
    return submission


def _time_limit(job: Job) -> str:
    limit = job.spec.timeout
    if isinstance(limit, str) or limit is None:
        return "no time limit (server default)"
    return f"time limit {duration_text(limit)} (server default)"


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")


def _print_id(submission: Submission) -> int:
    sys.stdout.write(f"{submission.job.id}\n")
    sys.stdout.flush()
    return REFUSED if submission.replayed and submission.job.state.is_terminal else 0
