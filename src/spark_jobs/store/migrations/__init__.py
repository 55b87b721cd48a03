"""Migrations of both databases, by Alembic; imported only where a database is not of the newest revision.

One chain of revisions serves both: each has an ``upgrade_jobs`` and an ``upgrade_logs``.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool

Which = Literal["jobs", "logs"]


def configuration() -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def is_known(revision: str) -> bool:
    """True for a revision that this version has a migration for."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(configuration()).walk_revisions())


def upgrade(connection: sqlite3.Connection, which: Which, revision: str = "head") -> None:
    """Migrate one database, in one transaction."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool, hide_parameters=True)
    event.listen(engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
    config = configuration()
    config.attributes["which"] = which
    with engine.begin() as config.attributes["connection"]:
        command.upgrade(config, revision)
