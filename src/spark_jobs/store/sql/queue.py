"""The queue: who is next, who waits for what, and how much of the slots is in use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from sqlite3 import Connection

from sqlalchemy import and_, bindparam, func, or_, select, update

from spark_jobs.domain.attempt import StopCause
from spark_jobs.domain.schedule import Place, Queued, SlotUse
from spark_jobs.domain.state import TERMINAL, JobState
from spark_jobs.store.base import Candidate, QueueStatus, Standing
from spark_jobs.store.sql.prepared import Prepared, Row
from spark_jobs.store.sql.tables import attempts, installation, jobs
from spark_jobs.store.sql.types import Micros
from spark_jobs.store.sql.writer import Tx

QUEUED = jobs.c.state == JobState.QUEUED
_NOW = bindparam("now", type_=Micros)
_DUE = or_(jobs.c.not_before.is_(None), jobs.c.not_before <= _NOW)
_BACKOFF = jobs.c.not_before > _NOW
_ORDER = (jobs.c.priority.desc(), jobs.c.seq)
_HISTORY = 50  # attempts, the latest that gave their slots back

_CANDIDATES = Prepared(
    select(jobs.c.id, jobs.c.seq, jobs.c.priority, jobs.c.attempt, jobs.c.spec)
    .where(QUEUED, _DUE)
    .order_by(*_ORDER)
    .limit(bindparam("how_many"))
)
_NEXT_RETRY = Prepared(select(func.min(jobs.c.not_before)).where(QUEUED, _BACKOFF))
_NEXT_DEADLINE = Prepared(select(func.min(jobs.c.queue_deadline)).where(QUEUED, jobs.c.queue_deadline > _NOW))
_OVERDUE = Prepared(
    select(jobs.c.id)
    .where(QUEUED, jobs.c.queue_deadline <= _NOW)
    .order_by(jobs.c.queue_deadline)
    .limit(bindparam("how_many"))
)
_IN_USE = Prepared(select(func.count()).where(attempts.c.over_at.is_(None)))
_HELD_SINCE = Prepared(select(attempts.c.claimed_at).where(attempts.c.over_at.is_(None)))
# A job may have failed with its node, or be about to, while its slot is held for what may still run there.
_LOST = Prepared(
    select(func.count()).where(
        attempts.c.over_at.is_(None),
        or_(attempts.c.stop_cause == StopCause.NODE_LOST, *(attempts.c.state == state for state in sorted(TERMINAL))),
    )
)
_HOLDS = Prepared(
    select(attempts.c.over_at, attempts.c.claimed_at)
    .where(attempts.c.over_at.is_not(None))
    .order_by(attempts.c.over_at.desc())
    .limit(_HISTORY)
)
_PAUSED = Prepared(select(installation.c.paused))
_PAUSE = Prepared(update(installation).values(paused=bindparam("on")))
# Those that wait for a retry are not counted, so that no retry ever takes a new submission's place.
_NEVER_STARTED = Prepared(select(func.count()).where(QUEUED, jobs.c.not_before.is_(None)))
_QUEUED_ALL = Prepared(select(func.count()).where(QUEUED))
_IN_BACKOFF = Prepared(select(func.count()).where(QUEUED, _BACKOFF))
_WAITING = select(jobs.c.seq, jobs.c.id, jobs.c.name, jobs.c.priority, jobs.c.created_at, jobs.c.not_before)
_FIRST_DUE = Prepared(_WAITING.where(QUEUED, _DUE).order_by(*_ORDER).limit(bindparam("how_many")))
_FIRST_BACKOFF = Prepared(
    _WAITING.where(QUEUED, _BACKOFF).order_by(jobs.c.not_before, jobs.c.seq).limit(bindparam("how_many"))
)
_OLDEST = Prepared(select(jobs.c.created_at).where(QUEUED).order_by(jobs.c.seq).limit(1))
_AHEAD = Prepared(
    select(func.count()).where(
        QUEUED,
        _DUE,
        or_(
            jobs.c.priority > bindparam("priority"),
            and_(jobs.c.priority == bindparam("priority"), jobs.c.seq < bindparam("seq")),
        ),
    )
)
_ALL_DUE = Prepared(select(func.count()).where(QUEUED, _DUE))
_AHEAD_IN_BACKOFF = Prepared(
    select(func.count()).where(
        QUEUED,
        jobs.c.not_before > _NOW,
        jobs.c.not_before < bindparam("not_before", type_=Micros),
    )
)


def candidates(connection: Connection, now: datetime, limit: int) -> list[Candidate]:
    """See ``EngineStore.candidates``."""
    rows = _CANDIDATES.rows(connection, {"now": now, "how_many": limit})
    return [
        Candidate(
            job_id=row["id"],
            seq=row["seq"],
            priority=row["priority"],
            attempt=row["attempt"] + 1,
            namespace=row["spec"].namespace,
        )
        for row in rows
    ]


def next_due(connection: Connection, now: datetime) -> datetime | None:
    """See ``EngineStore.next_due``."""
    found = [statement.value(connection, {"now": now}) for statement in (_NEXT_RETRY, _NEXT_DEADLINE)]
    return min((time for time in found if time is not None), default=None)


def overdue(connection: Connection, now: datetime, limit: int) -> list[str]:
    """See ``EngineStore.queue_overdue``."""
    return _OVERDUE.values(connection, {"now": now, "how_many": limit})


def in_use(connection: Connection) -> int:
    """Slots in use."""
    return int(_IN_USE.value(connection))


def is_paused(connection: Connection) -> bool:
    """Whether no slots are given out."""
    return bool(_PAUSED.value(connection))


def pause(tx: Tx, on: bool) -> None:
    """See ``ServiceStore.set_paused``."""
    _PAUSE.run(tx.connection, {"on": on})
    tx.queue_changed = True


def waiting(connection: Connection) -> int:
    """Jobs that count for the queue's bound."""
    return int(_NEVER_STARTED.value(connection))


