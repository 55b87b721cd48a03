"""Lists of jobs: filters, each along an index, and pages by keyset."""

from __future__ import annotations

import heapq
from datetime import datetime
from itertools import islice
from sqlite3 import Connection
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select

from spark_jobs.store.base import JobFilter, JobPage
from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.tables import jobs, labels
from spark_jobs.store.sql.types import Micros
from spark_jobs.store.sql.views import job_of, job_rows, listed

_LAST_CHARACTER = "\U0010ffff"  # sorts after every other
_TIME = bindparam("time", type_=Micros)
_FIRST_SINCE = Prepared(select(func.min(jobs.c.seq)).where(jobs.c.created_at >= _TIME))
_LAST_UNTIL = Prepared(select(func.max(jobs.c.seq)).where(jobs.c.created_at < _TIME))


def page(connection: Connection, which: JobFilter, size: int, after: int | None, now: datetime) -> JobPage:
    """See ``ServiceStore.list``. Each state is read along its own index, and the streams are merged."""
    statement = _statement(connection, which, after).limit(size + 1)
    if which.states:
        prepared = Prepared(statement.where(jobs.c.state == bindparam("in_state")))
        streams = [prepared.rows(connection, {"in_state": state}) for state in which.states]
    else:
        streams = [Prepared(statement).rows(connection)]
    rows = list(islice(heapq.merge(*streams, key=lambda row: row["seq"], reverse=True), size + 1))
    shown = rows[:size]
    return JobPage(
        jobs=[listed(job_of(row, now)) for row in shown],
        next_after=shown[-1]["seq"] if len(rows) > size else None,
    )


def _statement(connection: Connection, which: JobFilter, after: int | None) -> Select[Any]:
    """All that match, newest first."""
    seq: ColumnElement[int] = jobs.c.seq
    if which.labels:
        # Read along the first label's index, which has the order of submission in it.
        seq = labels.c.job_seq
        statement = job_rows(labels.join(jobs, jobs.c.seq == labels.c.job_seq))
        statement = statement.where(*_is_label(*which.labels[0]))
    else:
        statement = job_rows()
    for key, value in which.labels[1:]:
        other = labels.alias()
        statement = statement.where(exists().where(other.c.job_seq == jobs.c.seq, *_is_label(key, value, other)))
    statement = statement.where(*_about_job(which), *_about_time(connection, which, seq))
    if after is not None:
        statement = statement.where(seq < after)
    return statement.order_by(seq.desc())


def _is_label(key: str, value: str | None, table: Any = labels) -> list[ColumnElement[bool]]:
    has_key: ColumnElement[bool] = table.c.key == key
    return [has_key] if value is None else [has_key, table.c.value == value]


def _about_job(which: JobFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if which.name is not None:
        found.append(jobs.c.name == which.name)
    if which.name_prefix:
        found.append(jobs.c.name.between(which.name_prefix, which.name_prefix + _LAST_CHARACTER))
    if which.id_prefix:
        found.append(jobs.c.id.between(which.id_prefix, which.id_prefix + _LAST_CHARACTER))
    return found


def _about_time(connection: Connection, which: JobFilter, seq: ColumnElement[int]) -> list[ColumnElement[bool]]:
    """The times themselves, and what they mean for the sequence, along which the jobs are read."""
    found: list[ColumnElement[bool]] = []
    if which.since is not None:
        first = _FIRST_SINCE.value(connection, {"time": which.since})
        found += [jobs.c.created_at >= which.since, seq >= (first or 0)]
    if which.until is not None:
        last = _LAST_UNTIL.value(connection, {"time": which.until})
        found += [jobs.c.created_at < which.until, seq <= (last or 0)]
    return found
