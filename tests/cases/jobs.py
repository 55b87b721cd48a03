"""Jobs on a server process, as the cases need them: submitted through the client, waited for, their times read."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from spark_jobs.client import Client
from spark_jobs.domain.job import Job
from tests.e2e.server import Server

IMAGE = "busybox:1"
PATIENCE = 180.0


def shell(script: str, **more: object) -> dict[str, Any]:
    """A spec that runs a line of shell."""
    return {"image": IMAGE, "command": ["sh", "-c", script], **more}


async def submit(server: Server, *specs: dict[str, Any]) -> list[str]:
    """Submit jobs in this order; their ids."""
    async with Client(server.url) as client:
        return [(await client.submit(spec)).job.id for spec in specs]


async def cancel(server: Server, job_id: str) -> float:
    """Cancel a job; seconds until that was accepted."""
    async with Client(server.url) as client:
        began = time.monotonic()
        await client.cancel(job_id)
        return time.monotonic() - began


async def end(server: Server, job_id: str) -> Job:
    """The job once it is over."""
    async with Client(server.url) as client:
        return await client.wait(job_id, timeout=PATIENCE)


async def ends(server: Server, *specs: dict[str, Any]) -> list[Job]:
    """Submit jobs and wait for the ends of all of them."""
    return [await end(server, job_id) for job_id in await submit(server, *specs)]


async def log_of(server: Server, job_id: str) -> bytes:
    """The stored log."""
    async with Client(server.url) as client:
        return b"".join([part async for part in client.logs(job_id)])


async def until(server: Server, job_id: str, holds: Callable[[Job], bool], *, seconds: float = PATIENCE) -> Job:
    """The job once something holds of it; a look at its every change, and every quarter of a second."""
    deadline = time.monotonic() + seconds
    async with Client(server.url) as client:
        while not holds(job := await client.get(job_id)):
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s: {job.state}, {job.activity}, {job.reason}, {job.message}"
            await client.get(job_id, wait=min(0.25, left))
    return job


async def at_age(server: Server, job_id: str, seconds: float) -> Job:
    """The job as it is so long after its submission."""
    return await until(server, job_id, lambda job: age(job) >= seconds)


def age(job: Job) -> float:
    """Seconds since it was submitted."""
    return (datetime.now(UTC) - job.created_at).total_seconds()


def took(job: Job) -> float:
    """Seconds from its submission to its end."""
    assert job.finished_at is not None
    return (job.finished_at - job.created_at).total_seconds()


def between(first: datetime | None, second: datetime | None) -> float:
    """Seconds from one time to another; both must be there."""
    assert first is not None
    assert second is not None
    return (second - first).total_seconds()
