"""What is forgotten when it is old or takes too much space."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import EventsGone, JobNotFound
from spark_jobs.domain.job import LogState
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import JobFilter, LogChunk, LogPoint, Pruned, Store
from tests.contract.store.acts import START, add, close, ended, finish, retry, run

DAY = timedelta(days=1)


async def write_log(store: Store, key: AttemptKey, size: int = 100_000) -> None:
    """A log that can't be packed."""
    chunk = LogChunk(offset=0, line=0, data=random.Random(0).randbytes(size), stamps=(1,))
    await store.log_append(key, [chunk], LogPoint(bytes=size, lines=1))


async def test_a_sweep_forgets_old_jobs_that_are_over_and_closed_with_all_of_theirs(store: Store) -> None:
    await add(store, "old", "open", "young", "waits")
    key = await finish(store, "old")
    await write_log(store, key)
    still_open = await run(store, "open")
    await store.apply(ended(still_open.key, JobState.SUCCEEDED))
    await finish(store, "young", at=START + 2 * DAY)
    assert await store.sweep(jobs_before=START + DAY, logs_before=START - DAY) == 1
    assert await store.sweep(jobs_before=START + DAY, logs_before=START - DAY) == 0
    assert {job.id for job in (await store.list(JobFilter(), page_size=10)).jobs} == {"open", "young", "waits"}
    assert await store.log_point(key) == LogPoint()
    with pytest.raises(EventsGone):
        await store.events(1)
    assert "old" not in {event.job_id for event in await store.events(0)}


async def test_a_sweep_forgets_logs_before_jobs_and_says_so(store: Store) -> None:
    await add(store, "one")
    first = await run(store, "one")
    await write_log(store, first.key)
    await retry(store, first.key, not_before=START)
    second = await finish(store, "one")
    await write_log(store, second)
    await store.sweep(jobs_before=START, logs_before=START + DAY)
    assert await store.log_point(second) == LogPoint(bytes=100_000, lines=1), "its first attempt is not CLOSED"
    await close(store, first.key)
    assert await store.sweep(jobs_before=START, logs_before=START + DAY) == 1
    assert await store.sweep(jobs_before=START, logs_before=START + DAY) == 0
    assert [await store.log_point(key) for key in (first.key, second)] == [LogPoint(), LogPoint()]
    job = await store.get("one")
    assert [(each.log.bytes, each.log.state, each.log.problem) for each in job.attempts] == [
        (0, LogState.INCOMPLETE, "no longer kept")
    ] * 2


async def test_a_sweep_takes_no_more_than_its_limit_at_a_time(store: Store) -> None:
    await add(store, *(f"job-{i}" for i in range(5)))
    for i in range(5):
        await finish(store, f"job-{i}", at=START + timedelta(seconds=i))
    counts = [await store.sweep(jobs_before=START + DAY, logs_before=START, limit=2) for _ in range(4)]
    assert counts == [2, 2, 1, 0]


async def test_a_job_that_has_the_id_of_a_swept_one_by_then_stays(store: Store) -> None:
    """Its log, too: a sweep takes a while, and an id is free as soon as its job is gone."""
    names = [f"job-{i}" for i in range(60)]
    await add(store, *names)
    for name in names:
        await write_log(store, await finish(store, name), size=1000)
    replacing: list[asyncio.Task[AttemptKey]] = []

    async def replace() -> AttemptKey:
        with suppress(JobNotFound):
            await store.delete(names[-1])
        await add(store, names[-1])
        record = await run(store, names[-1])
        await write_log(store, record.key, size=2000)
        return record.key

    def meanwhile(_: AttemptKey) -> None:
        if not replacing:
            replacing.append(asyncio.create_task(replace()))

    store.on_forgotten(meanwhile)
    await store.sweep(jobs_before=START + DAY, logs_before=START + DAY)
    key = await replacing[0]
    assert (await store.get(names[-1])).state is JobState.RUNNING
    assert (await store.log_point(key)).bytes == 2000
    assert await store.usage() == (1, False)


async def breaks_off(store: Store, remove: Callable[[], Awaitable[object]]) -> None:
    """Stop in the midst of removing the log of `one`, which its job says then."""
    broken = [RuntimeError("the machine stops here")]

    def stop(_: AttemptKey) -> None:
        while broken:
            raise broken.pop()

    store.on_forgotten(stop)
    with pytest.raises(RuntimeError):
        await remove()
    log = (await store.get("one")).attempts[0].log
    assert (log.bytes, log.state, log.problem) == (0, LogState.INCOMPLETE, "no longer kept")


async def test_a_delete_that_breaks_off_leaves_a_job_that_says_so_and_can_be_deleted(store: Store) -> None:
    await add(store, "one")
    await write_log(store, await finish(store, "one"))
    await breaks_off(store, lambda: store.delete("one"))
    await store.delete("one")
    with pytest.raises(JobNotFound):
        await store.get("one")


async def test_two_who_delete_one_job_do_not_meet(store: Store) -> None:
    await add(store, "one")
    await write_log(store, await finish(store, "one"))
    done = await asyncio.gather(store.delete("one"), store.delete("one"), return_exceptions=True)
    assert [type(each) for each in done] == [type(None), JobNotFound]


async def test_pruning_forgets_the_oldest_closed_logs_until_the_rest_fits(store: Store) -> None:
    await add(store, "a", "b", "c", "runs")
    keys = [await finish(store, name, at=START + timedelta(seconds=i)) for i, name in enumerate("abc")]
    running = await run(store, "runs")
    for key in (*keys, running.key):
        await write_log(store, key)
    assert await store.prune_logs(10_000_000) == Pruned(logs=0, unsent=0)
    assert await store.prune_logs(300_000) == Pruned(logs=2, unsent=0)
    kept = [(await store.log_point(key)).bytes for key in (*keys, running.key)]
    assert kept == [0, 0, 100_000, 100_000]
    assert [(await store.get(name)).attempts[0].log.problem for name in "abc"] == ["no longer kept"] * 2 + [None]


async def test_pruning_that_breaks_off_says_so_and_finds_what_is_left(store: Store) -> None:
    await add(store, "one")
    await write_log(store, await finish(store, "one"))
    await breaks_off(store, lambda: store.prune_logs(0))
    assert await store.prune_logs(0) == Pruned(logs=1, unsent=0)
    assert await store.prune_logs(0) == Pruned(logs=0, unsent=0)


async def test_pruning_never_takes_the_log_of_an_attempt_that_is_not_closed(store: Store) -> None:
    await add(store, "runs")
    record = await run(store, "runs")
    await write_log(store, record.key)
    assert await store.prune_logs(0) == Pruned(logs=0, unsent=0)
    assert (await store.log_point(record.key)).bytes == 100_000
