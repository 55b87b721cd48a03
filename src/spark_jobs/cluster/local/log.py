"""The log of one local attempt: a file in which every line stands behind the time at which it came."""

from __future__ import annotations

import asyncio
import os
import select
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from spark_jobs.cluster.base import LogLines
from spark_jobs.domain.errors import LogUnavailable
from spark_jobs.domain.times import to_ns

CHUNK = 64 * 1024
LIMIT = 2 << 30
"""So many bytes of a log are kept; more would only fill the disk."""

_PIPE_CHUNKS = 16  # a pipe never holds more than so many
_DIGITS = 19
_STAMP = _DIGITS + 1  # and a space
_NS = 1_000_000_000


_Write = Callable[[memoryview], int | None]


class AttemptLog:
    """Written by one :class:`Pump`, read by any number of streams. Its methods belong to the event loop."""

    def __init__(self, path: Path, *, open_ended: bool) -> None:
        self.path = path
        self._growing = open_ended
        self._problem: str | None = None
        self._news = asyncio.Event()

    def grown(self) -> None:
        """There is more to read."""
        self._news.set()
        self._news = asyncio.Event()

    def finish(self, problem: str | None = None) -> None:
        """No more will come; ``problem`` says why this is not all of it."""
        self._growing = False
        self._problem = problem
        self.grown()

    async def stream(self, *, since_ns: int | None, follow: bool) -> AsyncGenerator[LogLines]:
        """What is in the file, from the whole second of ``since_ns`` on, and what still comes.

        Raises:
            LogUnavailable: the log is gone, or its rest was never written.
        """
        parser = StampedLines(since_ns)
        try:
            file = await asyncio.to_thread(self.path.open, "rb", 0)
        except FileNotFoundError:
            raise LogUnavailable("the attempt and its log were deleted", gone=True) from None
        with file:
            while True:
                news, growing = self._news, self._growing
                if chunk := await asyncio.to_thread(file.read, CHUNK):
                    lines = parser.feed(chunk)
                    if lines.data:
                        yield lines
                elif growing and follow:
                    await news.wait()
                elif self._problem is not None and not growing:
                    raise LogUnavailable(self._problem, gone=True)
                else:
                    return


class StampedLines:
    """Takes the file apart, chunk by chunk; no more than a chunk is held."""

    def __init__(self, since_ns: int | None) -> None:
        self._since = 0 if since_ns is None else since_ns // _NS * _NS
        self._skipping = since_ns is not None
        self._inside = False
        self._rest = b""

    def feed(self, chunk: bytes) -> LogLines:
        """What a further piece of the file holds, which may be nothing."""
        pieces = (self._rest + chunk).split(b"\n")
        head = b""
        if self._inside:
            head = b"" if self._skipping else pieces[0] + b"\n"[: len(pieces) - 1]
            del pieces[0]
            if not pieces:
                return LogLines(data=head, stamps=())
        # What follows the last newline is the beginning of a line, or no more than its stamp, which waits for a first byte.
        self._inside = len(pieces[-1]) > _STAMP
        self._rest = b"" if self._inside else pieces.pop()
        stamps = [int(piece[:_DIGITS]) for piece in pieces]
        texts = [piece[_STAMP:] for piece in pieces]
        if self._skipping:
            first = bisect_left(stamps, self._since)
            stamps, texts = stamps[first:], texts[first:]
            self._skipping = not stamps
        if texts and not self._inside:
            texts.append(b"")
        return LogLines(data=head + b"\n".join(texts), stamps=tuple(stamps))


class Pump:
    """Moves a program's output into its log, in a thread of its own."""

    def __init__(
        self, source: int, path: Path, *, clock: Callable[[], datetime], grown: Callable[[], None], limit: int = LIMIT
    ) -> None:
        self._source = source
        self._path = path
        self._clock = clock
        self._grown = grown
        self._room = limit
        self._at_line_start = True
        self._newest = 0
        self._problem: str | None = None
        self._enough, self._say_enough = os.pipe()

    def run(self) -> str | None:
        """Until the output is closed by all who hold it, or :meth:`stop`; why not all is written, or null."""
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._enough, select.POLLIN)
        chunks_after_stop = _PIPE_CHUNKS
        with self._opened() as write:
            while chunks_after_stop:
                ready = {descriptor for descriptor, _ in poll.poll()}
                chunk = os.read(self._source, CHUNK) if self._source in ready else b""
                if not chunk:
                    break
                self._keep(chunk, write)
                self._grown()
                chunks_after_stop -= self._enough in ready
        return self._problem

    def stop(self) -> None:
        """Nothing more that matters will come: return once what has come is written."""
        os.write(self._say_enough, b".")

    def close(self) -> None:
        """Let go of what :meth:`stop` needs; after :meth:`run` has returned."""
        os.close(self._enough)
        os.close(self._say_enough)

    @contextmanager
    def _opened(self) -> Iterator[_Write]:
        try:
            file = self._path.open("ab", buffering=0)
        except OSError as error:
            self._problem = f"the log could not be opened: {error.strerror}"
            yield len
        else:
            with file:
                yield file.write

    def _keep(self, chunk: bytes, write: _Write) -> None:
        """Write it; once that has failed the rest is thrown away, so that the program can go on."""
        if self._problem is not None:
            return
        if len(chunk) > self._room:
            self._problem = "the program wrote more than the local cluster keeps"
            return
        self._room -= len(chunk)
        rest = memoryview(self._stamped(chunk))
        try:
            while rest:
                rest = rest[write(rest) or 0 :]
        except OSError as error:
            self._problem = f"the log could not be written: {error.strerror}"

    def _stamped(self, chunk: bytes) -> bytes:
        self._newest = max(self._newest, to_ns(self._clock()))
        stamp = b"%0*d " % (_DIGITS, self._newest)
        first = stamp if self._at_line_start else b""
        self._at_line_start = chunk.endswith(b"\n")
        return first + chunk[:-1].replace(b"\n", b"\n" + stamp) + chunk[-1:]
