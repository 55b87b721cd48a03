"""Submissions: replays are found, the bound is counted, and all is stored, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select

from spark_jobs.domain.errors import IdConflict, IdempotencyConflict, QueueFull
from spark_jobs.domain.job import Activity, Job
from spark_jobs.domain.schedule import Place, expected_turns
from spark_jobs.domain.spec import limit_seconds
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import NewJob, QueueBound, Submitted
from spark_jobs.store.sql import events, numbers, queue
from spark_jobs.store.sql.jobs import whole_job
from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.tables import jobs, labels
from spark_jobs.store.sql.writer import Tx

_DIGEST = Prepared(select(jobs.c.digest).where(jobs.c.id == bindparam("job_id")))
_BY_KEY = Prepared(select(jobs.c.id, jobs.c.digest).where(jobs.c.idempotency_key == bindparam("key")))
_INSERT_JOB = Prepared(insert(jobs))
_INSERT_LABEL = Prepared(insert(labels))
_EMPTY = dict.fromkeys(jobs.c.keys())
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 30.0  # seconds
_WAIT_UNKNOWN = 5.0


class _Known:
    """Ids and keys that are taken, by the store or by an earlier job of the same call."""

    def __init__(self, tx: Tx, new: Sequence[NewJob]) -> None:
        self.digest: dict[str, str] = {}
        self.by_key: dict[str, tuple[str, str]] = {}
        for job in new:
            digest = _DIGEST.value(tx.connection, {"job_id": job.id})
            if digest is not None:
                self.digest[job.id] = digest
            if job.idempotency_key is not None:
                row = _BY_KEY.row(tx.connection, {"key": job.idempotency_key})
                if row is not None:
                    self.by_key[job.idempotency_key] = (row["id"], row["digest"])

    def replayed(self, job: NewJob) -> str | None:
        """The id of the job that this one repeats; null for a new one, which is known from now on.

        Raises:
            IdConflict, IdempotencyConflict: it is neither new nor a repeat.
        """
        if job.idempotency_key is not None and job.idempotency_key in self.by_key:
            known_id, digest = self.by_key[job.idempotency_key]
            if digest != job.digest:
                raise IdempotencyConflict(
                    f"the idempotency key {job.idempotency_key!r} was used for another job ({known_id}); take a new key"
                )
            return known_id
        if job.id in self.digest:
            if not job.id_given or self.digest[job.id] != job.digest:
                raise IdConflict(f"there is another job with the id {job.id!r}; take another id, or leave it out")
            return job.id
        self.digest[job.id] = job.digest
        if job.idempotency_key is not None:
            self.by_key[job.idempotency_key] = (job.id, job.digest)
        return None


def submit(tx: Tx, new: Sequence[NewJob], bound: QueueBound, now: datetime) -> list[Submitted]:
    """See ``ServiceStore.submit``."""
    known = _Known(tx, new)
    repeats = [known.replayed(job) for job in new]
    fresh = [job for job, repeat in zip(new, repeats, strict=True) if repeat is None]
    made: dict[str, Job] = {}
    if fresh:
        _check_room(tx, len(fresh), bound, now)
        made = {job.id: job for job in _store(tx, fresh)}
        tx.queue_changed = True
    return [
        Submitted(job=made[job.id], replayed=False)
        if repeat is None
        else Submitted(job=whole_job(tx.connection, repeat, now), replayed=True)
        for job, repeat in zip(new, repeats, strict=True)
    ]


def _check_room(tx: Tx, wanted: int, bound: QueueBound, now: datetime) -> None:
    connection = tx.connection
    paused = queue.is_paused(connection)
    slots = 0 if paused else max(0, bound.slots - queue.in_use(connection))
    free = max(0, bound.queue_size + slots - queue.waiting(connection))
    if wanted > free:
        what = "this job" if wanted == 1 else f"{wanted} jobs"
        raise QueueFull(
            f"the queue has no room for {what}: it takes {free} more (queue_size {bound.queue_size}); try again later",
            free=free,
            retry_after=_LONGEST_WAIT if paused else _wait(tx, wanted - free, bound.slots, now),
        )


def _wait(tx: Tx, missing: int, slots: int, now: datetime) -> float:
    """Seconds until ``missing`` jobs are expected to have left the queue."""
    turns = expected_turns(queue.slot_use(tx.connection), slots=slots, now=now)
    if turns is None:
        return _WAIT_UNKNOWN
    start = turns.start_of(Place(ahead=missing - 1))
    seconds = _LONGEST_WAIT if start is None else (start - now).total_seconds()
    return min(_LONGEST_WAIT, max(_SHORTEST_WAIT, seconds))


def _store(tx: Tx, new: Sequence[NewJob]) -> list[Job]:
    numbered = [*enumerate(new, numbers.take(tx, "job_seq", len(new)))]
    _INSERT_JOB.run_each(tx.connection, [_row(seq, job) for seq, job in numbered])
    tags = [
        {"job_seq": seq, "key": key, "value": value} for seq, job in numbered for key, value in job.spec.labels.items()
    ]
    _INSERT_LABEL.run_each(tx.connection, tags)
    made = [_view(job) for job in new]
    events.record(tx, [events.Change(job, None, None, job.created_at) for job in made])
    return made


def _row(seq: int, job: NewJob) -> dict[str, Any]:
    wait = limit_seconds(job.spec.queue_timeout)
    return {
        **_EMPTY,
        "seq": seq,
        "id": job.id,
        "state": JobState.QUEUED,
        "retry_of": job.retry_of,
        "created_at": job.at,
        "spec": job.spec,
        "name": job.spec.name,
        "priority": job.spec.priority or 0,
        "queue_deadline": None if wait is None else job.at + timedelta(seconds=wait),
        "attempt": 0,
        "id_given": job.id_given,
        "digest": job.digest,
        "idempotency_key": job.idempotency_key,
        "logs_kept": True,
    }


def _view(job: NewJob) -> Job:
    return Job(
        id=job.id,
        state=JobState.QUEUED,
        activity=Activity.QUEUED,
        retry_of=job.retry_of,
        created_at=job.at,
        spec=job.spec,
    )
