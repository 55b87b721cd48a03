"""Stored logs as text and as lines. Works piece by piece, so that a log of any size takes little memory."""

from __future__ import annotations

from collections.abc import Iterator

from spark_jobs.api.wire import LogLine
from spark_jobs.domain.times import format_ns
from spark_jobs.logs import with_stamps
from spark_jobs.service import LogPiece
from spark_jobs.store.base import LogChunk


def stamped(chunk: LogChunk) -> bytes:
    """The chunk's bytes with each line's time and a space before it."""
    return with_stamps(chunk, lambda stamp: f"{format_ns(stamp)} ".encode())


def log_lines(piece: LogPiece) -> Iterator[tuple[LogLine, int]]:
    """The piece line by line, each with the byte where it ends."""
    offset = piece.chunk.offset
    for line, stamp in _lines(piece.chunk):
        end = offset + len(line)
        yield _log_line(piece.attempt, offset, None if stamp is None else format_ns(stamp), line), end
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
