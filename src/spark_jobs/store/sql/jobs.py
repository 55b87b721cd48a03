"""Jobs as the service asks for them: one, a page, how many; and the two wishes, cancel and delete."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Connection

from sqlalchemy import bindparam, delete, func, select, update

from spark_jobs.domain.errors import JobNotFound, NotCancellable, NotDeletable
from spark_jobs.domain.job import Job
from spark_jobs.domain.schedule import Place
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import Standing
from spark_jobs.store.sql import queue
from spark_jobs.store.sql.prepared import Prepared, Row
from spark_jobs.store.sql.tables import attempts, events, installation, jobs
from spark_jobs.store.sql.views import ATTEMPTS_OF_JOB, JOB_BY_ID, attempts_of, job_of
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


def job_row(connection: Connection, job_id: str) -> Row:
    """The row of :data:`JOB_BY_ID`; raises JobNotFound."""
    row = JOB_BY_ID.row(connection, {"job_id": job_id})
    if row is None:
        raise JobNotFound(f"there is no job {job_id!r}")
    return row


def whole_job(connection: Connection, job_id: str, now: datetime) -> Job:
    """The job with its attempts and its position; raises JobNotFound."""
    row = job_row(connection, job_id)
    return _whole(connection, row, queue.place(connection, row, now) if _is_queued(row) else None, now)


def standing(connection: Connection, job_id: str, now: datetime) -> tuple[Job, Standing | None]:
    """See ``ServiceStore.standing``."""
    row = job_row(connection, job_id)
    standing = queue.standing(connection, row, now) if _is_queued(row) else None
    return _whole(connection, row, standing.place if standing else None, now), standing


def _is_queued(row: Row) -> bool:
    return row["state"] is JobState.QUEUED


def _whole(connection: Connection, row: Row, place: Place | None, now: datetime) -> Job:
    rows = ATTEMPTS_OF_JOB.rows(connection, {"job_id": row["id"]}) if row["attempt"] else ()
    position = None if place is None else queue.position(connection, place, now)
    return job_of(row, now, runs=attempts_of(rows, row["created_at"]), position=position)


def spec(connection: Connection, job_id: str) -> JobSpec:
    """See ``ServiceStore.submitted_spec``."""
    found: JobSpec | None = _SPEC.value(connection, {"job_id": job_id})
    if found is None:
        raise JobNotFound(f"there is no job {job_id!r}")
    return found


def counts(connection: Connection) -> dict[tuple[JobState, str | None], int]:
    """See ``ServiceStore.counts``."""
    return {(row["state"], row["reason"]): row["jobs"] for row in _COUNTS.rows(connection)}


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
