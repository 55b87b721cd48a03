"""What is forgotten when: which jobs and which logs are old enough, and what remains to be said of them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, select, tuple_, update

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.job import LogState
from spark_jobs.store.sql.tables import attempts, jobs
from spark_jobs.store.sql.types import Micros
from spark_jobs.store.sql.writer import Tx

PROBLEM = "no longer kept"

_BEFORE = bindparam("before", type_=Micros)
_SETTLED = ~exists().where(attempts.c.job_id == jobs.c.id, attempts.c.closed_at.is_(None))
_OLD_JOBS = (
    select(jobs.c.id)
    .where(jobs.c.finished_at < _BEFORE, _SETTLED)
    .order_by(jobs.c.finished_at)
    .limit(bindparam("how_many"))
)
_OLD_LOGS = _OLD_JOBS.where(jobs.c.finished_at.is_not(None), jobs.c.logs_kept)
_KEYS = (
    select(attempts.c.job_id, attempts.c.attempt)
    .where(attempts.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(attempts.c.seq)
)
_OLDEST_LOG = (
    select(attempts.c.job_id, attempts.c.attempt)
    .where(attempts.c.closed_at.is_not(None), attempts.c.log_kept)
    .order_by(attempts.c.closed_at)
    .limit(1)
)
_JOBS_WITHOUT_LOGS = update(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True))).values(logs_kept=False)
_LOG_FORGOTTEN = (
    update(attempts)
    .where(tuple_(attempts.c.job_id, attempts.c.attempt).in_(bindparam("keys", expanding=True)), attempts.c.log_kept)
    .values(log_kept=False, log_bytes=0, log_lines=0, log_state=LogState.INCOMPLETE, log_problem=PROBLEM)
)


def old_jobs(connection: Connection, before: datetime, limit: int) -> list[str]:
    """Terminal jobs that finished before a time, all attempts CLOSED, the oldest first."""
    return list(connection.execute(_OLD_JOBS, {"before": before, "how_many": limit}).scalars())


def old_logs(connection: Connection, before: datetime, limit: int) -> list[str]:
    """Such jobs whose logs are still kept."""
    return list(connection.execute(_OLD_LOGS, {"before": before, "how_many": limit}).scalars())


def keys(connection: Connection, ids: list[str]) -> list[AttemptKey]:
    """All attempts of these jobs."""
    return [AttemptKey(*row) for row in connection.execute(_KEYS, {"ids": ids})]


def oldest_log(connection: Connection) -> AttemptKey | None:
    """The CLOSED attempt that has been so for the longest time and has a log still."""
    row = connection.execute(_OLDEST_LOG).one_or_none()
    return None if row is None else AttemptKey(*row)


def mark_jobs(tx: Tx, ids: list[str]) -> None:
    """Say of these jobs that they have no logs any more."""
    mark(tx, keys(tx.connection, ids))
    tx.execute(_JOBS_WITHOUT_LOGS, {"ids": ids})


def mark(tx: Tx, forgotten: list[AttemptKey]) -> None:
    """Say of these attempts that their log is not kept any more."""
    if forgotten:
        tx.execute(_LOG_FORGOTTEN, {"keys": [tuple(key) for key in forgotten]})
