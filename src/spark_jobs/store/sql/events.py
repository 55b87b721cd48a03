"""Events: numbered and written in the transaction of the change that they tell of."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Connection
from typing import Any

from sqlalchemy import bindparam, insert, select

from spark_jobs.domain.errors import EventsGone
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.state import JobState
from spark_jobs.store.sql import numbers
from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.tables import events, installation
from spark_jobs.store.sql.views import listed
from spark_jobs.store.sql.writer import Tx

_INSERT = Prepared(insert(events))
_COLUMNS = tuple(column for column in events.c)
_NEWER = select(*_COLUMNS).where(events.c.seq > bindparam("after")).order_by(events.c.seq).limit(bindparam("how_many"))
_AFTER = Prepared(_NEWER)
_OF_JOB = Prepared(_NEWER.where(events.c.job_id == bindparam("job_id")))
_GONE = Prepared(select(installation.c.events_gone))


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
    first = numbers.take(tx, "event_seq", len(changes))
    rows = [_row(seq, change) for seq, change in enumerate(changes, first)]
    _INSERT.run_each(tx.connection, rows)
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
    if after > last(connection):
        raise EventsGone(f"there is no event {after} yet, so others are gone; read the jobs, and follow from now")
    if job_id is not None:
        which = {"after": after, "job_id": job_id, "how_many": limit}
        return [JobEvent(**row) for row in _OF_JOB.rows(connection, which)]
    if 0 < after < _GONE.value(connection):  # who has seen nothing yet lacks nothing of jobs that are gone
        raise EventsGone(f"events after {after} are no longer kept; read the jobs, and follow from now")
    return [JobEvent(**row) for row in _AFTER.rows(connection, {"after": after, "how_many": limit})]


def last(connection: Connection) -> int:
    """The largest number given out so far."""
    return int(numbers.LAST["event_seq"].value(connection))
