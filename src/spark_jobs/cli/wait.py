"""`spark wait`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from spark_jobs.cli.attend import patient, show_status, stop
from spark_jobs.cli.connection import Connection, connected
from spark_jobs.cli.failures import TRY_AGAIN
from spark_jobs.cli.options import JobReferences, Quiet, ReconnectTimeout
from spark_jobs.cli.outcome import exit_code_of, summary
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import seconds, with_client
from spark_jobs.client import Client
from spark_jobs.domain.job import Job


@connected
def wait(
    jobs: JobReferences,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="Give up after this time (exit code 75).")
    ] = None,
    any_of_them: Annotated[bool, typer.Option("--any", help="Until the first of them is over.")] = False,
    quiet: Quiet = False,
    reconnect_timeout: ReconnectTimeout = "5m",
    *,
    connection: Connection,
) -> None:
    """Wait until jobs are over, and end with their exit code: of several, the highest."""
    limit = None if timeout is None else seconds("--timeout", timeout)
    patience = seconds("--reconnect-timeout", reconnect_timeout)

    async def work(client: Client) -> int:
        ids = list(dict.fromkeys([await client.resolve(reference) for reference in jobs]))
        screen = Screen(quiet=quiet)
        status = asyncio.create_task(show_status(client, ids[0], screen)) if len(ids) == 1 else None
        try:
            return await _wait(client, ids, screen, limit=limit, patience=patience, first_only=any_of_them)
        finally:
            if status is not None:
                await stop(status)
            screen.close()

    with_client(connection, work)


async def _wait(
    client: Client, ids: list[str], screen: Screen, *, limit: float | None, patience: float, first_only: bool
) -> int:
    # One answer from the server shows that it is there, so all of them share one patience.
    contact = patient(screen, patience)
    tasks = [asyncio.create_task(client.wait(job_id, contact=contact)) for job_id in ids]
    codes: list[int] = []
    try:
        async with asyncio.timeout(limit):
            for next_one in asyncio.as_completed(tasks):
                codes.append(_ended(await next_one, screen))
                if first_only:
                    break
    except TimeoutError:
        left = len(ids) - len(codes)
        screen.say(f"still waiting for {left} of {len(ids)} jobs after {limit:g} s: giving up, they go on")
        return TRY_AGAIN
    finally:
        await stop(*tasks)
    return max(codes)


def _ended(job: Job, screen: Screen) -> int:
    for line in summary(job):
        screen.note(line)
    return exit_code_of(job)
