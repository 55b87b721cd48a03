"""Submissions: what is stored, what is refused, what is a repeat."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from spark_jobs.domain.errors import IdConflict, IdempotencyConflict, JobNotFound, QueueFull
from spark_jobs.domain.job import Activity
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import JobFilter, QueueBound, Store
from tests.contract.store.acts import ROOM, START, Clock, add, close, new_job, retry, run, start


async def test_a_new_job_is_queued_and_kept_as_submitted(store: Store) -> None:
    wish = new_job("one", env={"A": "b"}, labels={"team": "blue"}, command=["true"], timeout=7.5, name="first")
    (submitted,) = await store.submit([msgspec.structs.replace(wish, retry_of="older")], ROOM)
    job = await store.get("one")
    assert not submitted.replayed
    assert msgspec.structs.replace(job, position=None) == submitted.job
    assert (job.state, job.activity, job.position) == (JobState.QUEUED, Activity.QUEUED, 1)
    assert (job.spec, job.created_at, job.retry_of) == (wish.spec, START, "older")
    assert (job.attempts, job.started_at, job.finished_at, job.exit_code) == ([], None, None, None)
    assert await store.submitted_spec("one") == wish.spec


async def test_a_new_job_is_an_event_without_env(store: Store) -> None:
    await add(store, "one", env={"PASSWORD": "secret"})
    (event,) = await store.events(0)
    assert (event.seq, event.source, event.target, event.attempt) == (1, None, JobState.QUEUED, None)
    assert (event.job.id, event.job.spec.env) == ("one", {})


async def test_ten_at_once_with_room_for_six_are_six_accepted_and_four_refused(store: Store) -> None:
    bound = QueueBound(queue_size=5, slots=1)
    answers = await asyncio.gather(
        *(store.submit([new_job(f"job-{i}")], bound) for i in range(10)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, QueueFull)]
    assert (len(answers) - len(refused), len(refused)) == (6, 4)
    assert all(error.free == 0 and 1 <= error.retry_after <= 30 for error in refused)
    assert len((await store.list(JobFilter(), page_size=20)).jobs) == 6


async def test_the_room_is_the_same_when_some_were_claimed_in_between(store: Store) -> None:
    bound = QueueBound(queue_size=5, slots=1)
    await store.submit([new_job("first")], bound)
    await start(store, "first")
    for i in range(5):
        await store.submit([new_job(f"job-{i}")], bound)
    with pytest.raises(QueueFull):
        await store.submit([new_job("last")], bound)


async def test_a_batch_without_room_for_all_leaves_no_trace(store: Store) -> None:
    with pytest.raises(QueueFull) as caught:
        await store.submit([new_job(f"job-{i}") for i in range(4)], QueueBound(queue_size=2, slots=1))
    assert caught.value.free == 3
    assert (await store.events(0), await store.counts()) == ([], {})


async def test_a_paused_queue_has_no_free_slots(store: Store) -> None:
    await store.set_paused(True)
    bound = QueueBound(queue_size=1, slots=5)
    await store.submit([new_job("one")], bound)
    with pytest.raises(QueueFull):
        await store.submit([new_job("two")], bound)


async def test_jobs_that_wait_for_a_retry_take_no_place(store: Store, clock: Clock) -> None:
    bound = QueueBound(queue_size=1, slots=0)
    await add(store, "again")
    record = await run(store, "again")
    await retry(store, record.key, not_before=clock.forward(60))
    await store.submit([new_job("new")], bound)
    with pytest.raises(QueueFull):
        await store.submit([new_job("more")], bound)


async def test_a_key_is_a_replay_even_when_the_queue_is_full(store: Store) -> None:
    bound = QueueBound(queue_size=1, slots=0)
    await store.submit([new_job("one", key="k")], bound)
    (again,) = await store.submit([new_job("two", key="k")], bound)
    assert (again.replayed, again.job.id) == (True, "one")
    with pytest.raises(JobNotFound):
        await store.get("two")


async def test_a_key_with_another_body_is_a_conflict(store: Store) -> None:
    await store.submit([new_job("one", key="k", digest="a")], ROOM)
    with pytest.raises(IdempotencyConflict, match="one"):
        await store.submit([new_job("two", key="k", digest="b")], ROOM)


async def test_a_key_is_free_again_once_its_job_is_forgotten(store: Store) -> None:
    await store.submit([new_job("one", key="k", digest="a")], ROOM)
    await store.request_cancel("one", START)
    await store.delete("one")
    (submitted,) = await store.submit([new_job("two", key="k", digest="b")], ROOM)
    assert not submitted.replayed


async def test_twenty_submissions_with_one_key_are_one_job(store: Store) -> None:
    answers = await asyncio.gather(*(store.submit([new_job(f"job-{i}", key="k")], ROOM) for i in range(20)))
    assert len({submitted.job.id for (submitted,) in answers}) == 1
    assert [submitted.replayed for (submitted,) in answers].count(False) == 1


async def test_a_given_id_is_a_replay_with_the_same_digest_and_a_conflict_with_another(store: Store) -> None:
    await store.submit([new_job("one", digest="a")], ROOM)
    (again,) = await store.submit([new_job("one", digest="a")], ROOM)
    assert again.replayed
    with pytest.raises(IdConflict, match="one"):
        await store.submit([new_job("one", digest="b")], ROOM)


async def test_an_id_that_was_not_given_is_never_a_replay(store: Store) -> None:
    await add(store, "one")
    with pytest.raises(IdConflict):
        await store.submit([msgspec.structs.replace(new_job("one"), id_given=False)], ROOM)


async def test_a_replay_shows_the_job_as_it_is_now(store: Store) -> None:
    await add(store, "one")
    await run(store, "one")
    (again,) = await store.submit([new_job("one")], ROOM)
    assert again.job == await store.get("one")
    assert len(again.job.attempts) == 1


async def test_repeats_within_one_call_are_one_job(store: Store) -> None:
    answers = await store.submit([new_job("one"), new_job("one"), new_job("two")], QueueBound(queue_size=2, slots=0))
    assert [(each.job.id, each.replayed) for each in answers] == [("one", False), ("one", True), ("two", False)]


async def test_a_batch_with_a_conflict_stores_none_of_it(store: Store) -> None:
    await add(store, "taken")
    with pytest.raises(IdConflict):
        await store.submit([new_job("fine"), new_job("taken", digest="other")], ROOM)
    with pytest.raises(JobNotFound):
        await store.get("fine")


async def wait_of_a_full_queue(store: Store, wanted: int = 1) -> float:
    """What a submission of so many jobs is told, where there is one slot and room for one job that waits."""
    with pytest.raises(QueueFull) as caught:
        await store.submit([new_job(f"new-{i}") for i in range(wanted)], QueueBound(queue_size=1, slots=1))
    return caught.value.retry_after


async def test_the_wait_that_a_full_queue_names_follows_how_long_slots_were_held(store: Store, clock: Clock) -> None:
    await add(store, "a", "b", "c")
    record = await run(store, "a", at=clock())
    assert await wait_of_a_full_queue(store) == 5.0  # nothing is known yet
    await close(store, record.key, at=clock.forward(12))
    await run(store, "b", at=clock())
    clock.forward(3)
    assert await wait_of_a_full_queue(store) == 9.0
    assert await wait_of_a_full_queue(store, wanted=2) == 21.0
    assert await wait_of_a_full_queue(store, wanted=9) == 30.0  # not longer than anybody would wait
    clock.forward(8.5)
    assert await wait_of_a_full_queue(store) == 1.0
    clock.forward(10)
    assert await wait_of_a_full_queue(store) == 5.0  # longer than any before


async def test_a_paused_queue_that_is_full_makes_no_room_soon(store: Store, clock: Clock) -> None:
    await add(store, "a", "b")
    await close(store, (await run(store, "a", at=clock())).key, at=clock.forward(1))
    await store.set_paused(True)
    assert await wait_of_a_full_queue(store) == 30.0
