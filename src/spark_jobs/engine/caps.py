"""What is kept of a log: so many bytes of a line, and of an attempt. The rest is read and counted, and not stored.

Where something is left out the stored log says so itself, at the end of the line, or in a last line of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from spark_jobs.engine.doubt import Doubt, missing_after
from spark_jobs.recording import LogRecorder, Replay, Runs, advance
from spark_jobs.store.base import LogPoint

MARK = b"[spark] "
"""What the line that ends a cut log begins with."""


def line_mark(kept: int, missing: int) -> bytes:
    """What ends a line of which only the first ``kept`` bytes are stored."""
    return b" [spark] line cut here after %d bytes: %d more bytes were not kept" % (kept, missing)


def log_mark(kept: int, missing: int, lines: int, *, sure: bool) -> bytes:
    """The last line of a log of which only the first ``kept`` bytes are stored; ``sure``: all the rest was counted."""
    words = b"%b%d more bytes" % (b"" if sure else b"at least ", missing)
    return MARK + b"log cut here after %d bytes: %b, in which %d lines begin, were not kept\n" % (kept, words, lines)


class Keeper:
    """Hands a log on to its recorder as far as the caps allow. ``point`` says how far the log was read, ``cut`` where
    something of a line was left out for the first time."""

    def __init__(self, recorder: LogRecorder, *, log_cap: int, line_cap: int) -> None:
        self._recorder = recorder
        self._log_cap = log_cap
        self._line_cap = line_cap
        self._beyond: _Beyond | None = None
        self._open = recorder.point.open_bytes  # of the line at hand, kept
        self._lost = self._lost_before = 0  # of the line at hand, left out: in this read, and in those before
        self._from = 0
        self._exact = True
        self.cut: Doubt | None = None

    @property
    def point(self) -> LogPoint:
        """How far the log was read."""
        return self._recorder.point if self._beyond is None else self._beyond.point

    @property
    def stored(self) -> LogPoint:
        """How far it is stored."""
        return self._recorder.point

    @property
    def full(self) -> bool:
        """Whether enough waits to be stored."""
        return self._recorder.full

    @property
    def marked(self) -> bool:
        """Whether the stored log says already that it was cut, as it may after a restart."""
        return self.stored.bytes > self._log_cap and self.stored.last_line.startswith(MARK)

    @property
    def news(self) -> int:
        """Bytes that came since the last :meth:`replay` and never before, kept or not."""
        return self.point.bytes - self._from + max(0, self._lost - self._lost_before)

    async def replay(self) -> Replay:
        """As :meth:`LogRecorder.replay`, for a stream that begins at ``point.since_ns``."""
        replay = await self._recorder.replay()
        if self.stored.bytes < self._log_cap:
            self._beyond = None  # where storing failed, the log goes back to what is stored
        elif self._beyond is None and not self.marked:
            self._beyond = _Beyond(self.stored, replay.stored)
        self._open = self.stored.open_bytes
        self._lost, self._lost_before = 0, max(self._lost, self._lost_before)
        self._from = self.point.bytes
        return replay if self._beyond is None else Replay(self._beyond.recent, self._beyond.point)

    async def take(self, data: bytes, stamps: Sequence[int]) -> int:
        """What follows the bytes taken so far; how many bytes of it are kept. Raises StoreUnavailable."""
        if self._beyond is not None:
            self._beyond.take(data, stamps)
            return 0
        if long := self._open + len(data) > self._line_cap:
            data = self._within_lines(data)
        room = self._log_cap - self.stored.bytes
        kept = data[:room]
        begun = len(stamps) if len(kept) == len(data) else _begun(data, kept, stamps)
        self._recorder.add(kept, stamps[:begun])
        self._open = self.stored.open_bytes
        if len(kept) < len(data):
            self._exact = not long
            self._beyond = _Beyond(self.stored, await self._recorder.recent())
            self._beyond.take(data[room:], stamps[begun:])
        return len(kept)

    async def flush(self) -> None:
        """Store what is held. Raises StoreUnavailable."""
        await self._recorder.flush()

    async def place_of(self, stamps: Sequence[int]) -> int | None:
        """As :meth:`LogRecorder.place_of`. What is beyond the cap can't be looked up: it counts as a repetition, since the
        mark then says "at least"."""
        return self.stored.bytes if self._beyond is not None else await self._recorder.place_of(stamps)

    async def ends_with(self, text: bytes, *, before: int) -> bool:
        """As :meth:`LogRecorder.ends_with`. What is beyond the cap can't be looked up, and is not kept anyway."""
        return self._beyond is not None or await self._recorder.ends_with(text, before=before)

    async def stamp_at(self, byte: int) -> int | None:
        """The stamp of the first stored line at this byte or behind it; null where none is stored there."""
        return await self._recorder.stamp_at(byte)

    async def finish(self, *, sure: bool) -> None:
        """No more will come: say in the log what is missing, and store all. Raises StoreUnavailable."""
        lost = max(self._lost, self._lost_before)
        if self._beyond is not None and self._beyond.bytes:
            end = b"\n" if self.stored.open_bytes else b""
            beyond, sure = self._beyond, sure and self._exact
            mark = log_mark(self.stored.bytes, beyond.bytes, beyond.lines, sure=sure)
            self._beyond = None
            self._recorder.add(end + mark, (beyond.point.stamp_ns or 0,))
        elif lost:
            self._recorder.add(line_mark(self._open, lost) + b"\n", ())
            self._lost = self._lost_before = 0
        await self.flush()

    def _within_lines(self, data: bytes) -> bytes:
        """The data without what exceeds a line's cap."""
        out: list[bytes] = []
        at, place = 0, self.stored.bytes
        while at < len(data):
            newline = data.find(b"\n", at)
            end = len(data) if newline < 0 else newline
            kept = data[at : min(end, at + self._line_cap - self._open)]
            self._open += len(kept)
            self._lost += end - at - len(kept)
            out.append(kept)
            place += len(kept)
            if self._lost and self.cut is None:
                self.cut = missing_after(place, f"a line longer than {self._line_cap} bytes was cut")
            if newline >= 0:
                out.append(self._line_end())
                place += len(out[-1])
            at = end + 1
        return b"".join(out)

    def _line_end(self) -> bytes:
        lost = max(self._lost, self._lost_before)
        end = line_mark(self._open, lost) + b"\n" if lost else b"\n"
        self._open = self._lost = self._lost_before = 0
        return end


class _Beyond:
    """Counts what is read and not kept. It has a point and the stamps of that second, as a stored log has."""

    def __init__(self, point: LogPoint, recent: Runs) -> None:
        self.point = point
        self.recent = recent
        self.bytes = self.lines = 0

    def take(self, data: bytes, stamps: Sequence[int]) -> None:
        """What follows."""
        if not data:
            return
        self.point = advance(self.point, data, stamps)
        self.bytes += len(data)
        self.lines += len(stamps)
        since = self.point.since_ns or 0
        if len(self.recent) and self.recent.stamps[0] < since:
            self.recent = self.recent.since(since)
        self.recent.extend(stamps, since=since)


def _begun(data: bytes, kept: bytes, stamps: Sequence[int]) -> int:
    """How many lines begin in ``kept``, the first part of ``data``, in which as many begin as there are stamps."""
    continues = _lines(data) - len(stamps)
    return _lines(kept) - continues if kept else 0


def _lines(data: bytes) -> int:
    return data.count(b"\n") + (not data.endswith(b"\n")) if data else 0
