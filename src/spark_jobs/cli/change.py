"""`spark cancel`, `spark retry` and `spark delete`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from spark_jobs.cli.connection import Connection, connected
from spark_jobs.cli.failures import report
from spark_jobs.cli.options import JobReferences, Quiet
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import with_client
from spark_jobs.client import Client
from spark_jobs.domain.errors import Conflict, NotDeletable, NotFound

CLEANING = 30.0
"""Seconds in which the objects of a job that is over are gone from the cluster, if all is well."""

PAUSE = 0.2


@connected
def cancel(jobs: JobReferences, quiet: Quiet = False, *, connection: Connection) -> None:
    """Cancel jobs: those in the queue at once, those that run are asked to stop. Prints their ids."""
    screen = Screen(quiet=quiet)

    async def one(client: Client, job_id: str) -> str:
        job = await client.cancel(job_id)
        screen.note(f"{job.id} is {job.state}" if job.state.is_terminal else f"{job.id} is being stopped")
        return job.id

    _each(jobs, connection, one)


@connected
def retry(jobs: JobReferences, quiet: Quiet = False, *, connection: Connection) -> None:
    """Submit jobs that are over once more, as new jobs. Prints the new ids."""
    screen = Screen(quiet=quiet)

    async def one(client: Client, job_id: str) -> str:
        job = await client.retry(job_id)
        screen.note(f"{job.id} is a retry of {job_id}")
        return job.id

    _each(jobs, connection, one)


@connected
def delete(jobs: JobReferences, *, connection: Connection) -> None:
    """Forget jobs that are over, with their logs. Prints their ids."""

    _each(jobs, connection, _delete)


async def _delete(client: Client, job_id: str) -> str:
    """Forget the job; where only its objects in the cluster are still to go, that is waited for."""
    deadline = time.monotonic() + CLEANING
    while True:
        try:
            await client.delete(job_id)
        except NotDeletable:
            if time.monotonic() > deadline or not (await client.get(job_id)).state.is_terminal:
                raise
            await asyncio.sleep(PAUSE)
        else:
            return job_id


def _each(
    references: list[str],
    connection: Connection,
    one: Callable[[Client, str], Awaitable[str]],
) -> None:
    """Do it to every job; one that refuses does not keep the others from it."""

    async def work(client: Client) -> int:
        code = 0
        for reference in references:
            try:
                print(await one(client, await client.resolve(reference)), flush=True)
            except (NotFound, Conflict) as error:
                code = max(code, report(error))
        return code

    with_client(connection, work)
