"""Stored logs: appended in chunks, listed, and removed. How they are read is in :mod:`~spark_jobs.store.sql.chunks`."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.store.base import LogChunk, LogPoint, StoredLog
from spark_jobs.store.sql import codec
from spark_jobs.store.sql.prepared import Prepared, Row
from spark_jobs.store.sql.tables import chunks, logs
from spark_jobs.store.sql.writer import Tx

MERGED_BYTES = 256 * 1024
"""Chunks grow up to this size, unpacked, by being put together."""

_CHUNKS_AT_ONCE = 200  # so many are removed in one write, so that those of running jobs get their turn

_POINT = ("bytes", "lines", "stamp_ns", "last_line", "open_bytes")
_NOTHING = {**{name: getattr(LogPoint(), name) for name in _POINT}, "end": 0, "latest_ns": 0}
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

_IN_LOG = chunks.c.log_id == bindparam("log_id")
_SIZES_BACKWARDS = Prepared(
    select(chunks.c.id, chunks.c.size)
    .where(_IN_LOG, chunks.c.offset < bindparam("before"))
    .order_by(chunks.c.offset.desc())
)
_CHUNK = Prepared(select(chunks).where(chunks.c.id == bindparam("chunk_id")))
_DELETE_CHUNK = Prepared(delete(chunks).where(chunks.c.id == bindparam("chunk_id")))
_FIRST_CHUNKS = Prepared(select(chunks.c.id).where(_IN_LOG).order_by(chunks.c.offset).limit(bindparam("how_many")))
_OF_JOB = Prepared(
    select(logs.c.job_id, logs.c.attempt, logs.c.end, logs.c.latest_ns)
    .where(logs.c.job_id == bindparam("job_id"), logs.c.end > 0, logs.c.latest_ns >= bindparam("since_ns"))
    .order_by(logs.c.attempt.desc())
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
    for chunk in new:
        if chunk.offset != end:
            raise ValueError(f"the log of {key} ends at byte {end}, the next chunk begins at {chunk.offset}")
        end += len(chunk.data)
        latest = max(latest, max(chunk.stamps, default=latest))
        whole = _with_smaller_ones_before(tx, row["id"], chunk)
        _INSERT_CHUNK.run(tx.connection, _packed(row["id"], whole, latest))
    values = {name: getattr(point, name) for name in _POINT}
    _UPDATE_LOG.run(tx.connection, {**values, "end": end, "latest_ns": latest, "log_id": row["id"]})


def _new_log(tx: Tx, key: AttemptKey) -> Row:
    row = {"job_id": key.job_id, "attempt": key.attempt, **_NOTHING}
    _INSERT_LOG.run(tx.connection, row)
    return {"id": _LOG.value(tx.connection, _key(key)), **row}


def _with_smaller_ones_before(tx: Tx, log_id: int, chunk: LogChunk) -> LogChunk:
    """The chunk, together with those right before it that are no larger, which are removed.

    A log that comes a line at a time would else be stored in as many chunks as lines: several times its size. Chunks grow
    like the digits of a binary counter carry: each byte is packed again a dozen times at most, and few small ones stay.
    """
    taken: list[Row] = []
    size = len(chunk.data)
    for before in _SIZES_BACKWARDS.rows(tx.connection, {"log_id": log_id, "before": chunk.offset}):
        if before["size"] > size or before["size"] + size > MERGED_BYTES:
            break
        taken.append(before)
        size += before["size"]
    for before in taken:
        older = _CHUNK.row(tx.connection, {"chunk_id": before["id"]})
        try:
            chunk = chunk if older is None else _joined(older, chunk)
        except codec.Damaged:
            break  # stays as it is: whoever reads it is told
        _DELETE_CHUNK.run(tx.connection, {"chunk_id": before["id"]})
    return chunk


def _joined(older: Row, chunk: LogChunk) -> LogChunk:
    return LogChunk(
        offset=older["offset"],
        line=older["line"],
        data=codec.unpack_data(older["data"], older["size"]) + chunk.data,
        stamps=codec.unpack_stamps(older["stamps"], older["lines"]) + chunk.stamps,
    )


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


def of_jobs(connection: Connection, job_ids: Sequence[str], since_ns: int) -> list[StoredLog]:
    """See ``LogStore.log_list``."""
    return [
        StoredLog(key=AttemptKey(row["job_id"], row["attempt"]), end=row["end"], latest_ns=row["latest_ns"])
        for job_id in job_ids
        for row in _OF_JOB.rows(connection, {"job_id": job_id, "since_ns": since_ns})
    ]


def forget(tx: Tx, keys: Sequence[AttemptKey]) -> bool:
    """Remove some chunks of these logs, and the logs that have none left; true if there are more.

    A log of which some is left is empty for all who read it: it is not to be taken for a whole one.
    """
    room = _CHUNKS_AT_ONCE
    for key in keys:
        row = _log(tx.connection, key)
        if row is None:
            continue
        found = _FIRST_CHUNKS.values(tx.connection, {"log_id": row["id"], "how_many": room})
        _DELETE_CHUNK.run_each(tx.connection, [{"chunk_id": each} for each in found])
        room -= len(found)
        if room == 0:
            _UPDATE_LOG.run(tx.connection, {**_NOTHING, "log_id": row["id"]})
            return True
        _FORGET.run(tx.connection, _key(key))
    return False
