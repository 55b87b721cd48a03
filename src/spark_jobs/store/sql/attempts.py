"""Attempts: claimed, changed, looked up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, update

from spark_jobs.domain.attempt import AttemptChanges, AttemptKey, AttemptRecord, Phase
from spark_jobs.domain.errors import AttemptNotFound
from spark_jobs.domain.reasons import is_programs_own
from spark_jobs.domain.state import Cause, JobState, check
from spark_jobs.store.base import NewClaim
from spark_jobs.store.sql import events, numbers, queue
from spark_jobs.store.sql.jobs import job_row
from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.tables import attempts, jobs
from spark_jobs.store.sql.views import job_of
from spark_jobs.store.sql.writer import Tx

_CHANGEABLE = AttemptChanges.__struct_fields__
_STOP = ("stop_cause", "stop_reason", "stop_message", "stop_at")
_OF_JOB = ("spec", "cancel_requested_at")

_RECORDS = select(
    *((jobs if name in _OF_JOB else attempts).c[name] for name in AttemptRecord.__struct_fields__)
).select_from(attempts.join(jobs, jobs.c.id == attempts.c.job_id))
_BY_KEY = Prepared(_RECORDS.where(attempts.c.job_id == bindparam("job_id"), attempts.c.attempt == bindparam("attempt")))
_OPEN = Prepared(_RECORDS.where(attempts.c.closed_at.is_(None)).order_by(attempts.c.seq))

_UPDATE = Prepared(
    update(attempts)
    .where(attempts.c.job_id == bindparam("key_job_id"), attempts.c.attempt == bindparam("key_attempt"))
    .values({name: bindparam(name) for name in ("state", *_CHANGEABLE)})
)
_START_JOB = Prepared(
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), queue.QUEUED)
    .values(
        state=JobState.STARTING,
        attempt=jobs.c.attempt + 1,
        reason=None,
        message=None,
        exit_code=None,
        result=None,
        started_at=None,
        not_before=None,
        queue_deadline=None,
    )
)
_INSERT = Prepared(insert(attempts))
_EMPTY = dict.fromkeys(attempts.c.keys())


def claim(tx: Tx, claims: Sequence[NewClaim], slots: int) -> list[AttemptRecord]:
    """See ``EngineStore.claim``."""
    if queue.is_paused(tx.connection):
        return []
    room = slots - queue.in_use(tx.connection)
    claimed: list[AttemptRecord] = []
    for wish in claims:
        if len(claimed) >= room:
            break
        record = _start(tx, wish)
        if record is not None:
            claimed.append(record)
    return claimed


def _start(tx: Tx, wish: NewClaim) -> AttemptRecord | None:
    if _START_JOB.run(tx.connection, {"job_id": wish.job_id}) != 1:
        return None
    check(JobState.QUEUED, Cause.CLAIMED, JobState.STARTING)
    row = job_row(tx.connection, wish.job_id)
    record = AttemptRecord(
        job_id=wish.job_id,
        attempt=row["attempt"],
        phase=Phase.CLAIMED,
        claim=wish.claim,
        cluster=wish.cluster,
        namespace=wish.namespace,
        kubernetes_name=wish.kubernetes_name,
        spec=row["spec"],
        claimed_at=wish.at,
        cancel_requested_at=row["cancel_requested_at"],
        losses=_losses(tx.connection, AttemptKey(wish.job_id, row["attempt"] - 1)),
    )
    _INSERT.run(tx.connection, _new_row(record, numbers.take(tx, "claim_seq")))
    row["doing"] = record.activity
    events.record(tx, [events.Change(job_of(row, wish.at), JobState.QUEUED, record.attempt, wish.at)])
    return record


def _losses(connection: Connection, key: AttemptKey) -> int:
    """How many attempts were lost to the cluster up to this one; 0 where there is none."""
    if key.attempt == 0:
        return 0
    before = find(connection, key)
    reason = before.outcome.reason if before.outcome else None
    return before.losses + (0 if is_programs_own(reason) else 1)


def _new_row(record: AttemptRecord, seq: int) -> dict[str, Any]:
    return {
        **_EMPTY,
        "seq": seq,
        "job_id": record.job_id,
        "attempt": record.attempt,
        "state": record.state,
        "phase": record.phase,
        "claim": record.claim,
        "cluster": record.cluster,
        "namespace": record.namespace,
        "kubernetes_name": record.kubernetes_name,
        "claimed_at": record.claimed_at,
        "activity": record.activity,
        "log_state": record.log_state,
        "log_bytes": record.log_bytes,
        "log_lines": record.log_lines,
        "log_kept": True,
        "losses": record.losses,
        "events": record.events,
    }


def find(connection: Connection, key: AttemptKey) -> AttemptRecord:
    """See ``EngineStore.attempt``."""
    row = _BY_KEY.row(connection, {"job_id": key.job_id, "attempt": key.attempt})
    if row is None:
        raise AttemptNotFound(f"job {key.job_id!r} has no attempt {key.attempt}")
    return AttemptRecord(**row)


def open_ones(connection: Connection) -> list[AttemptRecord]:
    """See ``EngineStore.open_attempts``."""
    return [AttemptRecord(**row) for row in _OPEN.rows(connection)]


def note(
    tx: Tx, key: AttemptKey, changes: AttemptChanges, now: datetime, state: JobState | None = None
) -> AttemptRecord:
    """See ``EngineStore.note``. ``state`` is the attempt's new one, where it comes with a transition."""
    before = find(tx.connection, key)
    after = changed(before, changes, now)
    if state is not None:
        after = msgspec.structs.replace(after, state=state)
    if after != before:
        values = {name: getattr(after, name) for name in ("state", *_CHANGEABLE)}
        _UPDATE.run(tx.connection, {**values, "key_job_id": key.job_id, "key_attempt": key.attempt})
        tx.archive_due = tx.archive_due or (after.archive_due_at is not None and after.state.is_terminal)
    return after


def changed(record: AttemptRecord, changes: AttemptChanges, now: datetime) -> AttemptRecord:
    """The record with the changes; of two wishes to stop, the first counts, with all that belongs to it.

    A slot is free exactly where ``over_at`` is set, so a phase that frees it never leaves that empty.
    """
    given = {name: value for name in _CHANGEABLE if (value := getattr(changes, name)) is not msgspec.UNSET}
    if record.stop_cause is not None:
        given = {name: value for name, value in given.items() if name not in _STOP}
    after = msgspec.structs.replace(record, **given)
    if after.phase in (Phase.OVER, Phase.CLOSED) and after.over_at is None:
        after = msgspec.structs.replace(after, over_at=now)
    if after.phase is Phase.CLOSED and after.closed_at is None:
        after = msgspec.structs.replace(after, closed_at=now)
    return after
