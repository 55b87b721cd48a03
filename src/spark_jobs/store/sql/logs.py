"""Stored logs: appended in chunks, read on from any byte, searched by line and by time."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import DataDirDamaged
from spark_jobs.store.base import LogChunk, LogPoint
from spark_jobs.store.sql import codec
from spark_jobs.store.sql.prepared import Prepared, Row
from spark_jobs.store.sql.tables import chunks, logs
from spark_jobs.store.sql.writer import Tx

BATCH_BYTES = 64 * 1024  # so much is unpacked for a reader at a time; one chunk at least

_POINT = ("bytes", "lines", "stamp_ns", "last_line", "open_bytes")
_THIS_LOG = (logs.c.job_id == bindparam("key_job_id"), logs.c.attempt == bindparam("key_attempt"))
_LOG = Prepared(select(logs).where(*_THIS_LOG))
_INSERT_LOG = Prepared(
    insert(logs).values({name: bindparam(name) for name in ("job_id", "attempt", *_POINT, "end", "latest_ns")})
)
_UPDATE_LOG = Prepared(
    update(logs)
    .where(logs.c.id == bindparam("log_id"))
    .values({name: bindparam(name) for name in (*_POINT, "end", "latest_ns")})
)
_INSERT_CHUNK = Prepared(
    insert(chunks).values({each.name: bindparam(each.name) for each in chunks.c if each is not chunks.c.id})
)
_FORGET = Prepared(delete(logs).where(*_THIS_LOG))

_PACKED = select(chunks.c.offset, chunks.c.size, chunks.c.line, chunks.c.lines, chunks.c.data, chunks.c.stamps)
_IN_LOG = chunks.c.log_id == bindparam("log_id")
_FROM_BYTE = Prepared(_PACKED.where(_IN_LOG, chunks.c.offset >= bindparam("start")).order_by(chunks.c.offset))
_HOLDING_BYTE = Prepared(
    select(chunks.c.offset).where(_IN_LOG, chunks.c.offset <= bindparam("at")).order_by(chunks.c.offset.desc()).limit(1)
)
# A chunk in which no line begins has the number of the next one, and comes before the chunk where that begins.
_FROM_LAST_LINE = _PACKED.where(_IN_LOG).order_by(chunks.c.line.desc(), chunks.c.offset.desc()).limit(1)
_LAST_LINES = Prepared(_FROM_LAST_LINE)
_HOLDING_LINE = Prepared(_FROM_LAST_LINE.where(chunks.c.line <= bindparam("line")))
# The first chunk that reaches a time is the one in which a line of that time, or the next later one, begins.
_HOLDING_TIME = Prepared(
    _PACKED.where(_IN_LOG, chunks.c.latest_ns >= bindparam("since_ns"))
    .order_by(chunks.c.latest_ns, chunks.c.offset)
    .limit(1)
)


def _key(key: AttemptKey) -> dict[str, Any]:
    return {"key_job_id": key.job_id, "key_attempt": key.attempt}


def _log(connection: Connection, key: AttemptKey) -> Row | None:
    return _LOG.row(connection, _key(key))


def append(tx: Tx, key: AttemptKey, new: Sequence[LogChunk], point: LogPoint) -> None:
    """See ``LogStore.log_append``.

    Raises:
        ValueError: a chunk does not begin where the stored log ends.
    """
    row = _log(tx.connection, key) or _new_log(tx, key)
    end, latest = row["end"], row["latest_ns"]
    packed = []
    for chunk in new:
        if chunk.offset != end:
            raise ValueError(f"the log of {key} ends at byte {end}, the next chunk begins at {chunk.offset}")
        end += len(chunk.data)
        latest = max(latest, max(chunk.stamps, default=latest))
        packed.append(_packed(row["id"], chunk, latest))
    _INSERT_CHUNK.run_each(tx.connection, packed)
    values = {name: getattr(point, name) for name in _POINT}
    _UPDATE_LOG.run(tx.connection, {**values, "end": end, "latest_ns": latest, "log_id": row["id"]})


def _new_log(tx: Tx, key: AttemptKey) -> Row:
    empty = LogPoint()
    row = {"job_id": key.job_id, "attempt": key.attempt, "end": 0, "latest_ns": 0}
    _INSERT_LOG.run(tx.connection, {**row, **{name: getattr(empty, name) for name in _POINT}})
    return {"id": _LOG.value(tx.connection, _key(key)), **row}


def _packed(log_id: int, chunk: LogChunk, latest: int) -> dict[str, Any]:
    return {
        "log_id": log_id,
        "offset": chunk.offset,
        "size": len(chunk.data),
        "line": chunk.line,
        "lines": len(chunk.stamps),
        "latest_ns": latest,
        "data": codec.pack_data(chunk.data),
        "stamps": codec.pack_stamps(chunk.stamps),
    }


def point(connection: Connection, key: AttemptKey) -> LogPoint:
    """See ``LogStore.log_point``."""
    row = _log(connection, key)
    return LogPoint(**{name: row[name] for name in _POINT}) if row else LogPoint()


def end(connection: Connection, key: AttemptKey) -> int:
    """The byte after the last one stored."""
    row = _log(connection, key)
    return row["end"] if row else 0


def read_some(connection: Connection, key: AttemptKey, offset: int) -> list[LogChunk]:
    """The next chunks from a byte on, about :data:`BATCH_BYTES`; none at the end."""
    row = _log(connection, key)
    if row is None or offset >= row["end"]:
        return []
    start = _HOLDING_BYTE.value(connection, {"log_id": row["id"], "at": offset})
    found: list[LogChunk] = []
    size = 0
    for packed in _FROM_BYTE.rows(connection, {"log_id": row["id"], "start": start}):
        found.append(_unpacked(key, packed))
        size += packed["size"]
        if size >= BATCH_BYTES:
            break
    found[0] = _cut(found[0], offset)
    return found


def _unpacked(key: AttemptKey, row: Row) -> LogChunk:
    try:
        data = codec.unpack_data(row["data"], row["size"])
        stamps = codec.unpack_stamps(row["stamps"], row["lines"])
    except codec.Damaged as error:
        raise DataDirDamaged(
            f"the stored log of job {key.job_id}, attempt {key.attempt} is damaged in the {row['size']} bytes "
            f"from byte {row['offset']} on ({error}); what comes before and after can be read"
        ) from error
    return LogChunk(offset=row["offset"], line=row["line"], data=data, stamps=stamps)


def _cut(chunk: LogChunk, offset: int) -> LogChunk:
    """The part of a chunk from byte ``offset`` of the log on."""
    skip = offset - chunk.offset
    if skip <= 0:
        return chunk
    starts = codec.line_starts(chunk.data, len(chunk.stamps))
    gone = sum(1 for start in starts if start < skip)
    return LogChunk(
        offset=offset,
        line=chunk.line + gone,
        data=chunk.data[skip:],
        stamps=chunk.stamps[gone:],
    )


def seek(connection: Connection, key: AttemptKey, tail: int | None, since_ns: int | None) -> int:
    """See ``LogStore.log_seek``."""
    row = _log(connection, key)
    if row is None:
        return 0
    found = []
    if tail is not None:
        found.append(_seek_tail(connection, key, row, tail))
    if since_ns is not None:
        found.append(_seek_time(connection, key, row, since_ns))
    return max(found, default=0)


def _seek_tail(connection: Connection, key: AttemptKey, log: Row, tail: int) -> int:
    last = _LAST_LINES.row(connection, {"log_id": log["id"]})
    if tail <= 0 or last is None:
        return int(log["end"])
    line = last["line"] + last["lines"] - tail
    row = _HOLDING_LINE.row(connection, {"log_id": log["id"], "line": line})
    return 0 if row is None else _start_of_line(_unpacked(key, row), line - row["line"])


def _seek_time(connection: Connection, key: AttemptKey, log: Row, since_ns: int) -> int:
    row = _HOLDING_TIME.row(connection, {"log_id": log["id"], "since_ns": since_ns})
    if row is None:
        return int(log["end"])
    chunk = _unpacked(key, row)
    return _start_of_line(chunk, next(i for i, stamp in enumerate(chunk.stamps) if stamp >= since_ns))


def _start_of_line(chunk: LogChunk, index: int) -> int:
    """The byte where the chunk's line number ``index`` (from 0, of those that begin in it) begins."""
    return chunk.offset + codec.line_starts(chunk.data, len(chunk.stamps))[index]


def forget(tx: Tx, keys: Sequence[AttemptKey]) -> None:
    """Remove logs."""
    for key in keys:
        _FORGET.run(tx.connection, _key(key))
