"""Jobs as the service asks for them: one, a page, how many; and the two wishes, cancel and delete."""

from __future__ import annotations

import heapq
from datetime import datetime
from itertools import islice
from sqlite3 import Connection
from typing import Any

from sqlalchemy import Select, bindparam, delete, exists, func, select, update

from spark_jobs.domain.errors import JobNotFound, NotCancellable, NotDeletable
from spark_jobs.domain.job import Job
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import JobFilter, JobPage
from spark_jobs.store.sql import queue
from spark_jobs.store.sql.prepared import Prepared, Row
from spark_jobs.store.sql.tables import attempts, events, installation, jobs, labels
from spark_jobs.store.sql.views import ATTEMPTS_OF_JOB, JOB_BY_ID, JOB_ROWS, attempt_of, job_of, listed
from spark_jobs.store.sql.writer import Tx

_SPEC = Prepared(select(jobs.c.spec).where(jobs.c.id == bindparam("job_id")))
_COUNTS = Prepared(
    select(jobs.c.state, jobs.c.reason, func.count().label("jobs")).group_by(jobs.c.state, jobs.c.reason)
)
_WISH = Prepared(update(jobs).where(jobs.c.id == bindparam("job_id")).values(cancel_requested_at=bindparam("at")))
_OPEN = Prepared(select(func.count()).where(attempts.c.job_id == bindparam("job_id"), attempts.c.closed_at.is_(None)))
_DELETE = Prepared(delete(jobs).where(jobs.c.id == bindparam("job_id")))
_LAST_EVENT = Prepared(select(func.max(events.c.seq)).where(events.c.job_id == bindparam("job_id")))
_EVENTS_GONE = Prepared(
    update(installation).where(installation.c.events_gone < bindparam("last")).values(events_gone=bindparam("last"))
)
_LAST_CHARACTER = "\U0010ffff"  # sorts after every other


def job_row(connection: Connection, job_id: str) -> Row:
    """The row of :data:`JOB_ROWS`; raises JobNotFound."""
    row = JOB_BY_ID.row(connection, {"job_id": job_id})
    if row is None:
        raise JobNotFound(f"there is no job {job_id!r}")
    return row


def whole_job(connection: Connection, job_id: str, now: datetime) -> Job:
    """The job with its attempts and its position; raises JobNotFound."""
    row = job_row(connection, job_id)
    position = queue.position(connection, row, now) if row["state"] is JobState.QUEUED else None
    rows = ATTEMPTS_OF_JOB.rows(connection, {"job_id": job_id}) if row["attempt"] else ()
    return job_of(row, now, runs=[attempt_of(each) for each in rows], position=position)


def spec(connection: Connection, job_id: str) -> JobSpec:
    """See ``ServiceStore.submitted_spec``."""
    found: JobSpec | None = _SPEC.value(connection, {"job_id": job_id})
    if found is None:
        raise JobNotFound(f"there is no job {job_id!r}")
    return found


def counts(connection: Connection) -> dict[tuple[JobState, str | None], int]:
    """See ``ServiceStore.counts``."""
    return {(row["state"], row["reason"]): row["jobs"] for row in _COUNTS.rows(connection)}


def page(connection: Connection, which: JobFilter, size: int, after: int | None, now: datetime) -> JobPage:
    """See ``ServiceStore.list``. Each state is read along its own index, and the streams are merged."""
    statement = _filtered(which).order_by(jobs.c.seq.desc()).limit(size + 1)
    if after is not None:
        statement = statement.where(jobs.c.seq < after)
    if which.states:
        prepared = Prepared(statement.where(jobs.c.state == bindparam("in_state")))
        streams = [prepared.rows(connection, {"in_state": state}) for state in which.states]
    else:
        streams = [Prepared(statement).rows(connection)]
    merged = heapq.merge(*streams, key=lambda row: row["seq"], reverse=True)
    rows = list(islice(merged, size + 1))
    more = len(rows) > size
    shown = rows[:size]
    return JobPage(
        jobs=[listed(job_of(row, now)) for row in shown],
        next_after=shown[-1]["seq"] if more else None,
    )


def _filtered(which: JobFilter) -> Select[Any]:
    statement = JOB_ROWS
    for key, value in which.labels:
        tag = exists().where(labels.c.job_seq == jobs.c.seq, labels.c.key == key)
        statement = statement.where(tag if value is None else tag.where(labels.c.value == value))
    if which.name is not None:
        statement = statement.where(jobs.c.name == which.name)
    if which.name_prefix:
        statement = statement.where(jobs.c.name.between(which.name_prefix, which.name_prefix + _LAST_CHARACTER))
    if which.id_prefix:
        statement = statement.where(jobs.c.id.between(which.id_prefix, which.id_prefix + _LAST_CHARACTER))
    if which.since is not None:
        statement = statement.where(jobs.c.created_at >= which.since)
    if which.until is not None:
        statement = statement.where(jobs.c.created_at < which.until)
    return statement


def wish_to_cancel(tx: Tx, row: Row, at: datetime) -> None:
    """Record the wish for a job that has started; a second one changes nothing.

    Raises:
        NotCancellable: it ended otherwise.
    """
    state: JobState = row["state"]
    if state is JobState.CANCELLED or (not state.is_terminal and row["cancel_requested_at"] is not None):
        return
    if state.is_terminal:
        raise NotCancellable(f"job {row['id']} is over ({state}); there is nothing left to cancel")
    _WISH.run(tx.connection, {"job_id": row["id"], "at": at})
    tx.wishes.append(row["id"])


def check_deletable(connection: Connection, job_id: str) -> None:
    """Return for a terminal job whose attempts are CLOSED; raises JobNotFound, NotDeletable."""
    row = job_row(connection, job_id)
    if not row["state"].is_terminal:
        raise NotDeletable(f"job {job_id} is {row['state']}; cancel it first, and delete it once it is over")
    if _OPEN.value(connection, {"job_id": job_id}):
        raise NotDeletable(f"job {job_id} is over, but its objects in the cluster are not gone yet; try again soon")


def forget(tx: Tx, ids: list[str]) -> None:
    """Remove jobs with their attempts, labels and events; whoever has not read those events yet will be told."""
    for job_id in ids:
        _EVENTS_GONE.run(tx.connection, {"last": _LAST_EVENT.value(tx.connection, {"job_id": job_id}) or 0})
        _DELETE.run(tx.connection, {"job_id": job_id})
