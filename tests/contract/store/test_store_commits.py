"""What listeners hear of commits, and when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from spark_jobs.domain.attempt import AttemptChanges
from spark_jobs.domain.errors import IdConflict, StoreUnavailable
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import Commit, JobFilter, Store
from tests.contract.store.acts import ROOM, START, add, new_job, retry, run


@pytest.fixture
def heard(store: Store) -> list[Commit]:
    """Every commit that the store told of."""
    commits: list[Commit] = []
    store.listen(commits.append)
    return commits


async def test_listeners_hear_of_a_commit_before_its_caller_goes_on(store: Store, heard: list[Commit]) -> None:
    await add(store, "one")
    (commit,) = heard
    assert [(event.job_id, event.target) for event in commit.events] == [("one", JobState.QUEUED)]
    assert commit.queue_changed


async def test_listeners_hear_every_event_once_and_in_order(store: Store, heard: list[Commit]) -> None:
    await asyncio.gather(*(add(store, f"job-{i}") for i in range(30)))
    told = [event for commit in heard for event in commit.events]
    assert [event.seq for event in told] == list(range(1, 31))
    assert told == await store.events(0)


async def test_what_listeners_hear_of_is_there_to_read(store: Store) -> None:
    reads: list[asyncio.Task[Any]] = []
    store.listen(lambda commit: reads.append(asyncio.create_task(store.get(commit.events[0].job_id))))
    await add(store, "one")
    assert (await reads[0]).id == "one"


async def test_a_wish_is_told_once(store: Store, heard: list[Commit]) -> None:
    await add(store, "one")
    await run(store, "one")
    heard.clear()
    await store.request_cancel("one", START)
    await store.request_cancel("one", START)
    assert [(commit.wishes, commit.events, commit.queue_changed) for commit in heard] == [(("one",), (), False)]


async def test_pausing_resuming_and_retries_change_the_queue(store: Store, heard: list[Commit]) -> None:
    await add(store, "one")
    record = await run(store, "one")
    heard.clear()
    await store.set_paused(True)
    await store.set_paused(False)
    await retry(store, record.key, not_before=START)
    assert [commit.queue_changed for commit in heard] == [True, True, True]


async def test_notes_and_refusals_are_not_told(store: Store, heard: list[Commit]) -> None:
    await add(store, "one")
    record = await run(store, "one")
    heard.clear()
    await store.note(record.key, AttemptChanges(node="n1"))
    with pytest.raises(IdConflict):
        await store.submit([new_job("fresh"), new_job("one", digest="other")], ROOM)
    assert heard == []


async def test_a_listener_that_fails_harms_nobody(store: Store) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    heard: list[Commit] = []

    def broken(commit: Commit) -> None:
        raise ZeroDivisionError(str(commit))

    store.listen(broken)
    store.listen(heard.append)
    await add(store, "one")
    assert len(heard) == 1
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


async def test_observers_see_each_commits_duration_and_number_of_writes(store: Store) -> None:
    seen: list[tuple[float, int]] = []
    store.observe_commits(lambda seconds, writes: seen.append((seconds, writes)))
    await asyncio.gather(*(add(store, f"job-{i}") for i in range(20)))
    assert sum(writes for _, writes in seen) == 20
    assert all(0 < seconds < 10 for seconds, _ in seen)


async def test_writes_that_fail_do_not_harm_those_committed_with_them(store: Store) -> None:
    await add(store, "taken")
    wishes = [new_job(f"job-{i}") if i % 2 else new_job("taken", digest=f"other-{i}") for i in range(40)]
    answers = await asyncio.gather(*(store.submit([wish], ROOM) for wish in wishes), return_exceptions=True)
    assert [isinstance(answer, IdConflict) for answer in answers] == [i % 2 == 0 for i in range(40)]
    assert len((await store.list(JobFilter(), page_size=100)).jobs) == 21


async def test_a_caller_that_went_away_does_not_undo_its_write(store: Store) -> None:
    task = asyncio.create_task(add(store, "one"))
    heard = asyncio.Event()
    store.listen(lambda _commit: heard.set())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(heard.wait(), 10)
    assert (await store.get("one")).state is JobState.QUEUED


async def test_a_closed_store_is_unavailable(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await add(store, "one")
    with pytest.raises(StoreUnavailable):
        await store.get("one")
