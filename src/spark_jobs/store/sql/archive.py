"""Which logs wait to be sent to the sink, and which it has."""

from __future__ import annotations

from sqlite3 import Connection

from sqlalchemy import bindparam, func, select, update

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import Unsent
from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.tables import attempts
from spark_jobs.store.sql.writer import Tx

_WAITS = attempts.c.archive_due_at.is_not(None)
_DUE = Prepared(
    select(attempts.c.job_id, attempts.c.attempt, attempts.c.claim, attempts.c.archive_due_at)
    .where(_WAITS, *(attempts.c.state != state for state in JobState if not state.is_terminal))
    .order_by(attempts.c.archive_due_at, attempts.c.seq)
    .limit(bindparam("how_many"))
)
_WAITING = Prepared(select(func.count()).select_from(attempts).where(_WAITS))
_SENT = Prepared(
    update(attempts)
    .where(
        attempts.c.job_id == bindparam("key_job_id"),
        attempts.c.attempt == bindparam("key_attempt"),
        attempts.c.claim == bindparam("key_claim"),
        _WAITS,
    )
    .values(archive_due_at=None, archived_to=bindparam("to"))
)


def due(connection: Connection, limit: int) -> list[Unsent]:
    """See ``ArchiveStore.archive_due``."""
    rows = _DUE.rows(connection, {"how_many": limit})
    return [
        Unsent(key=AttemptKey(row["job_id"], row["attempt"]), claim=row["claim"], due_at=row["archive_due_at"])
        for row in rows
    ]


def sent(tx: Tx, unsent: Unsent, to: str) -> bool:
    """See ``ArchiveStore.archived``."""
    named = {"key_job_id": unsent.key.job_id, "key_attempt": unsent.key.attempt, "key_claim": unsent.claim}
    return _SENT.run(tx.connection, {**named, "to": to}) == 1


def waiting(connection: Connection) -> int:
    """See ``ArchiveStore.archive_waiting``."""
    return int(_WAITING.value(connection))
