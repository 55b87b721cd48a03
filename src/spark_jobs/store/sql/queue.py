"""The queue: who is next, who waits for what, and how much of the slots is in use."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from spark_jobs.store.base import Candidate, QueueStatus
from spark_jobs.store.sql.tables import QUEUED, attempts, installation, jobs
from spark_jobs.store.sql.types import Micros
from spark_jobs.store.sql.views import Row
from spark_jobs.store.sql.writer import Tx

_NOW = bindparam("now", type_=Micros)
_DUE = or_(jobs.c.not_before.is_(None), jobs.c.not_before <= _NOW)
_BACKOFF = jobs.c.not_before > _NOW
_ORDER = (jobs.c.priority.desc(), jobs.c.seq)

_CANDIDATES = (
    select(jobs.c.id, jobs.c.seq, jobs.c.priority, jobs.c.attempt, jobs.c.spec)
    .where(QUEUED, _DUE)
    .order_by(*_ORDER)
    .limit(bindparam("how_many"))
)
_NEXT_RETRY = select(func.min(jobs.c.not_before)).where(QUEUED, _BACKOFF)
_NEXT_DEADLINE = select(func.min(jobs.c.queue_deadline)).where(QUEUED, jobs.c.queue_deadline > _NOW)
_OVERDUE = (
    select(jobs.c.id)
    .where(QUEUED, jobs.c.queue_deadline <= _NOW)
    .order_by(jobs.c.queue_deadline)
    .limit(bindparam("how_many"))
)
_IN_USE = select(func.count()).where(attempts.c.over_at.is_(None))
_PAUSED = select(installation.c.paused)
_PAUSE = update(installation).values(paused=bindparam("on"))
# Those that wait for a retry are not counted, so that no retry ever takes a new submission's place.
_NEVER_STARTED = select(func.count()).where(QUEUED, jobs.c.not_before.is_(None))
_QUEUED_ALL = select(func.count()).where(QUEUED)
_IN_BACKOFF = select(func.count()).where(QUEUED, _BACKOFF)
_OLDEST = select(func.min(jobs.c.created_at)).where(QUEUED)
_AHEAD = select(func.count()).where(
    QUEUED,
    _DUE,
    or_(
        jobs.c.priority > bindparam("priority"),
        and_(jobs.c.priority == bindparam("priority"), jobs.c.seq < bindparam("seq")),
    ),
)
_ALL_DUE = select(func.count()).where(QUEUED, _DUE)
_AHEAD_IN_BACKOFF = select(func.count()).where(
    QUEUED,
    jobs.c.not_before > _NOW,
    jobs.c.not_before < bindparam("not_before", type_=Micros),
)


def candidates(connection: Connection, now: datetime, limit: int) -> list[Candidate]:
    """See ``EngineStore.candidates``."""
    rows = connection.execute(_CANDIDATES, {"now": now, "how_many": limit})
    return [
        Candidate(
            job_id=row.id, seq=row.seq, priority=row.priority, attempt=row.attempt + 1, namespace=row.spec.namespace
        )
        for row in rows
    ]


def next_due(connection: Connection, now: datetime) -> datetime | None:
    """See ``EngineStore.next_due``."""
    found = [connection.execute(statement, {"now": now}).scalar() for statement in (_NEXT_RETRY, _NEXT_DEADLINE)]
    return min((time for time in found if time is not None), default=None)


def overdue(connection: Connection, now: datetime, limit: int) -> list[str]:
    """See ``EngineStore.queue_overdue``."""
    return list(connection.execute(_OVERDUE, {"now": now, "how_many": limit}).scalars())


def in_use(connection: Connection) -> int:
    """Slots in use."""
    return int(connection.execute(_IN_USE).scalar_one())


def is_paused(connection: Connection) -> bool:
    """Whether no slots are given out."""
    return bool(connection.execute(_PAUSED).scalar_one())


def pause(tx: Tx, on: bool) -> None:
    """See ``ServiceStore.set_paused``."""
    tx.execute(_PAUSE, {"on": on})
    tx.queue_changed = True


def waiting(connection: Connection) -> int:
    """Jobs that count for the queue's bound."""
    return int(connection.execute(_NEVER_STARTED).scalar_one())


def status(connection: Connection, now: datetime) -> QueueStatus:
    """See ``ServiceStore.queue_status``."""
    return QueueStatus(
        depth=connection.execute(_QUEUED_ALL).scalar_one(),
        backoff=connection.execute(_IN_BACKOFF, {"now": now}).scalar_one(),
        running=in_use(connection),
        oldest_created_at=connection.execute(_OLDEST).scalar(),
        paused=is_paused(connection),
    )


def position(connection: Connection, row: Row, now: datetime) -> int:
    """The place in the queue of a QUEUED job, from 1; those in backoff come after those that are due."""
    if row["not_before"] is None or row["not_before"] <= now:
        where = {"now": now, "priority": row["priority"], "seq": row["seq"]}
        return int(connection.execute(_AHEAD, where).scalar_one()) + 1
    ahead = connection.execute(_ALL_DUE, {"now": now}).scalar_one()
    where = {"now": now, "not_before": row["not_before"]}
    return int(ahead + connection.execute(_AHEAD_IN_BACKOFF, where).scalar_one()) + 1
