"""What can still be read of a damaged log database, taken over into a new one.

The database can't go past a damaged page, so rows are looked for by every index and from both ends: what is lost is what
none of these ways leads to. Logs keep their bytes' places: something that readers are told of stands where chunks are lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import StoreUnavailable
from spark_jobs.store.sql import codec, sqlite
from spark_jobs.store.sql.failures import store_error
from spark_jobs.store.sql.prepared import Parameters, Prepared, Row
from spark_jobs.store.sql.tables import chunks, logs

_LOG = Prepared(select(logs).where(logs.c.id == bindparam("row_id")))
_CHUNK = Prepared(select(chunks).where(chunks.c.id == bindparam("row_id")))
_INSERT_LOG = Prepared(insert(logs).values({each.name: bindparam(each.name) for each in logs.c}))
_INSERT_CHUNK = Prepared(
    insert(chunks).values({each.name: bindparam(each.name) for each in chunks.c if each is not chunks.c.id})
)


def _both_ways(query: Any, *orders: Sequence[Any]) -> Sequence[Prepared]:
    """The query in each of these orders, and backwards."""
    ways = [order for each in orders for order in (each, [column.desc() for column in each])]
    return [Prepared(query.order_by(*way)) for way in ways]


_ALL_LOGS = _both_ways(
    select(logs.c.id.label("place"), logs.c.id.label("row_id")), [logs.c.id], [logs.c.job_id, logs.c.attempt]
)
_CHUNKS_OF_LOG = _both_ways(
    select(chunks.c.offset.label("place"), chunks.c.id.label("row_id")).where(chunks.c.log_id == bindparam("log_id")),
    [chunks.c.offset],
    [chunks.c.line, chunks.c.offset],
    [chunks.c.latest_ns, chunks.c.offset],
)


class Hole(msgspec.Struct, frozen=True):
    """A log that was not taken over whole: ``missing`` bytes, the first of them at ``offset``."""

    key: AttemptKey
    offset: int
    missing: int


def salvage(source: Connection, target: Connection) -> Sequence[Hole]:
    """Take over all that can be read, and tell which of the logs that are there now have holes.

    Raises:
        sqlite3.Error: the new database can't be written, or the old one can't be read now.
    """
    holes: list[Hole] = []
    with sqlite.transaction(target):
        for log_id in _found(source, _ALL_LOGS):
            row = _read(source, _LOG, log_id)
            if row is not None:
                holes += _take(source, target, row)
    return holes


def _found(source: Connection, ways: Sequence[Prepared], parameters: Parameters | None = None) -> Sequence[int]:
    """Ids of rows in the order of their places, from all ways, each as far as it leads."""
    found: dict[int, int] = {}
    for way in ways:
        try:
            for row in way.rows(source, parameters):
                found.setdefault(row["place"], row["row_id"])
        except sqlite3.DatabaseError as error:
            _check_damage(error)
    return [found[place] for place in sorted(found)]


def _read(source: Connection, statement: Prepared, row_id: int) -> Row | None:
    """The row; null where it can't be read."""
    try:
        return statement.row(source, {"row_id": row_id})
    except sqlite3.DatabaseError as error:
        _check_damage(error)
    except TypeError:
        pass  # a column holds what it never held: the page is damaged, though the database does not see it
    return None


def _check_damage(error: sqlite3.DatabaseError) -> None:
    """Raise what is no damage: it may pass."""
    if isinstance(store_error(error), StoreUnavailable):
        raise error


def _take(source: Connection, target: Connection, stored: Row) -> Sequence[Hole]:
    """Take over a log; where it has holes, the first of them and all that is missing. Nothing of it where it makes no
    sense beside the others."""
    key = AttemptKey(stored["job_id"], stored["attempt"])
    target.execute("SAVEPOINT one")
    try:
        _INSERT_LOG.run(target, stored)
        holes = _take_chunks(source, target, stored)
    except sqlite3.IntegrityError:
        target.execute("ROLLBACK TO one")
        return []
    finally:
        target.execute("RELEASE one")
    return [Hole(key, holes[0][0], sum(size for _, size in holes))] if holes else []


def _take_chunks(source: Connection, target: Connection, stored: Row) -> Sequence[tuple[int, int]]:
    """The chunks in their order, and in each hole one that can't be unpacked; offsets and sizes of the holes."""
    holes: list[tuple[int, int]] = []
    last: Row = {"log_id": stored["id"], "line": 0, "lines": 0, "latest_ns": 0}
    end: int | None = 0  # null: the last chunk goes up to the next one, whatever its row says
    for chunk_id in _found(source, _CHUNKS_OF_LOG, {"log_id": stored["id"]}):
        row = _read(source, _CHUNK, chunk_id)
        if row is None or row["log_id"] != stored["id"] or (end is not None and row["offset"] < end):
            continue
        if end is not None and row["offset"] > end:
            holes.append((end, row["offset"] - end))
            _INSERT_CHUNK.run(target, _nothing(last, end, row))
        _INSERT_CHUNK.run(target, row)
        last, end = row, _end(row)
    if end is not None and end < stored["end"]:
        holes.append((end, stored["end"] - end))
        rest = {"offset": stored["end"], "line": stored["lines"], "latest_ns": stored["latest_ns"]}
        _INSERT_CHUNK.run(target, _nothing(last, end, rest))
    return holes


def _end(chunk: Row) -> int | None:
    size: int = chunk["size"]
    return chunk["offset"] + size if codec.promised_size(chunk["data"]) == size else None


def _nothing(last: Row, offset: int, following: Row) -> Row:
    """What stands for the chunks from a byte on up to the following one; whoever unpacks it is told that it is damaged."""
    line = last["line"] + last["lines"]
    lines = max(0, following["line"] - line)
    return {
        "log_id": last["log_id"],
        "offset": offset,
        "size": following["offset"] - offset,
        "line": line,
        "lines": lines,
        "latest_ns": following["latest_ns"] if lines else last["latest_ns"],
        "data": b"",
        "stamps": b"",
    }
