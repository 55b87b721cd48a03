"""What the tests of stores do over and over: a clock by hand, jobs, and their ways to an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from spark_jobs.domain.attempt import AttemptChanges, AttemptKey, AttemptRecord, Outcome, Phase, Transition
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import Cause, JobState
from spark_jobs.store.base import NewClaim, NewJob, QueueBound, Store

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ROOM = QueueBound(queue_size=1000, slots=10)


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> datetime:
        """Let time pass; returns the new time."""
        self.now += timedelta(seconds=seconds)
        return self.now


def new_job(job_id: str, *, key: str | None = None, digest: str = "d", at: datetime = START, **spec: Any) -> NewJob:
    """A submission whose id is the user's own."""
    return NewJob(
        id=job_id, id_given=True, spec=JobSpec(image="busybox:1", **spec), digest=digest, idempotency_key=key, at=at
    )


async def add(store: Store, *ids: str, at: datetime = START, **spec: Any) -> None:
    """Submit jobs, one after the other."""
    for job_id in ids:
        await store.submit([new_job(job_id, at=at, **spec)], ROOM)


def claim_of(job_id: str, *, attempt: int = 1, at: datetime = START) -> NewClaim:
    """The wish to start a job."""
    return NewClaim(
        job_id=job_id,
        claim=f"claim-{job_id}-{attempt}",
        kubernetes_name=f"spark-{job_id}-{attempt}",
        cluster="fake",
        namespace="default",
        at=at,
    )


async def start(store: Store, job_id: str, *, at: datetime = START) -> AttemptRecord:
    """Claim a job."""
    (record,) = await store.claim([claim_of(job_id, at=at)], slots=1000)
    return record


async def run(store: Store, job_id: str, *, at: datetime = START) -> AttemptRecord:
    """Claim a job, and see its container run."""
    record = await start(store, job_id, at=at)
    changes = AttemptChanges(phase=Phase.RUNNING, running_at=at, started_at=at)
    running = await store.apply(
        Transition(
            job_id=job_id,
            attempt=record.attempt,
            cause=Cause.CONTAINER_RUNNING,
            target=JobState.RUNNING,
            at=at,
            changes=changes,
        )
    )
    assert running is not None
    return running


def ended(key: AttemptKey, state: JobState, *, at: datetime = START, **outcome: Any) -> Transition:
    """The end of a container."""
    return Transition(
        job_id=key.job_id,
        attempt=key.attempt,
        cause=Cause.CONTAINER_ENDED,
        target=state,
        at=at,
        outcome=Outcome(state=state, cause=Cause.CONTAINER_ENDED, **outcome),
    )


async def close(store: Store, key: AttemptKey, *, at: datetime = START) -> None:
    """Let go of everything in the cluster."""
    await store.note(key, AttemptChanges(phase=Phase.CLOSED, over_at=at, closed_at=at))


async def finish(
    store: Store, job_id: str, state: JobState = JobState.SUCCEEDED, *, at: datetime = START, **outcome: Any
) -> AttemptKey:
    """A job's whole way, from the queue to its end, its objects gone."""
    record = await run(store, job_id, at=at)
    await store.apply(ended(record.key, state, at=at, **outcome))
    await close(store, record.key, at=at)
    return record.key


async def retry(store: Store, key: AttemptKey, *, not_before: datetime, at: datetime = START) -> None:
    """The end of an attempt that another one is to follow."""
    outcome = Outcome(
        state=JobState.FAILED, cause=Cause.CONTAINER_ENDED, reason="NonZeroExit", message="exit code 1", exit_code=1
    )
    await store.apply(
        Transition(
            job_id=key.job_id,
            attempt=key.attempt,
            cause=Cause.RETRY,
            target=JobState.QUEUED,
            at=at,
            outcome=outcome,
            not_before=not_before,
        )
    )
