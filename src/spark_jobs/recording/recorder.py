"""Stores a log as it comes, in chunks, with the point to resume from, and never leaves a hole in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from io import BytesIO

from spark_jobs.bus import Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import StoreUnavailable
from spark_jobs.recording.replay import LAST_LINE_BYTES, Replay, Runs
from spark_jobs.store.base import LogChunk, LogPoint, LogStore

FLUSH_BYTES, FLUSH_LINES = 256 * 1024, 32 * 1024
"""So much is held back at most before it is stored."""


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
        self._held = 0
        self.point = point

    @property
    def full(self) -> bool:
        """Whether enough is held to be stored now."""
        return self._held >= FLUSH_BYTES or len(self._stamps) >= FLUSH_LINES

    def add(self, data: bytes, stamps: Sequence[int]) -> None:
        """Take what follows the bytes added so far; ``stamps`` as in ``LogChunk``. Raises StoreUnavailable."""
        if self._failure is not None:
            raise self._failure
        if data:
            self._data.append(data)
            self._stamps.extend(stamps)
            self._held += len(data)
            self.point = advance(self.point, data, stamps)

    async def flush(self) -> None:
        """Store what is held, with the point to resume from, in one transaction. Raises StoreUnavailable."""
        async with self._lock:
            if self._failure is not None:
                raise self._failure
            if not self._data:
                return
            data, stamps, point = b"".join(self._data), tuple(self._stamps), self.point
            self._data, self._stamps, self._held = [], [], 0
            line = point.lines - len(stamps)
            chunk = LogChunk(offset=point.bytes - len(data), line=line, data=data, stamps=stamps)
            try:
                await self._store.log_append(self._key, [chunk], point)
            except StoreUnavailable as error:
                self._failure = error
                raise
            except BaseException:
                self._failure = StoreUnavailable("storing was interrupted")
                raise
            self._stored = point
        self._bus.ring(self._key)

    def _go_back(self) -> None:
        """Forget what could not be stored."""
        self._failure = None
        self._data, self._stamps, self._held = [], [], 0
        self.point = self._stored

    async def replay(self) -> Replay:
        """What to drop from a stream that begins at ``point.since_ns``; flushes first."""
        if self._failure is not None:
            self._go_back()
        stamps = await self.recent()
        long = len(self.point.last_line) == LAST_LINE_BYTES
        size = self.point.bytes - await self._store.log_seek(self._key, tail=1) if long else 0
        return Replay(stamps, self.point, last_line_bytes=size)

    async def recent(self) -> Runs:
        """The stamps of the stored lines from ``point.since_ns`` on; flushes first. Raises StoreUnavailable."""
        await self.flush()
        recent = Runs()
        if (since := self.point.since_ns) is not None:
            offset = await self._store.log_seek(self._key, since_ns=since)
            async for chunk in self._store.log_read(self._key, offset=offset):
                recent.extend(chunk.stamps, since=since)
        return recent

    async def place_of(self, stamps: Sequence[int]) -> int | None:
        """Where lines of these stamps, which are ascending, are stored, about; null if none of them is. Flushes first.
        Raises StoreUnavailable."""
        await self.flush()
        byte = await self._store.log_seek(self._key, since_ns=stamps[0])
        async for chunk in self._store.log_read(self._key, offset=byte):
            if chunk.stamps:
                return byte if any(stamp in chunk.stamps for stamp in stamps) else None
        return None

    async def ends_with(self, text: bytes, *, before: int) -> bool:
        """Whether ``text``, with its newline, is the end, and not all, of the stored line before the first one with the stamp
        ``before``. Flushes first. Raises StoreUnavailable."""
        await self.flush()
        size = len(text) + 1
        place = await self._store.log_seek(self._key, since_ns=before)
        tail = b""
        async for chunk in self._store.log_read(self._key, offset=max(0, place - size)):
            found = before in chunk.stamps
            tail = (tail + (_up_to(chunk, before) if found else chunk.data))[-size:]
            if found:
                return len(tail) == size and tail[1:] == text and not tail.startswith(b"\n")
        return False

    async def stamp_at(self, byte: int) -> int | None:
        """The stamp of the first stored line that begins at this byte or behind it; null if there is none."""
        async for chunk in self._store.log_read(self._key, offset=byte):
            if chunk.stamps:
                return chunk.stamps[0]
        return None


def _up_to(chunk: LogChunk, stamp: int) -> bytes:
    """The data before the first line with this stamp, which begins in it."""
    lines = BytesIO(chunk.data).readlines()
    going_on = len(lines) - len(chunk.stamps)  # 1 where the chunk begins in the midst of a line
    return b"".join(lines[: going_on + chunk.stamps.index(stamp)])


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
