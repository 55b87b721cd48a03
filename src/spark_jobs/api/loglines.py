"""Stored logs as text and as lines. Works piece by piece, so that a log of any size takes little memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from spark_jobs.api.wire import LogLine
from spark_jobs.domain.times import format_ns
from spark_jobs.logs import with_stamps
from spark_jobs.store.base import LogChunk

_BLOCK = 16 * 1024  # bytes handed on at once, about

if TYPE_CHECKING:
    from spark_jobs.service import LogPiece  # clients use this, too, and have no service


def stamped(chunk: LogChunk) -> bytes:
    """The chunk's bytes with each line's time and a space before it."""
    return with_stamps(chunk, lambda stamp: f"{format_ns(stamp)} ".encode())


def gathered(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts put together, so that about 16 KiB are handed on at once."""
    block = bytearray()
    for part in parts:
        block += part
        if len(block) >= _BLOCK:
            data = bytes(block)
            block.clear()  # first, since it may take long until somebody wants more
            yield data
    if block:
        yield bytes(block)


def log_lines(piece: LogPiece) -> Iterator[tuple[LogLine, int]]:
    """The piece line by line, each with the byte where it ends."""
    return _log_lines(piece.attempt, piece.chunk)


def shown(attempt: int, chunk: LogChunk, *, timestamps: bool, json: bool) -> bytes:
    """The chunk as clients show it: as it is, with each line's time before it, or as an object of JSON for each line."""
    if json:
        return b"".join([msgspec.json.encode(line) + b"\n" for line, _ in _log_lines(attempt, chunk)])
    return stamped(chunk) if timestamps else chunk.data


def _log_lines(attempt: int, chunk: LogChunk) -> Iterator[tuple[LogLine, int]]:
    offset = chunk.offset
    for line, stamp in _lines(chunk):
        end = offset + len(line)
        yield _log_line(attempt, offset, None if stamp is None else format_ns(stamp), line), end
        offset = end


def _log_line(attempt: int, offset: int, time: str | None, line: bytes) -> LogLine:
    try:
        return LogLine(attempt, offset, time, text=line.decode())
    except UnicodeDecodeError:
        return LogLine(attempt, offset, time, bytes=line)


def _lines(chunk: LogChunk) -> Iterator[tuple[bytes, int | None]]:
    """Each line with its time; the rest of a line that began before the chunk has none."""
    data = chunk.data
    stamps: Iterator[int | None] = iter(chunk.stamps)
    lines = data.count(b"\n") + (0 if data.endswith(b"\n") or not data else 1)
    begun_before = lines > len(chunk.stamps)
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        yield data[at:end], None if begun_before and at == 0 else next(stamps, None)
        at = end