def slot_use(connection: Connection) -> SlotUse:
    """Since when the slots in use are held, and how long the latest attempts held theirs."""
    return SlotUse(
        held_since=_HELD_SINCE.values(connection),
        holds=[row["over_at"] - row["claimed_at"] for row in _HOLDS.rows(connection)],
    )


def status(connection: Connection, first: int, now: datetime) -> QueueStatus:
    """See ``ServiceStore.queue_status``."""
    return QueueStatus(
        depth=_QUEUED_ALL.value(connection),
        backoff=_IN_BACKOFF.value(connection, {"now": now}),
        oldest_created_at=_OLDEST.value(connection),
        first=list(islice(_in_order(connection, first, now), first)),
        use=slot_use(connection),
        paused=is_paused(connection),
        lost=int(_LOST.value(connection)),
    )


def _in_order(connection: Connection, how_many: int, now: datetime) -> Iterator[Queued]:
    """The first that wait: those that are due, then, only if that is all of these, those in backoff."""
    due = list(_FIRST_DUE.rows(connection, {"now": now, "how_many": how_many}))
    for ahead, row in enumerate(due):
        yield _queued(row, Place(ahead=ahead))
    for row in _FIRST_BACKOFF.rows(connection, {"now": now, "how_many": how_many}):
        ahead = sum(_rank(other) < _rank(row) for other in due)
        yield _queued(row, Place(ahead=ahead, overtaking=len(due) - ahead, not_before=row["not_before"]))


def _rank(row: Row) -> tuple[int, int]:
    """What jobs are ordered by."""
    return (-row["priority"], row["seq"])


def _queued(row: Row, place: Place) -> Queued:
    return Queued(id=row["id"], name=row["name"], priority=row["priority"], created_at=row["created_at"], place=place)


def standing(connection: Connection, row: Row, now: datetime) -> Standing:
    """See ``ServiceStore.standing``."""
    return Standing(place=place(connection, row, now), use=slot_use(connection), paused=is_paused(connection))


def place(connection: Connection, row: Row, now: datetime) -> Place:
    """The place of a QUEUED job."""
    where = {"now": now, "priority": row["priority"], "seq": row["seq"]}
    ahead = int(_AHEAD.value(connection, where))
    if row["not_before"] is None or row["not_before"] <= now:
        return Place(ahead=ahead)
    due = int(_ALL_DUE.value(connection, {"now": now}))
    return Place(ahead=ahead, overtaking=due - ahead, not_before=row["not_before"])


def position(connection: Connection, place: Place, now: datetime) -> int:
    """A place as a number, from 1; those in backoff come after those that are due."""
    before = place.ahead + place.overtaking
    if place.not_before is not None:
        before += int(_AHEAD_IN_BACKOFF.value(connection, {"now": now, "not_before": place.not_before}))
    return before + 1
