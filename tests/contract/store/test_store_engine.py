"""What the engine relies on: claims, notes, transitions, and what is due."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from spark_jobs.domain.attempt import AttemptChanges, AttemptKey, Outcome, Phase, StopCause, Transition
from spark_jobs.domain.errors import AttemptNotFound, IllegalTransition, JobNotFound, NotCancellable, NotDeletable
from spark_jobs.domain.job import Activity, LogState
from spark_jobs.domain.state import TERMINAL, Cause, JobState
from spark_jobs.store.base import LogChunk, LogPoint, Store
from tests.contract.store.acts import (
    ROOM,
    START,
    Clock,
    add,
    claim_of,
    close,
    ended,
    finish,
    new_job,
    retry,
    run,
    start,
)

LATER = START + timedelta(seconds=30)


def queue_limit(job_id: str) -> Transition:
    """The end of a job that waited too long."""
    outcome = Outcome(
        state=JobState.FAILED, cause=Cause.QUEUE_LIMIT, reason="QueueTimeout", message="no slot came free"
    )
    return Transition(
        job_id=job_id, attempt=None, cause=Cause.QUEUE_LIMIT, target=JobState.FAILED, at=LATER, outcome=outcome
    )


# The queue


async def test_candidates_come_by_priority_then_submission(store: Store) -> None:
    """Invariant 3."""
    await add(store, "a", "b")
    await add(store, "high", priority=5, namespace="other")
    await add(store, "c")
    found = await store.candidates(START, limit=3)
    assert [each.job_id for each in found] == ["high", "a", "b"]
    assert (found[0].namespace, found[0].attempt, found[0].priority) == ("other", 1, 5)


async def test_a_retry_is_a_candidate_once_its_time_has_come(store: Store, clock: Clock) -> None:
    await add(store, "again", "other")
    record = await run(store, "again")
    await retry(store, record.key, not_before=LATER)
    assert [each.job_id for each in await store.candidates(START, limit=10)] == ["other"]
    assert await store.next_due() == LATER
    due = await store.candidates(LATER, limit=10)
    assert [(each.job_id, each.attempt) for each in due] == [("again", 2), ("other", 1)]
    clock.forward(30)
    assert await store.next_due() is None


async def test_queue_limits_count_from_the_submission_until_the_first_start(store: Store) -> None:
    await add(store, "waits", queue_timeout=20.0)
    await add(store, "started", queue_timeout=10.0)
    await add(store, "patient", queue_timeout="none")
    record = await run(store, "started")
    await retry(store, record.key, not_before=START)
    assert await store.next_due() == START + timedelta(seconds=20)
    assert await store.queue_overdue(START + timedelta(seconds=19)) == []
    assert await store.queue_overdue(LATER) == ["waits"]
    await store.apply(queue_limit("waits"))
    assert await store.queue_overdue(LATER) == []
    job = await store.get("waits")
    assert (job.state, job.reason, job.finished_at, job.exit_code) == (JobState.FAILED, "QueueTimeout", LATER, None)
    assert job.attempts == []


# Claims


async def test_a_claim_starts_a_job_with_a_new_attempt(store: Store) -> None:
    await add(store, "one", env={"A": "b"})
    (record,) = await store.claim([claim_of("one", at=LATER)], slots=1)
    assert record.key == AttemptKey("one", 1)
    assert (record.phase, record.state, record.claim) == (Phase.CLAIMED, JobState.STARTING, "claim-one-1")
    assert (record.claimed_at, record.spec.env, record.kubernetes_name) == (LATER, {"A": "b"}, "spark-one-1")
    assert await store.attempt(record.key) == record
    assert await store.open_attempts() == [record]
    job = await store.get("one")
    assert (job.state, job.activity) == (JobState.STARTING, Activity.CREATING)
    (attempt,) = job.attempts
    assert (attempt.attempt, attempt.state, attempt.kubernetes_job) == (1, JobState.STARTING, "spark-one-1")
    assert (attempt.cluster, attempt.namespace, attempt.claimed_at) == ("fake", "default", LATER)
    assert (attempt.log.state, attempt.log.complete) == (LogState.COLLECTING, False)


async def test_claims_never_exceed_the_slots(store: Store) -> None:
    """Invariant 2."""
    await add(store, *(f"job-{i}" for i in range(8)))
    wishes = [claim_of(f"job-{i}") for i in range(8)]
    answers = await asyncio.gather(*(store.claim(wishes[i : i + 2], slots=3) for i in range(0, 8, 2)))
    assert sum(len(answer) for answer in answers) == 3
    assert await store.usage() == (3, False)


async def test_a_claim_leaves_out_jobs_that_are_no_longer_queued(store: Store) -> None:
    await add(store, "a", "b", "c")
    await start(store, "a")
    await store.request_cancel("b", START)
    claimed = await store.claim([claim_of(name) for name in ("a", "b", "c", "unknown")], slots=10)
    assert [record.job_id for record in claimed] == ["c"]


async def test_a_paused_queue_gives_out_no_slots(store: Store) -> None:
    await add(store, "a")
    await store.set_paused(True)
    assert await store.claim([claim_of("a")], slots=10) == []
    assert await store.usage() == (0, True)
    await store.set_paused(False)
    assert len(await store.claim([claim_of("a")], slots=10)) == 1


async def test_a_slot_is_held_until_the_attempt_is_over(store: Store, clock: Clock) -> None:
    """Invariant 2: a job that is terminal still holds its slot while its pod is not seen over."""
    await add(store, "one")
    record = await run(store, "one")
    await store.apply(ended(record.key, JobState.SUCCEEDED))
    assert (await store.usage())[0] == 1
    over = await store.note(record.key, AttemptChanges(phase=Phase.OVER))
    assert over.over_at == clock()
    assert (await store.usage())[0] == 0
    assert [each.key for each in await store.open_attempts()] == [record.key]
    closed = await store.note(record.key, AttemptChanges(phase=Phase.CLOSED))
    assert closed.closed_at == clock()
    assert await store.open_attempts() == []


async def test_open_attempts_come_in_the_order_of_their_claims(store: Store) -> None:
    await add(store, "a", "b", "c")
    for name in ("c", "a", "b"):
        await start(store, name)
    await close(store, AttemptKey("a", 1))
    assert [record.job_id for record in await store.open_attempts()] == ["c", "b"]


# Notes


async def test_a_note_writes_what_it_names_and_nothing_else(store: Store) -> None:
    await add(store, "one")
    record = await start(store, "one")
    changes = AttemptChanges(uid="u-1", activity=Activity.PULLING, reason="ErrImagePull", message="no such image")
    noted = await store.note(record.key, changes)
    expected = msgspec.structs.replace(
        record, uid="u-1", activity=Activity.PULLING, reason="ErrImagePull", message="no such image"
    )
    assert noted == expected
    assert await store.attempt(record.key) == expected
    cleared = await store.note(record.key, AttemptChanges(reason=None))
    assert (cleared.reason, cleared.message) == (None, "no such image")


async def test_the_job_shows_what_its_attempt_waits_for_with_a_hint(store: Store) -> None:
    await add(store, "one")
    record = await start(store, "one")
    await store.note(record.key, AttemptChanges(activity=Activity.PULLING, reason="ErrImagePull", message="no image"))
    job = await store.get("one")
    assert (job.activity, job.reason, job.message) == (Activity.PULLING, "ErrImagePull", "no image")
    assert job.hint is not None
    assert job.attempts[0].reason == "ErrImagePull"
    message = "container has runAsNonRoot and image will run as root"
    await store.note(record.key, AttemptChanges(reason="CreateContainerConfigError", message=message))
    assert "run_as_user" in ((await store.get("one")).hint or "")


async def test_the_first_wish_to_stop_stays_with_all_that_belongs_to_it(store: Store) -> None:
    await add(store, "one")
    record = await start(store, "one")
    first = AttemptChanges(phase=Phase.STOPPING, stop_cause=StopCause.TIME_LIMIT, stop_at=START, stop_message="first")
    second = AttemptChanges(stop_cause=StopCause.CANCEL, stop_at=LATER, stop_message="second", node="n1")
    await store.note(record.key, first)
    noted = await store.note(record.key, second)
    assert (noted.stop_cause, noted.stop_at, noted.stop_message) == (StopCause.TIME_LIMIT, START, "first")
    assert noted.node == "n1"


async def test_an_unknown_attempt_is_not_found(store: Store) -> None:
    await add(store, "one")
    with pytest.raises(AttemptNotFound):
        await store.attempt(AttemptKey("one", 1))
    with pytest.raises(AttemptNotFound):
        await store.note(AttemptKey("one", 1), AttemptChanges(uid="u"))


# Transitions


async def test_a_running_container_starts_the_job(store: Store) -> None:
    await add(store, "one")
    await run(store, "one", at=LATER)
    job = await store.get("one")
    assert (job.state, job.started_at, job.finished_at) == (JobState.RUNNING, LATER, None)
    assert job.attempts[0].state is JobState.RUNNING


async def test_where_the_cluster_names_no_start_our_own_sight_counts(store: Store) -> None:
    await add(store, "one")
    record = await start(store, "one")
    await store.note(record.key, AttemptChanges(running_at=LATER))
    running = Transition(
        job_id="one", attempt=1, cause=Cause.CONTAINER_RUNNING, target=JobState.RUNNING, at=LATER + timedelta(seconds=1)
    )
    await store.apply(running)
    assert (await store.get("one")).started_at == LATER


async def test_an_end_gives_the_job_its_outcome_and_times(store: Store) -> None:
    await add(store, "one")
    record = await run(store, "one")
    end = LATER - timedelta(seconds=3)
    transition = ended(
        record.key, JobState.FAILED, at=LATER, reason="NonZeroExit", message="exit code 7", exit_code=7, result="r"
    )
    after = await store.apply(msgspec.structs.replace(transition, changes=AttemptChanges(finished_at=end, pod="p-1")))
    assert after is not None
    assert (after.state, after.outcome, after.pod) == (JobState.FAILED, transition.outcome, "p-1")
    job = await store.get("one")
    assert (job.state, job.reason, job.message, job.exit_code, job.result) == (
        *(JobState.FAILED, "NonZeroExit", "exit code 7"),
        *(7, "r"),
    )
    assert (job.started_at, job.finished_at, job.activity) == (START, end, None)
    attempt = job.attempts[0]
    assert (attempt.state, attempt.exit_code, attempt.result) == (JobState.FAILED, 7, "r")


async def test_an_end_the_cluster_gave_no_time_for_has_the_transitions(store: Store) -> None:
    await add(store, "one")
    record = await start(store, "one")
    outcome = Outcome(state=JobState.FAILED, cause=Cause.NOT_STARTED, reason="ImagePullBackOff")
    await store.apply(
        Transition(job_id="one", attempt=1, cause=Cause.NOT_STARTED, target=JobState.FAILED, at=LATER, outcome=outcome)
    )
    job = await store.get(record.job_id)
    assert (job.finished_at, job.started_at, job.exit_code) == (LATER, None, None)


async def test_a_retry_puts_the_job_back_and_leaves_the_attempt_its_end(store: Store, clock: Clock) -> None:
    await add(store, "one")
    record = await run(store, "one")
    await retry(store, record.key, not_before=LATER)
    job = await store.get("one")
    assert (job.state, job.activity, job.reason) == (JobState.QUEUED, Activity.BACKOFF, "RetryBackoff")
    assert (job.not_before, job.finished_at, job.exit_code) == (LATER, None, 1)
    assert (job.attempts[0].state, job.attempts[0].reason) == (JobState.FAILED, "NonZeroExit")
    clock.forward(30)
    assert (await store.get("one")).activity is Activity.QUEUED
    again = await start(store, "one", at=LATER)
    assert again.attempt == 2
    job = await store.get("one")
    assert (job.reason, job.exit_code, job.started_at, job.not_before) == (None, None, None, None)
    assert [attempt.attempt for attempt in job.attempts] == [1, 2]


@pytest.mark.parametrize("end", sorted(TERMINAL))
async def test_an_end_never_changes(store: Store, end: JobState) -> None:
    """Invariant 5."""
    await add(store, "one")
    record = await run(store, "one")
    causes = {JobState.CANCELLED: Cause.CANCELLED, JobState.TIMED_OUT: Cause.TIME_LIMIT}
    outcome = Outcome(state=end, cause=causes.get(end, Cause.CONTAINER_ENDED))
    transition = Transition(job_id="one", attempt=1, cause=outcome.cause, target=end, at=START, outcome=outcome)
    await store.apply(transition)
    before = await store.get("one")
    for cause in Cause:
        for target in JobState:
            with pytest.raises(IllegalTransition):
                await store.apply(msgspec.structs.replace(transition, cause=cause, target=target, at=LATER))
    assert await store.get("one") == before
    assert record.job_id == before.id


async def test_a_claim_is_not_something_to_apply(store: Store) -> None:
    await add(store, "one")
    with pytest.raises(IllegalTransition):
        await store.apply(
            Transition(job_id="one", attempt=None, cause=Cause.CLAIMED, target=JobState.STARTING, at=START)
        )
    assert (await store.get("one")).state is JobState.QUEUED


async def test_only_the_latest_attempt_can_change_its_job(store: Store) -> None:
    await add(store, "one")
    first = await run(store, "one")
    await retry(store, first.key, not_before=START)
    await start(store, "one")
    with pytest.raises(IllegalTransition, match="latest"):
        await store.apply(ended(first.key, JobState.SUCCEEDED))
    with pytest.raises(IllegalTransition, match="attempt"):
        await store.apply(msgspec.structs.replace(ended(first.key, JobState.SUCCEEDED), attempt=None))


async def test_a_refused_transition_writes_nothing_at_all(store: Store) -> None:
    await add(store, "one")
    record = await run(store, "one")
    last = await store.last_event()
    wrong = msgspec.structs.replace(
        ended(record.key, JobState.SUCCEEDED), outcome=None, changes=AttemptChanges(pod="never")
    )
    with pytest.raises(IllegalTransition, match="outcome"):
        await store.apply(wrong)
    assert await store.attempt(record.key) == record
    assert await store.last_event() == last


async def test_a_transition_of_an_unknown_job_is_not_found(store: Store) -> None:
    with pytest.raises(JobNotFound):
        await store.apply(queue_limit("nobody"))


# Wishes


async def test_a_queued_job_is_cancelled_at_once(store: Store) -> None:
    await add(store, "one")
    job = await store.request_cancel("one", LATER)
    assert (job.state, job.reason, job.finished_at) == (JobState.CANCELLED, "Cancelled", LATER)
    assert (job.cancel_requested_at, job.attempts) == (LATER, [])
    assert await store.candidates(LATER, limit=10) == []
    assert (await store.events(0))[-1].target is JobState.CANCELLED


async def test_a_second_cancel_gives_the_same_answer(store: Store) -> None:
    await add(store, "queued", "started")
    await run(store, "started")
    for name in ("queued", "started"):
        first = await store.request_cancel(name, START)
        assert await store.request_cancel(name, LATER) == first
    assert await store.last_event() == 5


async def test_a_wish_to_cancel_is_recorded_for_a_job_that_has_started(store: Store) -> None:
    await add(store, "one")
    record = await run(store, "one")
    job = await store.request_cancel("one", LATER)
    assert (job.state, job.cancel_requested_at) == (JobState.RUNNING, LATER)
    assert (await store.attempt(record.key)).cancel_requested_at == LATER


async def test_a_job_that_waits_for_a_retry_is_cancelled_at_once_and_keeps_its_exit_code(store: Store) -> None:
    await add(store, "one")
    record = await run(store, "one")
    await retry(store, record.key, not_before=LATER)
    job = await store.request_cancel("one", START)
    assert (job.state, job.exit_code, job.not_before) == (JobState.CANCELLED, 1, None)
    assert job.message == "cancelled between two attempts"


async def test_what_ended_otherwise_is_not_cancellable(store: Store) -> None:
    await add(store, "one")
    await finish(store, "one")
    with pytest.raises(NotCancellable, match="SUCCEEDED"):
        await store.request_cancel("one", LATER)
    with pytest.raises(JobNotFound):
        await store.request_cancel("nobody", LATER)


async def test_only_what_is_over_and_out_of_the_cluster_is_deleted(store: Store) -> None:
    await add(store, "one", labels={"a": "b"})
    record = await run(store, "one")
    with pytest.raises(NotDeletable, match="RUNNING"):
        await store.delete("one")
    await store.apply(ended(record.key, JobState.SUCCEEDED))
    with pytest.raises(NotDeletable, match="cluster"):
        await store.delete("one")
    await store.log_append(record.key, [LogChunk(offset=0, line=0, data=b"x\n", stamps=(1,))], LogPoint(bytes=2))
    await close(store, record.key)
    await store.delete("one")
    for gone in (store.get("one"), store.delete("one")):
        with pytest.raises(JobNotFound):
            await gone
    assert await store.log_point(record.key) == LogPoint()
    assert await store.counts() == {}
    await store.submit([new_job("one", digest="another")], ROOM)
    assert (await store.get("one")).attempts == []
