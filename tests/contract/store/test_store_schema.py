"""The schema: the same by migrations as at once, and no statement without an index."""

from __future__ import annotations

import importlib
import pkgutil
import sqlite3
from typing import Literal

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData

from spark_jobs.store import migrations, sql
from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.schema import memory_connection
from spark_jobs.store.sql.sqlite import connect_writer
from spark_jobs.store.sql.tables import JOBS, LOGS, REVISION

Which = Literal["jobs", "logs"]
BOTH: list[tuple[Which, MetaData]] = [("jobs", JOBS), ("logs", LOGS)]

# One row, a handful of rows, or a whole index on purpose.
_WALKS = ("SCAN installation", "SCAN jobs USING COVERING INDEX jobs_by_reason", "SCAN attempts USING INDEX attempts_")


def schema_of(connection: sqlite3.Connection) -> dict[str, str]:
    """What SQLite says of each table and index, in one spelling."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: "".join(text.replace('"', "").split()) for name, text in rows}


@pytest.mark.parametrize(("which", "metadata"), BOTH)
def test_migrations_from_nothing_give_the_schema_of_a_new_folder(which: Which, metadata: MetaData) -> None:
    migrated = connect_writer(None)
    migrations.upgrade(migrated, which)
    made = memory_connection(metadata)
    assert schema_of(migrated) == schema_of(made)
    assert migrated.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]
    migrated.close()
    made.close()


def test_the_newest_migration_is_the_revision_of_the_tables() -> None:
    assert ScriptDirectory.from_config(migrations.configuration()).get_current_head() == REVISION


def prepared_statements() -> dict[str, Prepared]:
    """Every statement of the store, by module and name."""
    found = {}
    for module in pkgutil.iter_modules(sql.__path__):
        for name, value in vars(importlib.import_module(f"{sql.__name__}.{module.name}")).items():
            if isinstance(value, Prepared):
                found[f"{module.name}.{name}"] = value
    return found


def test_no_statement_walks_a_whole_table() -> None:
    """Invariant 11."""
    plans: dict[str, list[str]] = {}
    jobs, logs = memory_connection(JOBS), memory_connection(LOGS)
    for name, statement in prepared_statements().items():
        database = logs if name.startswith(("logs.", "chunks.", "salvage.")) else jobs
        text = f"EXPLAIN QUERY PLAN {statement.text}"
        plans[name] = [step for *_, step in database.execute(text, [None] * text.count("?"))]
    walks = {
        (name, step)
        for name, plan in plans.items()
        for step in plan
        if step.startswith(("SCAN", "USE TEMP")) and not step.startswith(_WALKS)
    }
    assert walks == {
        ("retention._KEYS", "USE TEMP B-TREE FOR ORDER BY"),  # the attempts of one job
        # Once, when a damaged database of logs has been begun anew.
        ("retention._STORED", "SCAN attempts"),
        ("retention._COLLECTING", "SCAN attempts"),
    }
    assert len(plans) > 40
    jobs.close()
    logs.close()
