"""What is SQLite's own: how connections are made, and every pragma."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

_APPLICATION_ID = 0x5350524B  # "SPRK"
_PAGES_AT_ONCE = 2048  # 8 MiB: so short a pause for other writes
_LARGEST_JOURNAL = 8 * 1024 * 1024  # bytes that are left of it at most once its content is in the database
_WRITER_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    f"PRAGMA journal_size_limit = {_LARGEST_JOURNAL}",
)
_READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA busy_timeout = 5000")


def connect_writer(path: Path | None, *, wal: bool = True) -> Connection:
    """A connection that may write; null is a database in memory, which lives as long as the connection.

    ``wal`` false leaves the file's journal mode as it is.
    """
    pragmas = ("PRAGMA journal_mode = WAL", *_WRITER_PRAGMAS) if wal else _WRITER_PRAGMAS
    return _connect(":memory:" if path is None else str(path), pragmas)


def connect_reader(path: Path) -> Connection:
    """A connection that may only read."""
    return _connect(str(path), _READER_PRAGMAS)


def connect_to_damaged(path: Path) -> Connection:
    """A connection that reads what can be read, also where the file is shorter than it says."""
    return _connect(str(path), (*_READER_PRAGMAS, "PRAGMA writable_schema = ON"))


def _connect(target: str, pragmas: tuple[str, ...]) -> Connection:
    # The driver's own idea of when to begin a transaction would break savepoints and snapshots: it gets none.
    connection = sqlite3.connect(target, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in pragmas:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All or nothing of what is done inside."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _number(connection: Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def allow_shrinking(connection: Connection) -> None:
    """Let freed pages be returned one by one; to be said before the first table is made."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")


def mark_as_ours(connection: Connection) -> None:
    """Write into the file whose database it is."""
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")


def is_ours(connection: Connection) -> bool:
    """Whether :func:`mark_as_ours` was called for this file."""
    return _number(connection, "application_id") == _APPLICATION_ID


def missing_bytes(connection: Connection, file: Path) -> int:
    """How much shorter the file is than it says; 0 for a whole one. Reads no pages."""
    blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    expected = _number(connection, "page_count") * _number(connection, "page_size")
    return 0 if blocked else max(0, expected - file.stat().st_size)


def first_problem(connection: Connection) -> str | None:
    """What a check of every page finds first; null for none. Reads the whole file."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    return None if found == "ok" else str(found).splitlines()[-1]  # before it, of which database


def used_bytes(connection: Connection) -> int:
    """What everything that is stored takes in the file."""
    return (_number(connection, "page_count") - _number(connection, "freelist_count")) * _number(
        connection, "page_size"
    )


def shrink(connection: Connection) -> bool:
    """Return some free pages to the file system; true if there are more."""
    free = _number(connection, "freelist_count")
    for _ in range(min(free, _PAGES_AT_ONCE)):
        connection.execute("PRAGMA incremental_vacuum(1)")  # the driver takes one step, and a step frees one page
    return free > _PAGES_AT_ONCE
