"""From a file to a database of the newest revision: made, checked, or migrated."""

from __future__ import annotations

import secrets
import sqlite3
import string
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, MetaData, create_engine, event, func, insert, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from spark_jobs.domain.errors import DataDirDamaged, DataDirForeign, DataDirNewer, DataDirNotWritable
from spark_jobs.store.sql import sqlite
from spark_jobs.store.sql.folder import DataFolder
from spark_jobs.store.sql.tables import JOBS, LOGS, REVISION, installation

_MAGIC = b"SQLite format 3\0"
_THOROUGH_BELOW = 4 * 1024 * 1024  # bytes: a file this small is read whole at every start, in some milliseconds
_INSTANCE_ALPHABET = string.ascii_lowercase + string.digits


def prepare_folder(folder: DataFolder) -> None:
    """Bring both databases of a locked folder to the newest revision.

    Raises:
        DataDirNewer, DataDirForeign, DataDirDamaged, DataDirNotWritable: see there.
    """
    # The logs' file is made first, so that a folder with jobs and without logs has lost something.
    if folder.jobs.exists() and folder.jobs.stat().st_size and not folder.logs.exists():
        raise DataDirDamaged(f"{folder.logs} is missing; restore it, or start with another folder (--data-dir)")
    for file, metadata in ((folder.logs, LOGS), (folder.jobs, JOBS)):
        fresh = folder.ensure(file)
        if not fresh:
            _check_header(file)
        try:
            with closing(sqlite.connect_writer(file, wal=False)) as connection:
                if fresh:
                    create(connection, metadata)
                else:
                    _bring_up(connection, metadata, file)
        except (sqlite3.Error, DBAPIError) as error:
            raise _open_error(error, file) from error
    folder.sync()


def memory_connection(metadata: MetaData) -> sqlite3.Connection:
    """A new database in memory."""
    connection = sqlite.connect_writer(None)
    create(connection, metadata)
    return connection


def create(connection: sqlite3.Connection, metadata: MetaData) -> None:
    """Make all tables and the stamp in one transaction: after a crash there is either nothing or everything."""
    sqlite.allow_shrinking(connection)
    with transaction(connection) as core:
        metadata.create_all(core)
        core.execute(insert(metadata.tables["alembic_version"]), {"version_num": REVISION})
        if metadata is JOBS:
            core.execute(insert(installation), first_row())
        sqlite.mark_as_ours(connection)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[Connection]:
    """SQLAlchemy's view of a connection, in a transaction."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    event.listen(engine, "begin", lambda core: core.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as core:
        yield core


def first_row() -> dict[str, object]:
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
    with transaction(connection) as core:
        revision = core.execute(select(metadata.tables["alembic_version"].c.version_num)).scalar_one_or_none()
        if revision != REVISION:
            _migrate(core, metadata, revision, file)
        _check_tables(core, metadata, file)
    if file.stat().st_size <= _THOROUGH_BELOW:
        problem = sqlite.first_problem(connection)
        if problem is not None:
            raise DataDirDamaged(f"{file} is damaged ({problem}); restore it from a copy")


def _check_tables(core: Connection, metadata: MetaData, file: Path) -> None:
    """Walk down every table's edges, which costs the same however large it is."""
    missing = set(metadata.tables) - set(inspect(core).get_table_names())
    if missing:
        raise DataDirDamaged(f"{file} lacks the tables {', '.join(sorted(missing))}; restore it from a copy")
    for table in metadata.sorted_tables:
        key = next(iter(table.primary_key.columns))
        core.execute(select(func.min(key))).one()
        core.execute(select(func.max(key))).one()
    if metadata is JOBS and core.execute(select(installation.c.instance)).one_or_none() is None:
        raise DataDirDamaged(f"{file} has lost its installation row; restore it from a copy")


def _migrate(core: Connection, metadata: MetaData, revision: str | None, file: Path) -> None:
    # Alembic costs more than everything else at a start, and almost never has anything to do.
    from spark_jobs.store.migrations import is_known, upgrade  # noqa: PLC0415

    if revision is None:
        raise DataDirDamaged(f"{file} does not say its revision; restore it from a copy")
    if not is_known(revision):
        raise DataDirNewer(
            f"{file} was written by a newer version of Spark (revision {revision}, this one knows {REVISION}); "
            "install that version, or name another folder with --data-dir"
        )
    upgrade(core, "jobs" if metadata is JOBS else "logs")


def _open_error(error: sqlite3.Error | DBAPIError, file: Path) -> Exception:
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    if any(word in text for word in ("malformed", "not a database", "no such table", "no such column")):
        return DataDirDamaged(f"{file} is damaged ({text}); restore it from a copy")
    return DataDirNotWritable(f"{file} can't be opened for writing ({text})")
