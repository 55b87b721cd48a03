"""Jobs with their attempts and events, and logs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, LargeBinary, Text

revision = "0001"
down_revision = None


def upgrade(which: str) -> None:
    """Make the tables of one of the two databases."""
    {"jobs": upgrade_jobs, "logs": upgrade_logs}[which]()


def upgrade_jobs() -> None:
    """Make the database of jobs."""
    op.create_table(
        "installation",
        Column("id", Integer, sa.CheckConstraint("id = 1", name="installation_one_row"), primary_key=True),
        Column("instance", Text, nullable=False),
        Column("paused", Boolean, nullable=False),
        Column("job_seq", BigInteger, nullable=False),
        Column("claim_seq", BigInteger, nullable=False),
        Column("event_seq", BigInteger, nullable=False),
        Column("events_gone", BigInteger, nullable=False),
    )
    _jobs()
    _labels()
    _attempts()
    op.create_table(
        "events",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("time", BigInteger, nullable=False),
        Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        Column("attempt", Integer),
        Column("source", Text),
        Column("target", Text, nullable=False),
        Column("reason", Text),
        Column("job", Text, nullable=False),
    )
    op.create_index("events_by_job", "events", ["job_id", "seq"])


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, [sa.text(column) for column in columns], sqlite_where=sa.text(where))


def _jobs() -> None:
    op.create_table(
        "jobs",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("id", Text, nullable=False, unique=True),
        Column("state", Text, nullable=False),
        Column("reason", Text),
        Column("message", Text),
        Column("exit_code", Integer),
        Column("result", Text),
        Column("cancel_requested_at", BigInteger),
        Column("retry_of", Text),
        Column("not_before", BigInteger),
        Column("created_at", BigInteger, nullable=False),
        Column("started_at", BigInteger),
        Column("finished_at", BigInteger),
        Column("spec", Text, nullable=False),
        Column("name", Text),
        Column("priority", Integer, nullable=False),
        Column("queue_deadline", BigInteger),
        Column("attempt", Integer, nullable=False),
        Column("id_given", Boolean, nullable=False),
        Column("digest", Text, nullable=False),
        Column("idempotency_key", Text, unique=True),
        Column("logs_kept", Boolean, nullable=False),
    )
    op.create_index("jobs_by_creation", "jobs", ["created_at", "seq"])
    _index("jobs_by_end", "jobs", ["finished_at"], "finished_at IS NOT NULL")
    _index("jobs_by_name", "jobs", ["name", "seq"], "name IS NOT NULL")
    op.create_index("jobs_by_reason", "jobs", ["state", "reason"])
    op.create_index("jobs_by_state", "jobs", ["state", "seq"])
    _index("jobs_not_before", "jobs", ["state", "not_before"], "not_before IS NOT NULL")
    op.create_index("jobs_queue", "jobs", ["state", sa.text("priority DESC"), "seq", "not_before"])
    _index("jobs_queue_deadline", "jobs", ["state", "queue_deadline"], "queue_deadline IS NOT NULL")
    _index("jobs_with_logs", "jobs", ["logs_kept", "finished_at"], "finished_at IS NOT NULL")


def _labels() -> None:
    op.create_table(
        "labels",
        Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), nullable=False),
        Column("key", Text, nullable=False),
        Column("value", Text, nullable=False),
        sa.PrimaryKeyConstraint("job_seq", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("labels_by_key", "labels", ["key", "job_seq"])
    op.create_index("labels_by_value", "labels", ["key", "value", "job_seq"])


def _attempts() -> None:
    op.create_table(
        "attempts",
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("state", Text, nullable=False),
        Column("phase", Text, nullable=False),
        Column("claim", Text, nullable=False),
        Column("cluster", Text, nullable=False),
        Column("namespace", Text, nullable=False),
        Column("kubernetes_name", Text, nullable=False),
        Column("claimed_at", BigInteger, nullable=False),
        Column("uid", Text),
        Column("running_at", BigInteger),
        Column("started_at", BigInteger),
        Column("finished_at", BigInteger),
        Column("stop_cause", Text),
        Column("stop_reason", Text),
        Column("stop_message", Text),
        Column("stop_at", BigInteger),
        Column("over_at", BigInteger),
        Column("closed_at", BigInteger),
        Column("outcome", Text),
        Column("pod", Text),
        Column("node", Text),
        Column("activity", Text, nullable=False),
        Column("reason", Text),
        Column("message", Text),
        Column("log_state", Text, nullable=False),
        Column("log_problem", Text),
        Column("log_bytes", BigInteger, nullable=False),
        Column("log_lines", BigInteger, nullable=False),
        Column("log_kept", Boolean, nullable=False),
        sa.UniqueConstraint("job_id", "attempt"),
    )
    _index("attempts_holding_slots", "attempts", ["seq"], "over_at IS NULL")
    _index("attempts_open", "attempts", ["seq"], "closed_at IS NULL")
    _index("attempts_with_logs", "attempts", ["closed_at"], "closed_at IS NOT NULL AND log_kept = 1")


def upgrade_logs() -> None:
    """Make the database of logs."""
    op.create_table(
        "logs",
        Column("id", Integer, primary_key=True),
        Column("job_id", Text, nullable=False),
        Column("attempt", Integer, nullable=False),
        Column("bytes", BigInteger, nullable=False),
        Column("lines", BigInteger, nullable=False),
        Column("stamp_ns", BigInteger),
        Column("last_line", LargeBinary, nullable=False),
        Column("open_bytes", BigInteger, nullable=False),
        Column("end", BigInteger, nullable=False),
        Column("latest_ns", BigInteger, nullable=False),
        sa.UniqueConstraint("job_id", "attempt"),
    )
    op.create_table(
        "chunks",
        Column("id", Integer, primary_key=True),
        Column("log_id", Integer, ForeignKey("logs.id", ondelete="CASCADE"), nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("size", Integer, nullable=False),
        Column("line", BigInteger, nullable=False),
        Column("lines", Integer, nullable=False),
        Column("latest_ns", BigInteger, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Column("stamps", LargeBinary, nullable=False),
        sa.UniqueConstraint("log_id", "offset"),
    )
    op.create_index("chunks_by_line", "chunks", ["log_id", "line", "offset"])
    op.create_index("chunks_by_time", "chunks", ["log_id", "latest_ns", "offset"])
