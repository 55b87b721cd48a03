"""${message}."""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade(which: str) -> None:
    """Go from the revision before to this one, in one of the two databases."""
    {"jobs": upgrade_jobs, "logs": upgrade_logs}[which]()


def upgrade_jobs() -> None:
    """Change the database of jobs."""
    ${upgrades if upgrades else "pass"}


def upgrade_logs() -> None:
    """Change the database of logs."""
