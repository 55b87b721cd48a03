"""An index for how long the latest attempts held their slots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade(which: str) -> None:
    """Make the index; the logs stay as they are."""
    if which == "jobs":
        op.create_index(
            "attempts_over", "attempts", ["over_at", "claimed_at"], sqlite_where=sa.text("over_at IS NOT NULL")
        )
