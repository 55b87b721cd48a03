"""What is SQLite's own: how connections are made, and every pragma."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool, StaticPool

_APPLICATION_ID = 0x5350524B  # "SPRK"
_PAGES_AT_ONCE = 2048  # 8 MiB: so short a pause for other writes
_WRITER_PRAGMAS = ("PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON", "PRAGMA busy_timeout = 5000")
_READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 5000")


def writing_engine(path: Path | None, *, wal: bool = True) -> Engine:
    """An engine with one connection that may write; null is a database in memory, which lives as long as the engine.

    ``wal`` false leaves the file's journal mode as it is.
    """
    target = ":memory:" if path is None else str(path)
    pragmas = ("PRAGMA journal_mode = WAL", *_WRITER_PRAGMAS) if wal else _WRITER_PRAGMAS
    return _engine(target, StaticPool, pragmas, begin="BEGIN IMMEDIATE")


def reading_engine(path: Path, connections: int) -> Engine:
    """An engine with a connection for each reader; a transaction of it sees one state of the database throughout."""
    return _engine(str(path), QueuePool, _READER_PRAGMAS, begin="BEGIN", pool_size=connections, max_overflow=0)


def _engine(target: str, pool: type, pragmas: tuple[str, ...], *, begin: str, **options: int) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(target, isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            for pragma in pragmas:
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    # Parameters are hidden since an error's text with them would carry users' secrets into logs.
    engine = create_engine("sqlite://", creator=connect, poolclass=pool, hide_parameters=True, **options)

    def begin_transaction(connection: Connection) -> None:
        # The driver is in its autocommit mode: its own idea of when to begin would break savepoints and snapshots.
        connection.exec_driver_sql(begin)

    event.listen(engine, "begin", begin_transaction)
    return engine


def _number(connection: Connection, pragma: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one())


def allow_shrinking(connection: Connection) -> None:
    """Let freed pages be returned one by one; to be said before the first table is made."""
    _driver(connection).execute("PRAGMA auto_vacuum = INCREMENTAL")


def mark_as_ours(connection: Connection) -> None:
    """Write into the file whose database it is."""
    connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION_ID}")


def is_ours(connection: Connection) -> bool:
    """Whether :func:`mark_as_ours` was called for this file."""
    return _number(connection, "application_id") == _APPLICATION_ID


def missing_bytes(connection: Connection, file: Path) -> int:
    """How much shorter the file is than it says; 0 for a whole one. Reads no pages."""
    blocked, _, _ = _driver(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    expected = _number(connection, "page_count") * _number(connection, "page_size")
    return 0 if blocked else max(0, expected - file.stat().st_size)


def first_problem(connection: Connection) -> str | None:
    """What a check of every page finds first; null for none. Reads the whole file."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    return None if found == "ok" else str(found)


def used_bytes(connection: Connection) -> int:
    """What everything that is stored takes in the file."""
    return (_number(connection, "page_count") - _number(connection, "freelist_count")) * _number(
        connection, "page_size"
    )


def shrink(connection: Connection) -> bool:
    """Return some free pages to the file system; true if there are more."""
    free = _number(connection, "freelist_count")
    driver = _driver(connection)
    for _ in range(min(free, _PAGES_AT_ONCE)):
        driver.execute("PRAGMA incremental_vacuum(1)")  # the driver takes one step, and a step frees one page
    return free > _PAGES_AT_ONCE


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"not a connection to SQLite: {driver!r}")
    return driver
