"""The queue on the real cluster: its bound and order, the estimate beside what happened, and a drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from spark_jobs.client import Client
from spark_jobs.domain.errors import QueueFull
from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

SPEC = {"image": "busybox:1", "command": ["sleep", "1"]}


@pytest.fixture
def where() -> Iterator[str]:
    with kube.namespace() as name:
        yield name


@pytest.fixture
def server(where: str, tmp_path: Path) -> Iterator[Server]:
    """One slot, and room for five that wait."""
    flags = on_kubernetes(where, "--max-concurrent-jobs", "1", "--queue-size", "5")
    with serving(tmp_path, *flags) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    """A client that takes the first refusal for an answer."""
    async with Client(server.url, submit_timeout=0) as connected:
        yield connected


async def in_order(client: Client) -> list[Job]:
    """All jobs there are, in the order of their submission."""
    return list(reversed([await client.get(job.id) async for job in client.list()]))


async def test_ten_at_once_are_six_in_order_and_no_trace_of_four(client: Client, where: str) -> None:
    """Invariant 3."""
    with kube.watching("jobs", where) as objects:
        answers = await asyncio.gather(*(client.submit(SPEC) for _ in range(10)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, QueueFull)]
        assert (len(answers) - len(refused), len(refused)) == (6, 4)
        assert all(error.free == 0 and 1 <= error.retry_after <= 30 for error in refused)
        accepted = [job.id for job in await in_order(client)]
        assert len(accepted) == 6
        jobs = [await client.wait(job_id, timeout=120) for job_id in accepted]
        assert {job.state for job in jobs} == {JobState.SUCCEEDED}
        objects.until(lambda _: objects.left() == [], seconds=30)
        assert objects.names() == [job.attempts[0].kubernetes_job for job in jobs]


def holds(jobs: list[Job]) -> list[timedelta]:
    """How long each held its slot."""
    attempts = [job.attempts[0] for job in jobs]
    return [ended - claimed for each in attempts if (claimed := each.claimed_at) and (ended := each.finished_at)]


async def test_the_estimate_beside_what_happened(client: Client) -> None:
    """It is as good as the past is like the future: off by what one job takes more than another, for each before it."""
    past = [await client.wait((await client.submit(SPEC)).job.id, timeout=60) for _ in range(2)]
    ids = [(await client.submit(SPEC)).job.id for _ in range(5)]
    waiting = (await client.queue()).waiting
    assert [each.id for each in waiting] == ids[-len(waiting) :]
    assert len(waiting) >= 3
    jobs = [await client.wait(job_id, timeout=120) for job_id in ids]
    known = holds(past + jobs)
    assert len(known) == 7
    differ = max(known) - min(known)
    for number, (each, job) in enumerate(zip(waiting, jobs[-len(waiting) :], strict=True), 1):
        claimed, start = job.attempts[0].claimed_at, each.estimated_start_at
        assert claimed is not None
        assert start is not None
        print(f"position {number}: expected {(start - claimed).total_seconds():+.1f} s from what happened")
        assert abs(claimed - start) < timedelta(seconds=2) + number * (timedelta(seconds=1) + differ)


async def test_a_drain_waits_for_what_runs_and_keeps_what_waits(client: Client, server: Server) -> None:
    first, second = [(await client.submit(SPEC)).job.id for _ in range(2)]
    drained = await asyncio.to_thread(server.spark, "queue", "drain", "--timeout", "60s")
    assert "waiting for 1 job to end" in drained.stderr
    assert "nothing runs any more, 1 job in the queue; the queue stays paused" in drained.stderr
    assert second in drained.stdout
    assert "the queue is paused" in drained.stdout
    assert ((await client.get(first)).state, (await client.get(second)).state) == (JobState.SUCCEEDED, JobState.QUEUED)
    await asyncio.to_thread(server.spark, "queue", "resume")
    assert (await client.wait(second, timeout=60)).state is JobState.SUCCEEDED
