"""`spark logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from spark_jobs.cli.attend import patient
from spark_jobs.cli.connection import Connection, connected
from spark_jobs.cli.options import JobReference, ReconnectTimeout
from spark_jobs.cli.outcome import log_problems
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import seconds, with_client
from spark_jobs.client import Client, LogOptions


@connected
def logs(
    job: JobReference,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job is over, through later attempts, too.")
    ] = False,
    attempt: Annotated[int | None, typer.Option("--attempt", min=1, help="Of this attempt (default: latest).")] = None,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="Only so many lines from the end.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only lines since this time, or this long ago: 10m.")
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Put each line's time before it.")] = False,
    reconnect_timeout: ReconnectTimeout = "5m",
    *,
    connection: Connection,
) -> None:
    """Print the log of a job, byte by byte as it was written; ends with 0 whatever the job did."""
    options = LogOptions(attempt=attempt, tail=tail, since=since, timestamps=timestamps)
    patience = seconds("--reconnect-timeout", reconnect_timeout)

    async def work(client: Client) -> int:
        screen = Screen()
        job_id = await client.resolve(job)
        if follow:
            async for piece in client.follow(job_id, options, contact=patient(screen, patience)):
                screen.output(piece.data)
        else:
            async for data in client.logs(job_id, options):
                screen.output(data)
        await _notes(client, job_id, screen)
        return 0

    with_client(connection, work)


async def _notes(client: Client, job_id: str, screen: Screen) -> None:
    job = await client.get(job_id)
    if not job.attempts:
        screen.note(f"{job_id} is {job.state} and has not started, so it has no log")
    for line in log_problems(job):
        screen.note(line)
