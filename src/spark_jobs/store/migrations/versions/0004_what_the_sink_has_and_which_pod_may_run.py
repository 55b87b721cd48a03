"""Which attempts' logs wait to be sent to the sink, and where they are once sent; which one pod of an attempt may run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, Text

revision = "0004"
down_revision = "0003"

_BEFORE = (
    *("seq", "job_id", "attempt", "state", "phase", "claim", "cluster", "namespace", "kubernetes_name", "claimed_at"),
    *("uid", "running_at", "started_at", "finished_at", "stop_cause", "stop_reason", "stop_message", "stop_at"),
    *("over_at", "closed_at", "outcome", "pod", "node", "activity", "reason", "message"),
    *("log_state", "log_problem", "log_bytes", "log_lines", "log_kept", "placed_at", "settled_at", "losses", "events"),
)


def upgrade(which: str) -> None:
    """Make the table of attempts anew with the further columns; the logs stay as they are."""
    if which == "jobs":
        op.rename_table("attempts", "attempts_before")
        _make()
        columns = ", ".join(_BEFORE)
        op.execute(f"INSERT INTO attempts ({columns}) SELECT {columns} FROM attempts_before")  # noqa: S608 - only names of columns
        op.drop_table("attempts_before")
        _index("attempts_holding_slots", ["seq"], "over_at IS NULL")
        _index("attempts_open", ["seq"], "closed_at IS NULL")
        _index("attempts_with_logs", ["archive_due_at", "closed_at"], "closed_at IS NOT NULL AND log_kept = 1")
        _index("attempts_over", ["over_at", "claimed_at"], "over_at IS NOT NULL")
        _index("attempts_to_archive", ["archive_due_at"], "archive_due_at IS NOT NULL")


def _make() -> None:
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
        Column("placed_at", BigInteger),
        Column("settled_at", BigInteger),
        Column("losses", Integer, nullable=False),
        Column("events", Text, nullable=False),
        Column("archive_due_at", BigInteger),
        Column("archived_to", Text),
        Column("released", Text),
        sa.UniqueConstraint("job_id", "attempt"),
    )


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "attempts", [sa.text(column) for column in columns], sqlite_where=sa.text(where))
