"""What is forgotten when: which jobs and which logs are old enough, and what remains to be said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from sqlite3 import Connection

from sqlalchemy import Boolean, and_, bindparam, exists, or_, select, update

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.job import LogState
from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.tables import attempts, jobs
from spark_jobs.store.sql.types import Micros
from spark_jobs.store.sql.writer import Tx

PROBLEM = "no longer kept"

_BEFORE = bindparam("before", type_=Micros)
_HELD_FOR_SINK = and_(attempts.c.archive_due_at.is_not(None), bindparam("sink", type_=Boolean))
_SETTLED = ~exists().where(attempts.c.job_id == jobs.c.id, or_(attempts.c.closed_at.is_(None), _HELD_FOR_SINK))
_OLD = (
    select(jobs.c.id)
    .where(jobs.c.finished_at < _BEFORE, _SETTLED)
    .order_by(jobs.c.finished_at)
    .limit(bindparam("how_many"))
)
_OLD_JOBS = Prepared(_OLD)
_OLD_LOGS = Prepared(_OLD.where(jobs.c.finished_at.is_not(None), jobs.c.logs_kept))
_ALL_KEYS = select(attempts.c.job_id, attempts.c.attempt).order_by(attempts.c.seq)
_KEYS = Prepared(_ALL_KEYS.where(attempts.c.job_id == bindparam("job_id")))
# Null comes first: logs that wait for the sink go after all others.
_OLDEST_LOG = Prepared(
    select(attempts.c.job_id, attempts.c.attempt, attempts.c.archive_due_at)
    .where(attempts.c.closed_at.is_not(None), attempts.c.log_kept)
    .order_by(attempts.c.archive_due_at, attempts.c.closed_at)
    .limit(1)
)
_JOBS_WITHOUT_LOGS = Prepared(update(jobs).where(jobs.c.id == bindparam("job_id")).values(logs_kept=False))
_THIS_ATTEMPT = update(attempts).where(
    attempts.c.job_id == bindparam("key_job_id"), attempts.c.attempt == bindparam("key_attempt")
)
_LOG_FORGOTTEN = Prepared(
    _THIS_ATTEMPT.values(
        log_bytes=0,
        log_lines=0,
        log_state=LogState.INCOMPLETE,
        log_problem=bindparam("problem"),
        archive_due_at=None,
    )
)
_LOG_GONE = Prepared(_THIS_ATTEMPT.values(log_kept=False))
_SETTLED_LOG = attempts.c.log_state != LogState.COLLECTING
_STORED = Prepared(_ALL_KEYS.where(attempts.c.log_kept, _SETTLED_LOG, attempts.c.log_bytes > 0))
_COLLECTING = Prepared(_ALL_KEYS.where(~_SETTLED_LOG, attempts.c.running_at.is_not(None)))
_HOLE = _THIS_ATTEMPT.values(log_problem=bindparam("problem"))
_HAS_HOLE = Prepared(_HOLE)
_HAS_SETTLED_WITH_HOLE = Prepared(_HOLE.where(_SETTLED_LOG).values(log_state=LogState.INCOMPLETE))


def old_jobs(connection: Connection, before: datetime, limit: int, *, sink: bool) -> list[str]:
    """Terminal jobs that finished before a time, all attempts CLOSED and, if there is a sink, none of their logs waiting
    for it; the oldest first."""
    return _OLD_JOBS.values(connection, {"before": before, "how_many": limit, "sink": sink})


def old_logs(connection: Connection, before: datetime, limit: int, *, sink: bool) -> list[str]:
    """Such jobs whose logs are still kept."""
    return _OLD_LOGS.values(connection, {"before": before, "how_many": limit, "sink": sink})


def keys(connection: Connection, ids: list[str]) -> list[AttemptKey]:
    """All attempts of these jobs."""
    return [AttemptKey(**row) for job_id in ids for row in _KEYS.rows(connection, {"job_id": job_id})]


def oldest_log(connection: Connection) -> tuple[AttemptKey, bool] | None:
    """The CLOSED attempt that has been so for the longest time and has a log still, one that waits for the sink only
    where all do; and whether it does."""
    row = _OLDEST_LOG.row(connection)
    return None if row is None else (AttemptKey(row["job_id"], row["attempt"]), row["archive_due_at"] is not None)


def begin(tx: Tx, ids: list[str]) -> list[AttemptKey]:
    """Say of these jobs' attempts that their logs are not kept any more, before they go; which attempts that are."""
    found = keys(tx.connection, ids)
    mark(tx, found)
    return found


def mark_jobs(tx: Tx, ids: list[str]) -> None:
    """These jobs' logs are gone: nobody has to look for them again."""
    _JOBS_WITHOUT_LOGS.run_each(tx.connection, [{"job_id": job_id} for job_id in ids])


def mark(tx: Tx, forgotten: list[AttemptKey], problem: str = PROBLEM) -> None:
    """Say of these attempts that their log is not kept any more, and why."""
    _LOG_FORGOTTEN.run_each(tx.connection, [_named(key, problem=problem) for key in forgotten])


def mark_gone(tx: Tx, forgotten: Sequence[AttemptKey]) -> None:
    """Nothing of these attempts' logs is stored any more: nobody has to look for it again."""
    _LOG_GONE.run_each(tx.connection, [_named(key) for key in forgotten])


def mark_hole(tx: Tx, key: AttemptKey, problem: str) -> None:
    """Say of an attempt that some of its stored log is lost; one that is not settled yet will be with that."""
    _HAS_HOLE.run(tx.connection, _named(key, problem=problem))
    _HAS_SETTLED_WITH_HOLE.run(tx.connection, _named(key, problem=problem))


def stored(connection: Connection) -> Iterator[AttemptKey]:
    """The attempts whose log is settled and, as far as is known here, stored."""
    return (AttemptKey(**row) for row in _STORED.rows(connection))


def collecting(connection: Connection) -> Sequence[AttemptKey]:
    """The attempts that have run and whose log is not settled."""
    return [AttemptKey(**row) for row in _COLLECTING.rows(connection)]


def _named(key: AttemptKey, **values: str) -> dict[str, object]:
    return {"key_job_id": key.job_id, "key_attempt": key.attempt, **values}
