"""Which logs wait for the sink, in which order, and what is not forgotten meanwhile."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import msgspec

from spark_jobs.domain.attempt import AttemptChanges, AttemptKey
from spark_jobs.domain.job import LogState
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import Commit, JobFilter, LogChunk, LogPoint, Pruned, Store, Unsent
from tests.contract.store.acts import START, add, claim_of, close, ended, finish, run

DAY = timedelta(days=1)
SIZE = 100_000


async def settle(store: Store, key: AttemptKey, *, at: datetime = START) -> None:
    """The end of a log, which can't be packed, on a server with a sink."""
    chunk = LogChunk(offset=0, line=0, data=random.Random(0).randbytes(SIZE), stamps=(1,))
    await store.log_append(key, [chunk], LogPoint(bytes=SIZE, lines=1))
    await store.note(key, AttemptChanges(log_state=LogState.COMPLETE, settled_at=at, archive_due_at=at))


async def send(store: Store, key: AttemptKey) -> None:
    """The sink has this log."""
    [unsent] = [each for each in await store.archive_due(limit=100) if each.key == key]
    assert await store.archived(unsent, f"s3://logs/{key.job_id}-{key.attempt}")


async def due(store: Store) -> list[str]:
    """The jobs whose logs are to be sent, in order."""
    return [each.key.job_id for each in await store.archive_due(limit=100)]


async def test_a_log_waits_from_its_settlement_on_and_is_due_once_its_attempt_has_its_end(store: Store) -> None:
    await add(store, "one", "unmarked")
    await finish(store, "unmarked")
    record = await run(store, "one")
    assert await store.archive_waiting() == 0
    await settle(store, record.key)
    assert (await store.archive_waiting(), await due(store)) == (1, [])
    await store.apply(ended(record.key, JobState.SUCCEEDED))
    unsent = Unsent(key=record.key, claim=record.claim, due_at=START)
    assert await store.archive_due(limit=1) == [unsent]
    assert (await store.get("one")).attempts[0].log.archived is None
    assert await store.archived(unsent, "s3://logs/one")
    assert (await store.archive_waiting(), await due(store)) == (0, [])
    assert (await store.get("one")).attempts[0].log.archived == "s3://logs/one"
    assert not await store.archived(unsent, "s3://logs/again")


async def test_the_longest_waiting_is_first(store: Store) -> None:
    await add(store, "b", "a", "c")
    for number, name in enumerate("abc"):
        await settle(store, await finish(store, name), at=START + timedelta(seconds=number // 2))
    assert await due(store) == ["a", "b", "c"]
    assert [each.key.job_id for each in await store.archive_due(limit=2)] == ["a", "b"]


async def test_listeners_hear_of_a_log_that_may_be_sent_whichever_comes_last(store: Store) -> None:
    heard: list[Commit] = []
    store.listen(heard.append)
    await add(store, "settled first", "ended first")
    settled = await run(store, "settled first")
    await settle(store, settled.key)
    assert not any(commit.archive_due for commit in heard)
    await store.apply(ended(settled.key, JobState.SUCCEEDED))
    assert heard.pop().archive_due
    over = await run(store, "ended first")
    await store.apply(ended(over.key, JobState.FAILED))
    assert not heard.pop().archive_due
    await settle(store, over.key)
    assert heard.pop().archive_due


async def test_a_sweep_waits_for_the_sink_and_only_if_there_is_one(store: Store) -> None:
    await add(store, "one")
    key = await finish(store, "one")
    await settle(store, key)
    later = START + DAY
    assert await store.sweep(jobs_before=later, logs_before=later, sink=True) == 0
    assert (await store.log_point(key)).bytes == SIZE
    await send(store, key)
    assert await store.sweep(jobs_before=later, logs_before=later, sink=True) == 1
    await add(store, "two")
    await settle(store, await finish(store, "two"))
    assert await store.sweep(jobs_before=later, logs_before=later) == 1
    assert (await store.list(JobFilter(), page_size=10)).jobs == []
    assert await store.archive_waiting() == 0


async def test_room_is_made_from_what_was_sent_before_what_was_not(store: Store) -> None:
    await add(store, "older", "old", "new")
    older, old, new = [
        await finish(store, name, at=START + timedelta(seconds=i)) for i, name in enumerate(("older", "old", "new"))
    ]
    for key in (older, old, new):
        await settle(store, key)
    await send(store, new)
    assert await store.prune_logs(SIZE * 5 // 2) == Pruned(logs=1, unsent=0)
    assert await due(store) == ["older", "old"]
    assert await store.prune_logs(SIZE * 3 // 2) == Pruned(logs=1, unsent=1)
    assert await due(store) == ["old"]
    job = await store.get("new")
    assert (job.attempts[0].log.problem, job.attempts[0].log.archived) == ("no longer kept", "s3://logs/new-1")


async def test_a_job_may_be_deleted_while_its_log_waits(store: Store) -> None:
    await add(store, "one")
    record = await run(store, "one")
    await settle(store, record.key)
    await store.apply(ended(record.key, JobState.SUCCEEDED))
    await close(store, record.key)
    [unsent] = await store.archive_due(limit=2)
    await store.delete("one")
    assert await store.archive_waiting() == 0
    assert not await store.archived(unsent, "s3://logs/one")
    await add(store, "one")
    (again,) = await store.claim([msgspec.structs.replace(claim_of("one"), claim="another")], slots=10)
    await settle(store, again.key)
    assert not await store.archived(unsent, "s3://logs/one"), "another job has its id"
    assert await store.archive_waiting() == 1
