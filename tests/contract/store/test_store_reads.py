"""Reading jobs: one, pages with filters, positions, counts, events."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.domain.attempt import AttemptChanges, Phase
from spark_jobs.domain.errors import EventsGone, JobNotFound
from spark_jobs.domain.job import Activity, Job
from spark_jobs.domain.schedule import Place
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import JobFilter, Standing, Store
from spark_jobs.store.sql import SqlStore
from tests.contract.store.acts import ROOM, START, Clock, add, finish, new_job, retry, run, start


async def ids(store: Store, which: JobFilter, *, page_size: int = 50) -> list[str]:
    """All ids that a filter finds, page by page."""
    found: list[Job] = []
    page = await store.list(which, page_size=page_size)
    found += page.jobs
    while page.next_after is not None:
        page = await store.list(which, page_size=page_size, after=page.next_after)
        found += page.jobs
    return [job.id for job in found]


async def test_an_unknown_job_is_not_found(store: Store) -> None:
    with pytest.raises(JobNotFound, match="nobody"):
        await store.get("nobody")
    with pytest.raises(JobNotFound):
        await store.submitted_spec("nobody")


async def test_positions_follow_priority_then_submission_and_backoff_comes_last(store: Store, clock: Clock) -> None:
    await add(store, "again", "later")
    for name, wait in (("again", 60), ("later", 90)):
        record = await run(store, name)
        await retry(store, record.key, not_before=clock() + timedelta(seconds=wait))
    await add(store, "low", priority=-1)
    await add(store, "a", "b")
    await add(store, "high", priority=5)
    positions = {name: (await store.get(name)).position for name in ("high", "a", "b", "low", "again", "later")}
    assert positions == {"high": 1, "a": 2, "b": 3, "low": 4, "again": 5, "later": 6}
    clock.forward(60)
    assert (await store.get("again")).position == 2


async def test_a_started_job_has_no_position(store: Store) -> None:
    await add(store, "one")
    await start(store, "one")
    assert (await store.get("one")).position is None


async def test_lists_are_newest_first_without_env_attempts_and_position(store: Store) -> None:
    await add(store, "one", "two", env={"TOKEN": "secret"})
    await run(store, "one")
    page = await store.list(JobFilter(), page_size=10)
    assert [job.id for job in page.jobs] == ["two", "one"]
    assert all((job.spec.env, job.attempts, job.position) == ({}, [], None) for job in page.jobs)
    assert page.jobs[1].activity is Activity.CREATING
    assert page.next_after is None


async def test_pages_neither_repeat_nor_hide_jobs_while_others_come_and_go(store: Store) -> None:
    names = [f"job-{i}" for i in range(6)]
    await add(store, *names)
    first = await store.list(JobFilter(), page_size=2)
    await add(store, "newer")
    await store.request_cancel("job-3", START)
    await store.delete("job-3")
    rest = await store.list(JobFilter(), page_size=10, after=first.next_after)
    assert [job.id for job in (*first.jobs, *rest.jobs)] == ["job-5", "job-4", "job-2", "job-1", "job-0"]


async def test_a_page_that_ends_exactly_with_the_last_job_is_the_last(store: Store) -> None:
    await add(store, "one", "two")
    assert (await store.list(JobFilter(), page_size=2)).next_after is None


async def test_every_filter_and_their_combination(store: Store) -> None:
    await store.submit(
        [
            new_job("alpha-1", name="train", labels={"team": "blue", "kind": "x"}),
            new_job("alpha-2", name="train_2", labels={"team": "red"}, at=START + timedelta(seconds=10)),
            new_job("beta-1", name="trainX2", labels={"kind": ""}, at=START + timedelta(seconds=20)),
        ],
        ROOM,
    )
    await run(store, "alpha-1")
    queued, running = frozenset({JobState.QUEUED}), frozenset({JobState.RUNNING})
    assert await ids(store, JobFilter(states=queued)) == ["beta-1", "alpha-2"]
    assert await ids(store, JobFilter(states=queued | running)) == ["beta-1", "alpha-2", "alpha-1"]
    assert await ids(store, JobFilter(labels=(("team", "blue"),))) == ["alpha-1"]
    assert await ids(store, JobFilter(labels=(("kind", None),))) == ["beta-1", "alpha-1"]
    assert await ids(store, JobFilter(labels=(("kind", ""),))) == ["beta-1"]
    assert await ids(store, JobFilter(labels=(("team", None), ("kind", "x")))) == ["alpha-1"]
    assert await ids(store, JobFilter(name="train")) == ["alpha-1"]
    assert await ids(store, JobFilter(name_prefix="train_")) == ["alpha-2"]  # no character is a wild card
    assert await ids(store, JobFilter(id_prefix="alpha")) == ["alpha-2", "alpha-1"]
    assert await ids(store, JobFilter(since=START + timedelta(seconds=10))) == ["beta-1", "alpha-2"]
    assert await ids(store, JobFilter(until=START + timedelta(seconds=10))) == ["alpha-1"]
    assert await ids(store, JobFilter(states=queued, name_prefix="t", labels=(("team", None),))) == ["alpha-2"]


_STATES = (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED, JobState.CANCELLED)
_JOBS = st.lists(
    st.tuples(
        st.sampled_from(_STATES),
        st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")),
        st.sampled_from((None, "n", "nn", "m")),
    ),
    max_size=12,
)
_FILTERS = st.builds(
    JobFilter,
    states=st.frozensets(st.sampled_from(_STATES)),
    labels=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(("x", "y", None))), max_size=2).map(tuple),
    name=st.sampled_from((None, None, "n")),
    name_prefix=st.sampled_from((None, None, "n")),
)


def _matches(job: Job, which: JobFilter) -> bool:
    labels = job.spec.labels
    return (
        (not which.states or job.state in which.states)
        and all(key in labels and value in (None, labels[key]) for key, value in which.labels)
        and (which.name is None or job.spec.name == which.name)
        and (which.name_prefix is None or (job.spec.name or "").startswith(which.name_prefix))
    )


@settings(max_examples=40, deadline=None)
@given(wanted=_JOBS, which=_FILTERS, page_size=st.integers(1, 5))
async def test_pages_hold_exactly_the_jobs_that_match(
    wanted: list[tuple[JobState, dict[str, str], str | None]], which: JobFilter, page_size: int
) -> None:
    store = SqlStore(None, clock=Clock())
    await store.open()
    for i, (state, labels, name) in enumerate(wanted):
        await add(store, f"job-{i}", labels=labels, name=name)
        if state is JobState.CANCELLED:
            await store.request_cancel(f"job-{i}", START)
        elif state is JobState.RUNNING:
            await run(store, f"job-{i}")
        elif state is JobState.SUCCEEDED:
            await finish(store, f"job-{i}")
    everything = (await store.list(JobFilter(), page_size=100)).jobs
    expected = [job.id for job in everything if _matches(job, which)]
    assert await ids(store, which, page_size=page_size) == expected
    await store.close()


async def test_counts_are_by_state_and_reason(store: Store) -> None:
    await add(store, "a", "b", "c", "d")
    await finish(store, "a", JobState.FAILED, reason="OOMKilled", exit_code=137)
    await finish(store, "b")
    await run(store, "c")
    assert await store.counts() == {
        (JobState.FAILED, "OOMKilled"): 1,
        (JobState.SUCCEEDED, None): 1,
        (JobState.RUNNING, None): 1,
        (JobState.QUEUED, None): 1,
    }


async def test_events_go_on_after_a_number_and_by_job(store: Store) -> None:
    await add(store, "one", "two")
    await finish(store, "one")
    events = await store.events(0)
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert [event.target for event in events if event.job_id == "one"] == [
        JobState.QUEUED,
        JobState.STARTING,
        JobState.RUNNING,
        JobState.SUCCEEDED,
    ]
    assert await store.events(3) == events[3:]
    assert [event.seq for event in await store.events(1, limit=2)] == [2, 3]
    assert await store.events(1, job_id="one") == events[2:]
    assert await store.last_event() == 5


async def test_each_event_holds_the_job_of_its_moment(store: Store) -> None:
    await add(store, "one")
    await finish(store, "one", JobState.FAILED, reason="NonZeroExit", exit_code=3)
    events = await store.events(0)
    assert [event.job.state for event in events] == [event.target for event in events]
    assert [event.job.exit_code for event in events] == [None, None, None, 3]
    assert [event.source for event in events] == [None, JobState.QUEUED, JobState.STARTING, JobState.RUNNING]
    assert [event.reason for event in events] == [None, None, None, "NonZeroExit"]


async def test_a_reader_that_missed_forgotten_events_is_told(store: Store) -> None:
    await add(store, "gone", "kept")
    await store.request_cancel("gone", START)
    await store.delete("gone")
    with pytest.raises(EventsGone):
        await store.events(2)
    assert await store.events(3) == []
    assert [event.seq for event in await store.events(0, job_id="kept")] == [2]
    assert await store.last_event() == 3


async def test_a_reader_that_is_ahead_of_the_store_is_told(store: Store) -> None:
    """It has followed a store that this one is an older copy of: what comes next is not what it waits for."""
    await add(store, "one")
    assert await store.events(1) == []
    for job_id in (None, "one"):
        with pytest.raises(EventsGone, match="no event 2 yet"):
            await store.events(2, job_id=job_id)


async def test_the_queue_status_tells_waiting_backoff_and_running_apart(store: Store, clock: Clock) -> None:
    empty = await store.queue_status()
    assert (empty.depth, empty.oldest_created_at, empty.paused) == (0, None, False)
    await add(store, "again", "runs")
    record = await run(store, "again")
    await retry(store, record.key, not_before=clock() + timedelta(seconds=60))
    await start(store, "runs")
    await add(store, "waits", at=START + timedelta(seconds=5))
    status = await store.queue_status()
    assert (status.depth, status.backoff, status.running, status.oldest_created_at) == (2, 1, 2, START)
    clock.forward(60)
    assert (await store.queue_status()).backoff == 0


async def queue_of_five(store: Store, clock: Clock) -> datetime:
    """Three that are due and two in backoff, one of which comes second by priority; until when that one waits."""
    await add(store, "again", priority=3)
    await add(store, "last")
    for name, wait in (("again", 60), ("last", 90)):
        await retry(store, (await run(store, name)).key, not_before=clock() + timedelta(seconds=wait))
    await add(store, "a", "b", at=START + timedelta(seconds=1))
    await add(store, "high", priority=5, name="urgent")
    return clock() + timedelta(seconds=60)


async def test_the_first_in_the_queue_come_in_their_order_with_their_places(store: Store, clock: Clock) -> None:
    again_at = await queue_of_five(store, clock)
    status = await store.queue_status(first=20)
    assert [each.id for each in status.first] == ["high", "a", "b", "again", "last"]
    assert (status.first[0].name, status.first[0].priority, status.first[1].name) == ("urgent", 5, None)
    assert status.first[1].created_at == START + timedelta(seconds=1)
    assert [each.place for each in status.first[:4]] == [
        Place(ahead=0),
        Place(ahead=1),
        Place(ahead=2),
        Place(ahead=1, overtaking=2, not_before=again_at),
    ]
    assert [each.id for each in (await store.queue_status(first=2)).first] == ["high", "a"]
    assert [each.id for each in (await store.queue_status(first=4)).first] == ["high", "a", "b", "again"]
    assert (await store.queue_status()).first == []


async def test_a_queued_jobs_standing_is_its_place_and_the_slots(store: Store, clock: Clock) -> None:
    await queue_of_five(store, clock)
    status = await store.queue_status(first=20)
    for position, each in enumerate(status.first, 1):
        job, standing = await store.standing(each.id)
        assert standing == Standing(place=each.place, use=status.use, paused=False)
        assert job == await store.get(each.id)
        assert job.position == position
    await store.set_paused(True)
    _, standing = await store.standing("a")
    assert standing is not None
    assert standing.paused
    await store.set_paused(False)
    await start(store, "a")
    assert (await store.standing("a"))[1] is None
    with pytest.raises(JobNotFound):
        await store.standing("nobody")


async def test_slots_are_held_from_the_claim_until_the_attempt_is_over(store: Store, clock: Clock) -> None:
    await add(store, *(f"job-{i}" for i in range(60)))
    for i in range(58):
        record = await run(store, f"job-{i}", at=clock())
        await store.note(record.key, AttemptChanges(phase=Phase.OVER, over_at=clock.forward(i)))
    await start(store, "job-58", at=clock())
    later = await start(store, "job-59", at=clock.forward(5))
    use = (await store.queue_status()).use
    assert list(use.held_since) == [later.claimed_at - timedelta(seconds=5), later.claimed_at]
    assert list(use.holds) == [timedelta(seconds=i) for i in range(57, 7, -1)]  # the latest fifty
