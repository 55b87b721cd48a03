"""`spark logs`."""

from __future__ import annotations

import enum
from typing import Annotated

import typer
from msgspec import structs

from spark_jobs.api.query import BOUNDS, LARGEST
from spark_jobs.cli.attend import patient
from spark_jobs.cli.connection import Connection, connected
from spark_jobs.cli.failures import UsageError
from spark_jobs.cli.options import JobReference, ReconnectTimeout
from spark_jobs.cli.outcome import log_problems
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import seconds, with_client
from spark_jobs.client import Client, Contact, LogOptions


class Shown(enum.StrEnum):
    """How a log is printed."""

    TEXT = "text"
    JSON = "json"


@connected
def logs(
    job: JobReference,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            "-f",
            help="Go on until the job is over, through all attempts (with --tail: from the latest on).",
        ),
    ] = False,
    attempt: Annotated[
        int | None,
        typer.Option("--attempt", min=1, max=BOUNDS["attempt"][1], help="Of this attempt (default: latest)."),
    ] = None,
    all_attempts: Annotated[
        bool,
        typer.Option("--all-attempts", help="Of all attempts, one after the other; --tail and --since are of each."),
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, max=LARGEST, help="Only so many lines from the end.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only lines since this time, or this long ago: 10m.")
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Put each line's time before it.")] = False,
    output: Annotated[
        Shown, typer.Option("--output", "-o", help="How to print: json is one object for each line, with its time.")
    ] = Shown.TEXT,
    reconnect_timeout: ReconnectTimeout = "5m",
    *,
    connection: Connection,
) -> None:
    """Print the log of a job, byte by byte as it was written; ends with 0 whatever the job did."""
    if all_attempts and attempt is not None:
        raise UsageError("--all-attempts and --attempt contradict each other: give one of them")
    options = LogOptions(
        attempt=attempt,
        all_attempts=all_attempts,
        tail=tail,
        since=since,
        timestamps=timestamps,
        json=output is Shown.JSON,
    )
    patience = seconds("--reconnect-timeout", reconnect_timeout)

    async def work(client: Client) -> int:
        screen = Screen()
        job_id = await client.resolve(job)
        show = _follow if follow else _print
        await show(client, job_id, options, screen, patient(screen, patience))
        await _notes(client, job_id, screen)
        return 0

    with_client(connection, work)


async def _follow(client: Client, job_id: str, options: LogOptions, screen: Screen, contact: Contact) -> None:
    job = await client.get(job_id)
    if not job.attempts and not job.state.is_terminal:
        screen.note(f"{job_id} is {job.state}; its log follows when it starts")
    shown = 0 if options.all_attempts else None
    async for piece in client.follow(job_id, options, contact=contact):
        if shown not in (None, piece.attempt):
            _say_attempt(screen, piece.attempt)
        shown = piece.attempt
        screen.output(piece.data)


async def _print(client: Client, job_id: str, options: LogOptions, screen: Screen, contact: Contact) -> None:
    """What there is now, attempt by attempt, so that it can be said where one begins."""
    each = [options]
    if options.all_attempts:
        there = (await client.get(job_id)).attempts
        each = [structs.replace(options, attempt=one.attempt, all_attempts=False) for one in there]
    for one in each:
        if options.all_attempts and one.attempt is not None:
            _say_attempt(screen, one.attempt)
        async for data in client.logs(job_id, one, contact=contact):
            screen.output(data)


def _say_attempt(screen: Screen, attempt: int) -> None:
    screen.note(f"attempt {attempt}")


async def _notes(client: Client, job_id: str, screen: Screen) -> None:
    job = await client.get(job_id)
    if not job.attempts:
        screen.note(f"{job_id} is {job.state} and has not started, so it has no log")
    for line in log_problems(job):
        screen.note(line)
