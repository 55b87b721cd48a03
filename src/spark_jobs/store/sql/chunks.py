"""Chunks of stored logs on their way out: read on from any byte, found by line and by time, stood in for where damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from sqlite3 import Connection
from typing import NoReturn, TypeVar

from sqlalchemy import bindparam, select

from spark_jobs import journal
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import DataDirDamaged
from spark_jobs.store.base import LogBlock, LogChunk, lines_before
from spark_jobs.store.sql import codec
from spark_jobs.store.sql.failures import is_damage
from spark_jobs.store.sql.prepared import Prepared, Row
from spark_jobs.store.sql.tables import chunks, logs

T = TypeVar("T")

log = journal.logger(__name__)

BATCH_BYTES = 64 * 1024  # so much is unpacked for a reader at a time; one chunk at least

_THIS_LOG = (logs.c.job_id == bindparam("key_job_id"), logs.c.attempt == bindparam("key_attempt"))
_LOG = Prepared(select(logs.c.id, logs.c.end).where(*_THIS_LOG))

_PACKED = select(chunks.c.offset, chunks.c.size, chunks.c.line, chunks.c.lines, chunks.c.data, chunks.c.stamps)
_IN_LOG = chunks.c.log_id == bindparam("log_id")
_FROM_BYTE = Prepared(_PACKED.where(_IN_LOG, chunks.c.offset >= bindparam("start")).order_by(chunks.c.offset))
_AT_BYTE = Prepared(_PACKED.where(_IN_LOG, chunks.c.offset == bindparam("start")))
# These two are answered by the index alone, and so even where the row itself can't be read.
_HOLDING_BYTE = Prepared(
    select(chunks.c.offset).where(_IN_LOG, chunks.c.offset <= bindparam("at")).order_by(chunks.c.offset.desc()).limit(1)
)
_AFTER_BYTE = Prepared(
    select(chunks.c.offset).where(_IN_LOG, chunks.c.offset > bindparam("at")).order_by(chunks.c.offset).limit(1)
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


def blocks_of(
    connection: Connection, places: Sequence[tuple[AttemptKey, int]], most: int
) -> Sequence[Sequence[LogBlock]]:
    """See ``LogStore.log_blocks``; about ``most`` bytes unpacked."""
    found: list[list[LogBlock]] = []
    for key, offset in places:
        found.append(blocks(connection, key, offset, most))
        most -= sum(block.size for block in found[-1])
        if most <= 0:
            break
    return found


def blocks(connection: Connection, key: AttemptKey, offset: int, most: int) -> list[LogBlock]:
    """The next blocks from the one that holds a byte on, about ``most`` bytes unpacked; none at the end."""
    stored = _LOG.row(connection, {"key_job_id": key.job_id, "key_attempt": key.attempt})
    if stored is None or offset >= stored["end"]:
        return []
    start = _HOLDING_BYTE.value(connection, {"log_id": stored["id"], "at": offset})
    found: list[LogBlock] = []
    size = 0
    for block in () if start is None else _from(connection, key, stored, start):
        found.append(block)
        size += block.size
        if size >= most:
            break
    return found


def _from(connection: Connection, key: AttemptKey, stored: Row, start: int) -> Iterator[LogBlock]:
    """The log's blocks from a chunk on; a row that the database can't read becomes one that can't be unpacked."""
    at = start
    try:
        for row in _FROM_BYTE.rows(connection, {"log_id": stored["id"], "start": start}):
            size = row["size"]
            if codec.promised_size(row["data"]) != size:
                size = _end(connection, stored, row["offset"]) - row["offset"]
            yield _block(key, row, size)
            at = row["offset"] + size
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        while at < stored["end"]:
            end = _end(connection, stored, at)
            yield _one(connection, key, at, end - at, log_id=stored["id"])
            at = end


def _end(connection: Connection, stored: Row, at: int) -> int:
    """Where the chunk that begins at a byte ends, whatever its own row says: where the next one begins."""
    following: int | None = _AFTER_BYTE.value(connection, {"log_id": stored["id"], "at": at})
    return int(stored["end"]) if following is None else following


def _one(connection: Connection, key: AttemptKey, start: int, size: int, *, log_id: int) -> LogBlock:
    try:
        row = _AT_BYTE.row(connection, {"log_id": log_id, "start": start})
        problem = "its row is not there"
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        row, problem = None, str(error)
    if row is not None:
        return _block(key, row, size)
    lost = partial(_raise_lost, key, start, size, problem)
    return LogBlock(offset=start, size=size, line=0, lines=0, data=lost, stamps=lost)


