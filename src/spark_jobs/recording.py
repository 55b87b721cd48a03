"""Logs on their way into the store: buffered writing that never leaves a hole, and dropping what a reconnect repeats."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from spark_jobs.bus import Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import StoreUnavailable
from spark_jobs.store.base import LogChunk, LogPoint, LogStore

FLUSH_BYTES = 256 * 1024
"""So much is held back at most before it is stored."""

LAST_LINE_BYTES = 4096
_PIECE_BYTES = 16 * 1024  # a container runtime writes longer lines down in pieces, and rotation may come between them
_SECOND = 1_000_000_000


class LogRecorder:
    """Stores one attempt's log as it comes. ``point`` says how far it goes, with what is still held back.

    When storing fails, what was held is dropped and nothing more is taken until :meth:`replay`: it goes back to what is
    stored, so that the log never has a hole.
    """

    def __init__(self, store: LogStore, bus: Bus, key: AttemptKey, point: LogPoint) -> None:
        self._store = store
        self._bus = bus
        self._key = key
        self._lock = asyncio.Lock()
        self._stored = point
        self._failure: StoreUnavailable | None = None
        self._data: list[bytes] = []
        self._stamps: list[int] = []
        self.held = 0
        self.point = point

    def add(self, data: bytes, stamps: Sequence[int]) -> None:
        """Take what follows the bytes added so far; ``stamps`` as in ``LogChunk``. Raises StoreUnavailable."""
        if self._failure is not None:
            raise self._failure
        if data:
            self._data.append(data)
            self._stamps.extend(stamps)
            self.held += len(data)
            self.point = advance(self.point, data, stamps)

    async def flush(self) -> None:
        """Store what is held, with the point to resume from, in one transaction. Raises StoreUnavailable."""
        async with self._lock:
            if self._failure is not None:
                raise self._failure
            if not self._data:
                return
            data, stamps, point = b"".join(self._data), tuple(self._stamps), self.point
            self._data, self._stamps, self.held = [], [], 0
            line = point.lines - len(stamps)
            chunk = LogChunk(offset=point.bytes - len(data), line=line, data=data, stamps=stamps)
            try:
                await self._store.log_append(self._key, [chunk], point)
            except StoreUnavailable as error:
                self._failure = error
                raise
            except asyncio.CancelledError:
                self._failure = StoreUnavailable("storing was interrupted")
                raise
            self._stored = point
        self._bus.ring(self._key)

    def _go_back(self) -> None:
        """Forget what could not be stored."""
        self._failure = None
        self._data, self._stamps, self.held = [], [], 0
        self.point = self._stored

    async def replay(self) -> Replay:
        """What to drop from a stream that begins at the whole second of ``point.stamp_ns``; flushes first."""
        if self._failure is not None:
            self._go_back()
        stamps = await self.recent()
        long = len(self.point.last_line) == LAST_LINE_BYTES
        size = self.point.bytes - await self._store.log_seek(self._key, tail=1) if long else 0
        return Replay(stamps, self.point, last_line_bytes=size)

    async def recent(self) -> list[int]:
        """The stamps of the stored lines of the whole second of ``point.stamp_ns`` and later; flushes first. At the rate
        that the log API carries, some ten thousand. Raises StoreUnavailable."""
        await self.flush()
        if self.point.stamp_ns is None:
            return []
        second = self.point.stamp_ns // _SECOND * _SECOND
        offset = await self._store.log_seek(self._key, since_ns=second)
        chunks = self._store.log_read(self._key, offset=offset)
        return [stamp async for chunk in chunks for stamp in chunk.stamps if stamp >= second]

    async def stamp_at(self, byte: int) -> int | None:
        """The stamp of the first stored line that begins at this byte or behind it; null if there is none."""
        async for chunk in self._store.log_read(self._key, offset=byte):
            if chunk.stamps:
                return chunk.stamps[0]
        return None


def advance(point: LogPoint, data: bytes, stamps: Sequence[int]) -> LogPoint:
    """The point after ``data`` was added."""
    begin = data.rfind(b"\n", 0, len(data) - 1) + 1
    line = data[begin:]
    continues = begin == 0 and point.open_bytes > 0
    open_bytes = 0 if line.endswith(b"\n") else len(line) + (point.open_bytes if continues else 0)
    text = line[: LAST_LINE_BYTES + 1].rstrip(b"\n")
    if continues:
        text = point.last_line + text
    newest = max(stamps, default=None)
    if point.stamp_ns is not None:
        newest = point.stamp_ns if newest is None else max(newest, point.stamp_ns)
    return LogPoint(
        bytes=point.bytes + len(data),
        lines=point.lines + len(stamps),
        stamp_ns=newest,
        last_line=text[:LAST_LINE_BYTES],
        open_bytes=open_bytes,
    )


class Replay:
    """Drops from a stream what is stored already.

    The log API resumes at whole seconds, so a stream begins with lines that are stored: those of ``stored``, the stamps
    of the stored lines of that second and later, in their order. They are dropped as long as the stamps agree. If the
    source no longer has the first of them (its file was rotated away), the stream begins somewhere in their middle.
    ``passed``: what comes now is new. ``verified``: the last stored line came by again, so nothing is missing between it
    and what follows; neither is true of a stream that was left before it came so far, which proves nothing.

    ``last_line_bytes``: how much of the last stored line is stored, where that is much. The rest of a long line that was
    rotated away in its middle looks like a line of its own: then the first line of the stream is dropped.
    """

    def __init__(self, stored: Sequence[int], point: LogPoint, *, last_line_bytes: int = 0) -> None:
        self.stored = stored
        self._point = point
        self._torn = last_line_bytes > _PIECE_BYTES
        self._in_rest = False
        self._next = 0
        self._begun = False
        self._mid_line = False
        self._compared = False
        self._seen_bytes = 0
        self.passed = not stored
        self.verified = not stored

    def fresh(self, data: bytes, stamps: Sequence[int]) -> tuple[bytes, Sequence[int]]:
        """The part of this batch that is not stored yet."""
        if self.passed:
            return data, stamps
        if self._in_rest:
            return self._after_rest(data, stamps)
        at = used = 0
        while at < len(data):
            if not self._mid_line and not self._expected(stamps[used]):
                if self._torn and at == self._next == 0:
                    return self._after_rest(data, stamps[1:])
                return self._after_gap(data[at:], stamps[used:])
            end = data.find(b"\n", at) + 1 or len(data)
            line = data[at:end]
            if not self._mid_line:
                used += 1
            self._mid_line = not line.endswith(b"\n")
            if self._next == len(self.stored):
                kept = self._last_line(line)
                if kept is not None:
                    self.passed = True
                    return kept + data[end:], stamps[used:]
            at = end
        return b"", ()

    def _after_rest(self, data: bytes, stamps: Sequence[int]) -> tuple[bytes, Sequence[int]]:
        """The stream begins with the rest of the last stored line, as far as can be told."""
        end = data.find(b"\n") + 1
        self._in_rest = not end
        return self._after_gap(data[end:], stamps) if end else (b"", ())

    def _after_gap(self, data: bytes, stamps: Sequence[int]) -> tuple[bytes, Sequence[int]]:
        """The last stored line did not come by. Where its newline is missing, it gets one."""
        self.passed = True
        return b"\n" * (self._point.open_bytes > 0) + data, stamps

    @property
    def reached(self) -> bool:
        """Whether the whole last stored line came by, whatever followed. One without its newline may still go on."""
        return self.verified and (self.passed or 0 < self._point.open_bytes <= self._seen_bytes)

    def _expected(self, stamp: int) -> bool:
        """Whether the line that begins here is the next stored one."""
        if self._next == len(self.stored):
            return False
        if not self._begun:
            self._begun = True
            if stamp not in self.stored:
                return False
            self._next = self.stored.index(stamp)
        if self.stored[self._next] != stamp:
            return False
        self._next += 1
        return True

    def _last_line(self, piece: bytes) -> bytes | None:
        """The last stored line comes by, maybe in several pieces: compare it; the part of it that was not stored yet,
        null while it goes on."""
        if not self._compared:
            self._compared = True
            known, text = self._point.last_line, piece.rstrip(b"\n")
            size = min(len(known), len(text))
            self.verified = text[:size] == known[:size]
        self._seen_bytes += len(piece)
        stored = self._point.open_bytes
        if stored == 0 or self._seen_bytes <= stored:
            return b"" if piece.endswith(b"\n") else None
        return piece[len(piece) - (self._seen_bytes - stored) :]
