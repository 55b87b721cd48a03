"""Events: numbered and written in the transaction of the change that they tell of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from spark_jobs.domain.errors import EventsGone
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.state import JobState
from spark_jobs.store.sql.tables import events, installation
from spark_jobs.store.sql.views import listed
from spark_jobs.store.sql.writer import Tx

_TAKE_NUMBERS = (
    update(installation)
    .values(event_seq=installation.c.event_seq + bindparam("how_many"))
    .returning(installation.c.event_seq)
)
_INSERT = insert(events)
_COLUMNS = tuple(column for column in events.c)
_AFTER = select(*_COLUMNS).where(events.c.seq > bindparam("after")).order_by(events.c.seq).limit(bindparam("how_many"))
_OF_JOB = _AFTER.where(events.c.job_id == bindparam("job_id"))
_GONE = select(installation.c.events_gone)
_LAST = select(installation.c.event_seq)


class Change:
    """A state change that is to become an event."""

    def __init__(self, job: Job, source: JobState | None, attempt: int | None, at: datetime) -> None:
        self.job = listed(job)
        self.source = source
        self.attempt = attempt
        self.at = at


def record(tx: Tx, changes: list[Change]) -> None:
    """Write the events of these changes and tell listeners of them."""
    if not changes:
        return
    last = tx.execute(_TAKE_NUMBERS, {"how_many": len(changes)}).scalar_one()
    first = last - len(changes) + 1
    rows = [_row(seq, change) for seq, change in enumerate(changes, first)]
    tx.execute(_INSERT, rows)
    tx.events += [JobEvent(**row) for row in rows]


def _row(seq: int, change: Change) -> dict[str, Any]:
    return {
        "seq": seq,
        "time": change.at,
        "job_id": change.job.id,
        "attempt": change.attempt,
        "source": change.source,
        "target": change.job.state,
        "reason": change.job.reason,
        "job": change.job,
    }


def read(connection: Connection, after: int, job_id: str | None, limit: int) -> list[JobEvent]:
    """See ``ServiceStore.events``."""
    if job_id is not None:
        rows = connection.execute(_OF_JOB, {"after": after, "job_id": job_id, "how_many": limit})
        return [JobEvent(**row) for row in rows.mappings()]
    if after < connection.execute(_GONE).scalar_one():
        raise EventsGone(f"events after {after} are no longer kept; read the jobs, and follow from now")
    return [JobEvent(**row) for row in connection.execute(_AFTER, {"after": after, "how_many": limit}).mappings()]


def last(connection: Connection) -> int:
    """The largest number given out so far."""
    return int(connection.execute(_LAST).scalar_one())
