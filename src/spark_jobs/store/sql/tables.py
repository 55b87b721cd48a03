"""The tables of both databases: jobs with their attempts and events in one, logs in the other.

A change here needs a migration and a new :data:`REVISION`; a test compares the two.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from spark_jobs.domain.attempt import Outcome, Phase, StopCause
from spark_jobs.domain.job import Activity, Job, LogState, PodEvent
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from spark_jobs.store.sql.types import Coded, Micros, Packed

REVISION = "0004"  # the newest migration

JOBS = MetaData()
LOGS = MetaData()

# Both databases carry Alembic's own table, so that Alembic is only needed where something has to be migrated.
for _metadata in (JOBS, LOGS):
    Table(
        "alembic_version",
        _metadata,
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
    )

# One row. The sequences are ours: the row's lock makes their order the order of commits, and no number comes twice.
installation = Table(
    "installation",
    JOBS,
    Column("id", Integer, CheckConstraint("id = 1", name="installation_one_row"), primary_key=True),
    Column("instance", Text, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("job_seq", BigInteger, nullable=False),  # the last ones given out
    Column("claim_seq", BigInteger, nullable=False),
    Column("event_seq", BigInteger, nullable=False),
    Column("events_gone", BigInteger, nullable=False),  # the largest number among the events that were forgotten
)

jobs = Table(
    "jobs",
    JOBS,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("state", Coded(JobState), nullable=False),
    Column("reason", Text),
    Column("message", Text),
    Column("exit_code", Integer),
    Column("result", Text),
    Column("cancel_requested_at", Micros),
    Column("retry_of", Text),
    Column("not_before", Micros),
    Column("created_at", Micros, nullable=False),
    Column("started_at", Micros),
    Column("finished_at", Micros),
    Column("spec", Packed(JobSpec), nullable=False),
    Column("name", Text),
    Column("priority", Integer, nullable=False),
    Column("queue_deadline", Micros),  # null once it has started
    Column("attempt", Integer, nullable=False),  # the latest one's number; 0 before the first
    Column("id_given", Boolean, nullable=False),
    Column("digest", Text, nullable=False),
    Column("idempotency_key", Text, unique=True),
    Column("logs_kept", Boolean, nullable=False),
)

labels = Table(
    "labels",
    JOBS,
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("job_seq", "key"),
    Index("labels_by_value", "key", "value", "job_seq"),
    Index("labels_by_key", "key", "job_seq"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    JOBS,
    Column("seq", Integer, primary_key=True, autoincrement=False),  # the order of the claims
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Coded(JobState), nullable=False),
    Column("phase", Coded(Phase), nullable=False),
    Column("claim", Text, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("kubernetes_name", Text, nullable=False),
    Column("claimed_at", Micros, nullable=False),
    Column("uid", Text),
    Column("running_at", Micros),
    Column("started_at", Micros),
    Column("finished_at", Micros),
    Column("stop_cause", Coded(StopCause)),
    Column("stop_reason", Text),
    Column("stop_message", Text),
    Column("stop_at", Micros),
    Column("over_at", Micros),
    Column("closed_at", Micros),
    Column("outcome", Packed(Outcome)),
    Column("pod", Text),
    Column("node", Text),
    Column("activity", Coded(Activity), nullable=False),
    Column("reason", Text),
    Column("message", Text),
    Column("log_state", Coded(LogState), nullable=False),
    Column("log_problem", Text),
    Column("log_bytes", BigInteger, nullable=False),
    Column("log_lines", BigInteger, nullable=False),
    Column("log_kept", Boolean, nullable=False),
    Column("placed_at", Micros),
    Column("settled_at", Micros),
    Column("losses", Integer, nullable=False),
    Column("events", Packed(list[PodEvent]), nullable=False),
    Column("archive_due_at", Micros),  # since when its log waits for the sink; null where it does not
    Column("archived_to", Text),
    Column("released", Text),
    UniqueConstraint("job_id", "attempt"),
)

events = Table(
    "events",
    JOBS,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("time", Micros, nullable=False),
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer),
    Column("source", Coded(JobState)),
    Column("target", Coded(JobState), nullable=False),
    Column("reason", Text),
    Column("job", Packed(Job), nullable=False),
    Index("events_by_job", "job_id", "seq"),
)


def _partial(name: str, *columns: Any, where: Any) -> Index:
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


# The queue has whole indexes with the state in front: a partial one on QUEUED is passed over for that of all states.
Index("jobs_queue", jobs.c.state, jobs.c.priority.desc(), jobs.c.seq, jobs.c.not_before)
_partial("jobs_not_before", jobs.c.state, jobs.c.not_before, where=jobs.c.not_before.is_not(None))
_partial("jobs_queue_deadline", jobs.c.state, jobs.c.queue_deadline, where=jobs.c.queue_deadline.is_not(None))
Index("jobs_by_state", jobs.c.state, jobs.c.seq)
Index("jobs_by_reason", jobs.c.state, jobs.c.reason)
_partial("jobs_by_name", jobs.c.name, jobs.c.seq, where=jobs.c.name.is_not(None))
Index("jobs_by_creation", jobs.c.created_at, jobs.c.seq)
_partial("jobs_by_end", jobs.c.finished_at, where=jobs.c.finished_at.is_not(None))
_partial("jobs_with_logs", jobs.c.logs_kept, jobs.c.finished_at, where=jobs.c.finished_at.is_not(None))
_partial("attempts_holding_slots", attempts.c.seq, where=attempts.c.over_at.is_(None))
_partial("attempts_over", attempts.c.over_at, attempts.c.claimed_at, where=attempts.c.over_at.is_not(None))
_partial("attempts_open", attempts.c.seq, where=attempts.c.closed_at.is_(None))
_partial(
    "attempts_with_logs",
    attempts.c.archive_due_at,
    attempts.c.closed_at,
    where=attempts.c.closed_at.is_not(None) & attempts.c.log_kept,
)
_partial("attempts_to_archive", attempts.c.archive_due_at, where=attempts.c.archive_due_at.is_not(None))

logs = Table(
    "logs",
    LOGS,
    Column("id", Integer, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("stamp_ns", BigInteger),
    Column("last_line", LargeBinary, nullable=False),
    Column("open_bytes", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),  # the byte after the last chunk
    Column("latest_ns", BigInteger, nullable=False),  # the largest stamp so far
    UniqueConstraint("job_id", "attempt"),
)

chunks = Table(
    "chunks",
    LOGS,
    Column("id", Integer, primary_key=True),
    Column("log_id", Integer, ForeignKey("logs.id", ondelete="CASCADE"), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),  # bytes, unpacked
    Column("line", BigInteger, nullable=False),  # the number of the first line that begins in here
    Column("lines", Integer, nullable=False),  # how many begin in here
    Column("latest_ns", BigInteger, nullable=False),  # the largest stamp in here and in all before
    Column("data", LargeBinary, nullable=False),
    Column("stamps", LargeBinary, nullable=False),
    UniqueConstraint("log_id", "offset"),
)
Index("chunks_by_line", chunks.c.log_id, chunks.c.line, chunks.c.offset)
Index("chunks_by_time", chunks.c.log_id, chunks.c.latest_ns, chunks.c.offset)