def _block(key: AttemptKey, row: Row, size: int) -> LogBlock:
    offset, count = row["offset"], row["lines"]
    return LogBlock(
        offset=offset,
        size=size,
        line=row["line"],
        lines=count,
        data=partial(_unpacked, key, offset, size, partial(codec.unpack_data, row["data"], size)),
        stamps=partial(_unpacked, key, offset, size, partial(codec.unpack_stamps, row["stamps"], count)),
    )


def _unpacked(key: AttemptKey, offset: int, size: int, unpack: Callable[[], T]) -> T:
    try:
        return unpack()
    except codec.Damaged as error:
        _raise_lost(key, offset, size, str(error))


def _raise_lost(key: AttemptKey, offset: int, size: int, problem: str) -> NoReturn:
    raise DataDirDamaged(
        f"the stored log of job {key.job_id}, attempt {key.attempt} is damaged in the {size} bytes "
        f"from byte {offset} on ({problem}); what comes before and after can be read"
    )


def read_some(connection: Connection, key: AttemptKey, offset: int, *, in_line: bool, times: bool) -> list[LogChunk]:
    """The next chunks from a byte on, about :data:`BATCH_BYTES`; none at the end. ``in_line``: what was read before
    ends within a line. ``times``: with the lines' times."""
    found: list[LogChunk] = []
    for block in blocks(connection, key, offset, BATCH_BYTES):
        try:
            chunk = _cut(block, offset, times=times)
        except DataDirDamaged as error:
            log.warning("a part of a stored log is lost", problem=str(error))
            chunk = _in_place_of(block, offset, in_line=in_line)
        found.append(chunk)
        offset = chunk.offset + len(chunk.data)
        in_line = not chunk.data.endswith(b"\n")
    return found


def _cut(block: LogBlock, offset: int, *, times: bool) -> LogChunk:
    """The part of a block from byte ``offset`` of the log on."""
    data, stamps = block.data(), _stamps(block) if times else ()
    skip = max(0, offset - block.offset)
    gone = lines_before(data, block.lines, skip)
    return LogChunk(
        offset=block.offset + skip, line=block.line + gone, data=data[skip:] if skip else data, stamps=stamps[gone:]
    )


def _stamps(block: LogBlock) -> tuple[int, ...]:
    """The lines' times; none where only these are damaged, so that the lines are shown without."""
    try:
        return tuple(block.stamps())
    except DataDirDamaged as error:
        log.warning("the times of lines in a stored log are lost", problem=str(error))
        return ()


def _in_place_of(block: LogBlock, offset: int, *, in_line: bool) -> LogChunk:
    """What readers get instead of the block from byte ``offset`` on; it ends where the block does."""
    end = block.offset + block.size
    missing = max(1, end - max(offset, block.offset))
    text = (
        f"[spark] {missing} bytes are missing here: the stored log is damaged from byte {end - missing} on\n".encode()
    )
    if in_line:
        text = b"\n" + text
    data = text if len(text) <= missing else text[: missing - 1] + b"\n"
    return LogChunk(offset=end - len(data), line=block.line, data=data, stamps=())


def seek(connection: Connection, key: AttemptKey, tail: int | None, since_ns: int | None) -> int:
    """See ``LogStore.log_seek``. Where the place lies in what is damaged, it is the beginning of that."""
    stored = _LOG.row(connection, {"key_job_id": key.job_id, "key_attempt": key.attempt})
    if stored is None or stored["end"] == 0:
        return 0
    found = []
    if tail is not None:
        found.append(_seek_tail(connection, key, stored, tail))
    if since_ns is not None:
        found.append(_seek_time(connection, key, stored, since_ns))
    return max(found, default=0)


def _seek_tail(connection: Connection, key: AttemptKey, stored: Row, tail: int) -> int:
    last = _LAST_LINES.row(connection, {"log_id": stored["id"]})
    if tail <= 0 or last is None:
        return int(stored["end"])
    line = last["line"] + last["lines"] - tail
    row = _HOLDING_LINE.row(connection, {"log_id": stored["id"], "line": line})
    return 0 if row is None else _start_of_line(_block(key, row, row["size"]), line - row["line"])


def _seek_time(connection: Connection, key: AttemptKey, stored: Row, since_ns: int) -> int:
    row = _HOLDING_TIME.row(connection, {"log_id": stored["id"], "since_ns": since_ns})
    if row is None:
        return int(stored["end"])
    block = _block(key, row, row["size"])
    try:
        index = next((i for i, stamp in enumerate(block.stamps()) if stamp >= since_ns), None)
    except DataDirDamaged:
        index = None
    return block.offset if index is None else _start_of_line(block, index)


def _start_of_line(block: LogBlock, index: int) -> int:
    """The byte where the block's line number ``index`` (from 0, of those that begin in it) begins."""
    try:
        return block.offset + codec.start_of_line(block.data(), block.lines - index)
    except DataDirDamaged:
        return block.offset
