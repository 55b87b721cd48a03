"""The end of a Runner: waiting for its jobs or stopping them, and for the cluster to hold nothing of them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from spark_jobs.app.core import Core
from spark_jobs.client import Client
from spark_jobs.domain.attempt import Phase
from spark_jobs.domain.errors import JobNotFound, NotCancellable

_AT_ONCE = 100
_LOOK_EVERY = 0.1

_T = TypeVar("_T")


async def until_over(client: Client, active: dict[str, None]) -> None:
    """Return when none of these jobs is left that is not over."""
    while active:
        job_id = next(iter(active))
        try:
            await client.wait(job_id)
        except JobNotFound:
            pass  # it was over, and somebody deleted it
        active.pop(job_id, None)


async def stop_all(client: Client, active: dict[str, None]) -> None:
    """Cancel these jobs, and return when they have stopped. The last come first: no slot that gets free is given to one
    of them."""
    for some in _batches(reversed(list(active)), _AT_ONCE):
        await asyncio.gather(*(cancelled(client, job_id) for job_id in some))
    await until_over(client, active)


async def cancelled(client: Client, job_id: str) -> None:
    """Cancel a job, if there is something to cancel."""
    try:
        await client.cancel(job_id)
    except (NotCancellable, JobNotFound):
        pass  # over already, or never accepted: either way it does not run


async def until_clean(core: Core, *, seconds: float, private: bool) -> list[str]:
    """Wait until the cluster holds nothing of jobs that are over; names of what it still holds after ``seconds``.

    In a ``private`` store all jobs are; in another one those of earlier Runners may go on.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        attempts = await core.store.open_attempts()
        left = [each.kubernetes_name for each in attempts if private or each.phase is Phase.OVER]
        if not left or loop.time() >= deadline:
            return left
        await asyncio.sleep(_LOOK_EVERY)


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    each = iter(items)
    while batch := list(islice(each, size)):
        yield batch
