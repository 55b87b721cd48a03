"""One attempt's log, looked through block by block. Blocks are matched whole; lines are cut only where one is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spark_jobs.domain.errors import DataDirDamaged
from spark_jobs.domain.search import LONGEST_SHOWN, LogMatch
from spark_jobs.search.found import Line, Place, Surroundings, Times
from spark_jobs.search.pattern import Pattern
from spark_jobs.store.base import LogBlock, lines_before

LONGEST_LINE = 1024 * 1024
"""Of longer lines so many bytes are held at a time; what is found in one is at most :data:`OVERLAP` bytes long."""

OVERLAP = 64 * 1024

_AT_ONCE = 64 * 1024  # bytes of whole lines that are matched in one call, so that a slow pattern can be left

Step = LogMatch | None
"""A match, or null where it can be left off for a while."""


class _Open:
    """A line whose end has not come. What of it is held is still to be looked through, but for its first byte if more was
    looked through before (``let_go``). ``found``: it matches, so that the rest does not matter."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.found = False
        self.size = 0
        self._parts: list[bytes] = []
        self._head = b""

    def add(self, data: bytes) -> None:
        """It goes on."""
        if not self.found:
            self._parts.append(data)
            self.size += len(data)

    def held(self) -> bytes:
        """What is held, in one piece."""
        self._parts = [b"".join(self._parts)]
        return self._parts[0]

    @property
    def begin(self) -> int:
        """Where in what is held to begin."""
        return 1 if self._head else 0

    def let_go(self, text: bytes) -> None:
        """``text``, all that is held, was looked through: keep its end."""
        self._head = self._head or text[:LONGEST_SHOWN]
        self._parts = [text[-OVERLAP:]]
        self.size = OVERLAP

    def drop(self) -> None:
        """It matches: forget the rest."""
        self.found = True
        self._parts, self.size = [], 0

    def line(self, text: bytes, end: int) -> Line:
        """The line, or what is held of it."""
        return Line(self.place, text, 0, end, whole=not self._head)

    def beginning(self, text: bytes, end: int) -> Line:
        """The line, or its first bytes."""
        return Line(self.place, self._head, 0, len(self._head), whole=False) if self._head else self.line(text, end)


class _Text(NamedTuple):
    """A block's bytes, and the byte of the log where they begin."""

    data: bytes
    offset: int
    times: Times

    def line(self, number: int, begin: int) -> Line:
        """The whole line that begins here."""
        end = self.data.find(b"\n", begin)
        return Line(Place(number, self.offset + begin, self.times), self.data, begin, end)


class LogScan:
    """Looks through one log from byte ``offset`` up to byte ``end`` or a little further. ``problems``: what of it could not
    be read; ``bytes``: how much was, of late; ``done``: all was looked through."""

    def __init__(self, pattern: Pattern, around: Surroundings, offset: int, end: int) -> None:
        self._pattern = pattern
        self._around = around
        self._end = end
        self._open: _Open | None = None
        self._adrift = True  # it is not known whether what comes next begins a line
        self.key = around.key
        self.offset = offset
        self.bytes = 0
        self.done = False
        self.problems: list[str] = []

    def look(self, blocks: Sequence[LogBlock]) -> Iterator[Step]:
        """Look through the blocks that follow, none where there is no more; work for a thread."""
        for block in blocks:
            try:
                data = block.data()
            except DataDirDamaged as error:
                yield from self._stop()
                self._adrift = True
                self.problems.append(error.message)
            else:
                yield from self._look_at(block, data)
            end = block.offset + block.size
            self.bytes += end - self.offset
            self.offset = end
            yield None
        if not blocks and self.offset < self._end:
            self.lose(
                f"the log of job {self.key.job_id}, attempt {self.key.attempt} was deleted while it was searched; "
                f"what followed its byte {self.offset} was not looked through"
            )
        if self.offset >= self._end:
            yield from self._stop()
            self.done = True

    def lose(self, problem: str) -> None:
        """Nothing more of this log can be read."""
        self.problems.append(problem)
        self._end = self.offset

    def _stop(self) -> Iterator[Step]:
        """Nothing follows: the last line may lack its newline."""
        if self._open is not None:
            yield from self._close(self._open, b"")
        yield from self._around.end()

    def _look_at(self, block: LogBlock, data: bytes) -> Iterator[Step]:
        at = max(0, self.offset - block.offset)
        number = block.line + lines_before(data, block.lines, at)
        text = _Text(data, block.offset, Times(block))
        if self._adrift:
            self._adrift = False
            if number == block.line + lines_before(data, block.lines, at + 1):
                self._open = _Open(Place(number - 1, block.offset + at, text.times))
        if self._open is not None:
            end = data.find(b"\n", at) + 1
            if not end:
                yield from self._go_on(self._open, data[at:])
                return
            yield from self._close(self._open, data[at:end])
            at = end
        whole = max(at, data.rfind(b"\n") + 1)
        yield from self._look_in_lines(text, at, whole, number)
        if whole < len(data):
            self._open = _Open(Place(block.line + block.lines - 1, block.offset + whole, text.times))
            yield from self._go_on(self._open, data[whole:])

    def _look_in_lines(self, text: _Text, begin: int, end: int, number: int) -> Iterator[Step]:
        """Whole lines, the first of which has this number."""
        data, at = text.data, begin
        while begin < end:
            stop = data.rfind(b"\n", begin, begin + _AT_ONCE) + 1 or data.find(b"\n", begin) + 1
            stop = min(stop, end)
            while (found := self._pattern.find(data, begin, stop)) is not None and found < stop:
                begin = data.rfind(b"\n", begin, found) + 1 or begin
                yield from self._pass_over(text, at, begin, number)
                number += data.count(b"\n", at, begin)
                line = text.line(number, begin)
                yield from self._around.matched(line.shown(found))
                at = begin = line.end + 1
                number += 1
            begin = stop
            yield None
        yield from self._pass_over(text, at, end, number)

    def _pass_over(self, text: _Text, at: int, end: int, number: int) -> Iterator[Step]:
        """Whole lines that do not match, the first of which has this number: some are shown with those that do."""
        if not self._around.size:
            return
        while self._around.wanted and at < end:
            line = text.line(number, at)
            yield from self._around.passed(line.shown())
            at, number = line.end + 1, number + 1
        begin = end
        for _ in range(self._around.size):
            begin = text.data.rfind(b"\n", at, begin - 1) + 1 or at if begin > at else at
        number += text.data.count(b"\n", at, begin)
        while begin < end:
            line = text.line(number, begin)
            yield from self._around.passed(line.shown())
            begin, number = line.end + 1, number + 1

    def _go_on(self, line: _Open, data: bytes) -> Iterator[Step]:
        """The open line goes on, maybe for ever."""
        line.add(data)
        if line.size < LONGEST_LINE:
            return
        text = line.held()
        end = len(text) - 1  # what follows the last byte is not known: it is looked at with that
        found = self._pattern.find(text, line.begin, end)
        if found is None:
            line.let_go(text)
        else:
            yield from self._around.matched(line.line(text, end).shown(found))
            line.drop()

    def _close(self, line: _Open, data: bytes) -> Iterator[Step]:
        """The open line ends with this."""
        self._open = None
        if line.found:
            return
        line.add(data)
        text = line.held()
        end = len(text) - text.endswith(b"\n")
        found = self._pattern.find(text, line.begin, end)
        if found is not None:
            yield from self._around.matched(line.line(text, end).shown(found))
        elif self._around.size:
            yield from self._around.passed(line.beginning(text, end).shown())
