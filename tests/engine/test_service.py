"""What the service decides by itself, on a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from spark_jobs.app.core import utc_now
from spark_jobs.bus import Bus
from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.errors import InvalidSpec, NotRetryable, QueueFull
from spark_jobs.domain.limits import JobLimits
from spark_jobs.domain.state import JobState
from spark_jobs.logs import LogBook
from spark_jobs.service import SHOWN, ClusterNow, JobService, Policy
from spark_jobs.store.base import JobFilter
from spark_jobs.store.sql.store import SqlStore
from tests.contract.store.acts import START, Clock, add, close, retry, run
from tests.engine.bench import Bench, bench


def restricted(on: Bench, limits: JobLimits) -> JobService:
    """A service on the same store, of an installation that has become stricter."""
    policy = Policy(defaults=Defaults(), limits=limits)
    return JobService(on.core.store, LogBook(on.core.store, on.core.bus), on.core.bus, policy, clock=utc_now)


async def test_a_retry_keeps_to_the_limits_of_today(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeCluster()) as on:
        job = await on.ends(await on.submit(timeout=60))
        with pytest.raises(InvalidSpec, match="max_timeout"):
            await restricted(on, JobLimits(max_timeout=5)).retry(job.id)
        again = await on.service.retry(job.id)
        assert (again.retry_of, again.spec.timeout) == (job.id, 60)


async def test_a_job_under_way_is_not_retried(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeCluster()) as on:
        await on.service.set_paused(True)
        job_id = await on.submit()
        with pytest.raises(NotRetryable, match="QUEUED"):
            await on.service.retry(job_id)


class Waiters:
    """A service without an engine, over a store in memory and with time by hand; one slot."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = SqlStore(None, clock=self.clock)
        self.cluster = ClusterNow()
        bus = Bus()
        policy = Policy(defaults=Defaults(), slots=1)
        self.service = JobService(
            self.store, LogBook(self.store, bus), bus, policy, clock=self.clock, cluster=lambda: self.cluster
        )

    async def history(self, *seconds: float) -> None:
        """Attempts that held the slot for so long, one after the other."""
        for number, span in enumerate(seconds):
            await add(self.store, f"past-{number}", at=self.clock())
            record = await run(self.store, f"past-{number}", at=self.clock())
            await close(self.store, record.key, at=self.clock.forward(span))

    async def starts(self, *ids: str) -> list[float | None]:
        """In how many seconds these jobs are expected to start."""
        found = [(await self.service.get(job_id)).estimated_start_at for job_id in ids]
        return [None if start is None else (start - self.clock()).total_seconds() for start in found]


@pytest.fixture
async def waiters() -> AsyncIterator[Waiters]:
    """Open and empty."""
    made = Waiters()
    await made.store.open()
    yield made
    await made.store.close()


async def test_a_job_that_waits_shows_when_it_is_expected_to_start(waiters: Waiters) -> None:
    await waiters.history(10, 30, 20)
    await add(waiters.store, "runs", "first", "second", at=waiters.clock())
    await run(waiters.store, "runs", at=waiters.clock())
    assert await waiters.starts("runs", "first", "second") == [None, 20, 40]
    waiters.clock.forward(15)
    assert await waiters.starts("first", "second") == [5, 25]
    waited = await waiters.service.get("first", wait=0)
    assert waited.estimated_start_at == waiters.clock() + timedelta(seconds=5)


async def test_lists_and_events_say_nothing_of_it(waiters: Waiters) -> None:
    await waiters.history(10)
    await add(waiters.store, "runs", "waits", at=waiters.clock())
    await run(waiters.store, "runs", at=waiters.clock())
    assert await waiters.starts("waits") == [10]
    page = await waiters.service.list(JobFilter())
    events = await waiters.store.events(0)
    shown = [*page.jobs, *(event.job for event in events)]
    assert {job.estimated_start_at for job in shown} == {None}


async def test_what_can_not_be_known_is_not_said(waiters: Waiters) -> None:
    await add(waiters.store, "runs", "waits", at=waiters.clock())
    record = await run(waiters.store, "runs", at=waiters.clock())
    assert await waiters.starts("waits") == [None]  # no history
    await close(waiters.store, record.key, at=waiters.clock.forward(10))
    assert await waiters.starts("waits") == [0]
    await waiters.service.set_paused(True)
    assert await waiters.starts("waits") == [None]
    await waiters.service.set_paused(False)
    waiters.cluster = ClusterNow(away_since=START)
    assert await waiters.starts("waits") == [None]
    waiters.cluster = ClusterNow()
    await run(waiters.store, "waits", at=waiters.clock())
    await add(waiters.store, "last", at=waiters.clock.forward(11))
    assert await waiters.starts("last") == [None]  # the one that runs has run for longer than any before


async def test_a_job_in_backoff_is_not_expected_before_its_time(waiters: Waiters) -> None:
    await add(waiters.store, "again", "waits", at=waiters.clock())
    record = await run(waiters.store, "again", at=waiters.clock())
    waiters.clock.forward(10)
    await retry(waiters.store, record.key, not_before=waiters.clock() + timedelta(seconds=12), at=waiters.clock())
    await close(waiters.store, record.key, at=waiters.clock())
    assert await waiters.starts("waits", "again") == [0, 12]
    waiters.clock.forward(12)
    assert await waiters.starts("again", "waits") == [0, 10]


async def test_the_queue_shows_the_first_that_wait(waiters: Waiters) -> None:
    await waiters.history(10)
    await add(waiters.store, "runs", *(f"job-{number}" for number in range(30)), at=waiters.clock())
    await add(waiters.store, "urgent", priority=9, name="nightly", at=waiters.clock.forward(2))
    await run(waiters.store, "runs", at=waiters.clock())
    view = await waiters.service.queue()
    assert (view.depth, len(view.waiting)) == (31, SHOWN)
    first, second = view.waiting[:2]
    assert (first.id, first.name, first.priority, first.position) == ("urgent", "nightly", 9, 1)
    assert (first.created_at, first.not_before, first.why) == (waiters.clock(), None, "the only slot is in use")
    assert (second.id, second.position) == ("job-0", 2)
    for each in view.waiting:
        job = await waiters.service.get(each.id)
        assert (job.position, job.estimated_start_at) == (each.position, each.estimated_start_at)
    paused = await waiters.service.set_paused(True)
    assert {(each.estimated_start_at, each.why) for each in paused.waiting} == {(None, "the queue is paused")}


async def test_a_pause_outlives_the_server(tmp_path: Path) -> None:
    cluster = FakeCluster()
    async with bench(tmp_path, cluster, slots=1, queue_size=1) as on:
        await on.service.set_paused(True)
        first = await on.submit()
    async with bench(tmp_path, cluster, slots=1, queue_size=1) as on:
        view = await on.service.queue()
        assert (view.paused, [each.id for each in view.waiting]) == (True, [first])
        with pytest.raises(QueueFull):  # while it is paused, no slot is free
            await on.submit()
        assert (await on.service.get(first, wait=0.3)).state is JobState.QUEUED
        assert cluster.made == []
        await on.service.set_paused(False)
        assert (await on.ends(first)).state is JobState.SUCCEEDED
