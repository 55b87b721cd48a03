"""From a file to a database of the newest revision: made, checked, or migrated."""

from __future__ import annotations

import secrets
import sqlite3
import string
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path

from sqlalchemy import MetaData, func, insert, select
from sqlalchemy.schema import CreateIndex, CreateTable

from spark_jobs.domain.errors import DataDirDamaged, DataDirForeign, DataDirNewer, DataDirNotWritable
from spark_jobs.store.sql import sqlite
from spark_jobs.store.sql.folder import DataFolder
from spark_jobs.store.sql.prepared import DIALECT, Prepared
from spark_jobs.store.sql.tables import JOBS, REVISION, installation

_MAGIC = b"SQLite format 3\0"
_THOROUGH_BELOW = 4 * 1024 * 1024  # bytes: a file this small is read whole at every start, in some milliseconds
_INSTANCE_ALPHABET = string.ascii_lowercase + string.digits


def make(
    folder: DataFolder, file: Path, metadata: MetaData, fill: Callable[[sqlite3.Connection], None] = lambda _: None
) -> None:
    """Put a new database in place, once ``fill`` is done with it.

    Raises:
        DataDirNotWritable: it can't be made.
    """
    try:
        with folder.making(file) as new, closing(sqlite.connect_writer(new, wal=False)) as connection:
            create(connection, metadata)
            fill(connection)
    except sqlite3.Error as error:
        raise _open_error(error, file) from error


def accept(file: Path, metadata: MetaData) -> None:
    """Bring a database to the newest revision.

    Raises:
        DataDirNewer, DataDirForeign, DataDirDamaged, DataDirNotWritable: see there.
    """
    _check_header(file)
    try:
        with closing(sqlite.connect_writer(file, wal=False)) as connection:
            _bring_up(connection, metadata, file)
    except sqlite3.Error as error:
        raise _open_error(error, file) from error


def memory_connection(metadata: MetaData) -> sqlite3.Connection:
    """A new database in memory."""
    connection = sqlite.connect_writer(None)
    create(connection, metadata)
    return connection


def create(connection: sqlite3.Connection, metadata: MetaData) -> None:
    """Make all tables and the stamp in one transaction: after a crash there is either nothing or everything."""
    sqlite.allow_shrinking(connection)
    with sqlite.transaction(connection):
        for statement in _definitions(metadata):
            connection.execute(statement)
        Prepared(insert(metadata.tables["alembic_version"])).run(connection, {"version_num": REVISION})
        if metadata is JOBS:
            Prepared(insert(installation)).run(connection, _first_row())
        sqlite.mark_as_ours(connection)


@cache
def _definitions(metadata: MetaData) -> Sequence[str]:
    """The statements that make the tables and their indexes."""
    tables = metadata.sorted_tables
    made = [CreateTable(table) for table in tables] + [CreateIndex(each) for table in tables for each in table.indexes]
    return [str(statement.compile(dialect=DIALECT)) for statement in made]


def _first_row() -> dict[str, object]:
    """The installation's row as it begins, with a new random name."""
    return {
        "id": 1,
        "instance": "".join(secrets.choice(_INSTANCE_ALPHABET) for _ in range(8)),
        "paused": False,
        "job_seq": 0,
        "claim_seq": 0,
        "event_seq": 0,
        "events_gone": 0,
    }


def _check_header(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            start = stream.read(len(_MAGIC))
    except OSError as error:
        raise DataDirNotWritable(f"{file} can't be read ({error.strerror})") from error
    if start != _MAGIC:
        raise DataDirDamaged(f"{file} is not a database (its first bytes are wrong); restore it from a copy")


def _bring_up(connection: sqlite3.Connection, metadata: MetaData, file: Path) -> None:
    if not sqlite.is_ours(connection):
        raise DataDirForeign(f"{file} is a database of another program; name another folder with --data-dir")
    missing = sqlite.missing_bytes(connection, file)
    if missing:
        raise DataDirDamaged(f"{file} was cut: its last {missing} bytes are missing; restore it from a copy")
    revision = Prepared(select(metadata.tables["alembic_version"].c.version_num)).value(connection)
    if revision != REVISION:
        _migrate(connection, metadata, revision, file)
    _check_tables(connection, metadata, file)
    if file.stat().st_size <= _THOROUGH_BELOW:
        problem = sqlite.first_problem(connection)
        if problem is not None:
            raise DataDirDamaged(f"{file} is damaged ({problem}); restore it from a copy")


def _check_tables(connection: sqlite3.Connection, metadata: MetaData, file: Path) -> None:
    """Walk down every table's edges, which costs the same however large it is."""
    for table in metadata.sorted_tables:
        key = next(iter(table.primary_key.columns))
        Prepared(select(func.min(key))).value(connection)
        Prepared(select(func.max(key))).value(connection)
    if metadata is JOBS and Prepared(select(installation.c.instance)).value(connection) is None:
        raise DataDirDamaged(f"{file} has lost its installation row; restore it from a copy")


def _migrate(connection: sqlite3.Connection, metadata: MetaData, revision: str | None, file: Path) -> None:
    # Alembic costs more than everything else at a start, and almost never has anything to do.
    from spark_jobs.store.migrations import is_known, upgrade  # noqa: PLC0415

    if revision is None:
        raise DataDirDamaged(f"{file} does not say its revision; restore it from a copy")
    if not is_known(revision):
        raise DataDirNewer(
            f"{file} was written by a newer version of Spark (revision {revision}, this one knows {REVISION}); "
            "install that version, or name another folder with --data-dir"
        )
    upgrade(connection, "jobs" if metadata is JOBS else "logs")


def _open_error(error: sqlite3.Error, file: Path) -> Exception:
    text = str(error)
    if any(word in text for word in ("malformed", "not a database", "no such table", "no such column")):
        return DataDirDamaged(f"{file} is damaged ({text}); restore it from a copy")
    return DataDirNotWritable(f"{file} can't be opened for writing ({text})")
