"""The one place where a job's state changes: checked against the table, written with its event, in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, update

from spark_jobs.domain.attempt import AttemptChanges, AttemptKey, AttemptRecord, Outcome, Transition
from spark_jobs.domain.errors import IllegalTransition
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.state import Cause, JobState, check
from spark_jobs.store.sql import attempts, events
from spark_jobs.store.sql.jobs import job_row, wish_to_cancel
from spark_jobs.store.sql.prepared import Prepared, Row
from spark_jobs.store.sql.tables import jobs
from spark_jobs.store.sql.views import job_of
from spark_jobs.store.sql.writer import Tx

_CHANGEABLE = (
    *("state", "reason", "message", "exit_code", "result", "cancel_requested_at"),
    *("started_at", "finished_at", "not_before", "queue_deadline"),
)
_UPDATE = Prepared(
    update(jobs).where(jobs.c.id == bindparam("job_id")).values({name: bindparam(name) for name in _CHANGEABLE})
)


def apply(tx: Tx, transition: Transition, now: datetime) -> AttemptRecord | None:
    """See ``EngineStore.apply``."""
    row = job_row(tx.connection, transition.job_id)
    _check(row, transition)
    record = _change_attempt(tx, transition, now)
    _change_job(tx, row, transition, record)
    if transition.target is JobState.QUEUED:
        tx.queue_changed = True
    return record


def cancel(tx: Tx, job_id: str, at: datetime) -> None:
    """See ``ServiceStore.request_cancel``."""
    row = job_row(tx.connection, job_id)
    if row["state"] is not JobState.QUEUED:
        wish_to_cancel(tx, row, at)
        return
    row["cancel_requested_at"] = at
    outcome = Outcome(
        state=JobState.CANCELLED,
        cause=Cause.CANCELLED_IN_QUEUE,
        reason=Reason.CANCELLED,
        message=f"cancelled {'between two attempts' if row['attempt'] else 'while it waited in the queue'}",
        exit_code=row["exit_code"],
        result=row["result"],
    )
    check(JobState.QUEUED, outcome.cause, outcome.state)
    transition = Transition(
        job_id=job_id, attempt=None, cause=outcome.cause, target=outcome.state, at=at, outcome=outcome
    )
    _change_job(tx, row, transition, None)


def _check(row: Row, transition: Transition) -> None:
    if transition.cause is Cause.CLAIMED:
        raise IllegalTransition(f"job {transition.job_id} can only be started by a claim")
    check(row["state"], transition.cause, transition.target)
    if transition.attempt is None and row["state"] is not JobState.QUEUED:
        raise IllegalTransition(f"job {transition.job_id} has started: its transition must name the attempt")
    if transition.attempt is not None and transition.attempt != row["attempt"]:
        raise IllegalTransition(
            f"attempt {transition.attempt} of job {transition.job_id} is not its latest, which is {row['attempt']}"
        )


def _change_attempt(tx: Tx, transition: Transition, now: datetime) -> AttemptRecord | None:
    if transition.attempt is None:
        return None
    changes = transition.changes or AttemptChanges()
    if transition.outcome is not None and changes.outcome is msgspec.UNSET:
        changes = msgspec.structs.replace(changes, outcome=transition.outcome)
    state = transition.target
    if state is JobState.QUEUED:  # the job goes back; the attempt is over
        state = transition.outcome.state if transition.outcome else JobState.FAILED
    return attempts.note(tx, AttemptKey(transition.job_id, transition.attempt), changes, now, state)


def _change_job(tx: Tx, row: Row, transition: Transition, record: AttemptRecord | None) -> None:
    values: dict[str, Any] = {name: row[name] for name in _CHANGEABLE}
    values |= _new_values(transition, record)
    _UPDATE.run(tx.connection, {**values, "job_id": transition.job_id})
    after = {**row, **values}
    if record is not None:
        after |= {"doing": record.activity, "doing_reason": record.reason, "doing_message": record.message}
    job = job_of(after, transition.at)
    events.record(tx, [events.Change(job, row["state"], transition.attempt, transition.at)])


def _new_values(transition: Transition, record: AttemptRecord | None) -> dict[str, Any]:
    """The job's columns that this transition changes."""
    outcome = transition.outcome or (record.outcome if record else None)
    values: dict[str, Any] = {"state": transition.target}
    if record is not None:
        values["started_at"] = record.started_at or record.running_at
    if transition.target is JobState.RUNNING:
        values["started_at"] = values["started_at"] or transition.at
    if transition.target is JobState.QUEUED:
        values |= {"reason": Reason.RETRY_BACKOFF.value, "not_before": transition.not_before or transition.at}
    if outcome is not None and transition.target is not JobState.RUNNING:
        values |= {"message": outcome.message, "exit_code": outcome.exit_code, "result": outcome.result}
    if transition.target.is_terminal:
        if outcome is None:
            raise IllegalTransition(f"job {transition.job_id} can't end as {transition.target} without an outcome")
        ended = record.finished_at if record else None
        values |= {"reason": outcome.reason, "finished_at": ended or transition.at, "not_before": None}
    return values
