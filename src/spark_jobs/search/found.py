"""Lines as a search shows them: cut where they are long, with their times, and with the lines around those that match."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import DataDirDamaged
from spark_jobs.domain.search import LONGEST_SHOWN, FoundLine, LogMatch
from spark_jobs.domain.times import format_ns
from spark_jobs.store.base import LogBlock

_BEFORE_FOUND = LONGEST_SHOWN // 4  # bytes of a long line that are shown before what was found in it
_CHARACTER = 4  # bytes that a character takes at most


class Times:
    """The times of the lines that begin in a block, unpacked when the first of them is shown."""

    def __init__(self, block: LogBlock) -> None:
        self._block = block

    def of(self, number: int) -> str | None:
        """The time of a line, by its number in the log from 0; null if it is not known."""
        index = number - self._block.line
        return format_ns(self._stamps[index]) if 0 <= index < len(self._stamps) else None

    @cached_property
    def _stamps(self) -> Sequence[int]:
        try:
            return self._block.stamps()
        except DataDirDamaged:
            return ()


class Place(NamedTuple):
    """Which line of its log it is, from 0, the byte of the log where it begins, and who knows its time."""

    number: int
    at: int
    times: Times


class Line(NamedTuple):
    """A line as it was read: ``text[begin:end]``, without its newline. ``whole``: false for a part of one."""

    place: Place
    text: bytes
    begin: int
    end: int
    whole: bool = True

    def shown(self, found: int | None = None) -> FoundLine:
        """As users see it; of a long one what is around ``found``, a place in ``text``, or its beginning."""
        begin, end = self._part(self.begin if found is None else found)
        data = self.text[begin:end]
        text, raw = _text(data)
        return FoundLine(
            line=self.place.number + 1,
            offset=self.place.at,
            time=self.place.times.of(self.place.number),
            text=text,
            bytes=raw,
            cut=not (self.whole and (begin, end) == (self.begin, self.end)),
        )

    def _part(self, found: int) -> tuple[int, int]:
        if self.end - self.begin <= LONGEST_SHOWN:
            return self.begin, self.end
        begin = max(self.begin, min(found - _BEFORE_FOUND, self.end - LONGEST_SHOWN))
        return self._between_characters(begin, 1), self._between_characters(begin + LONGEST_SHOWN, -1)

    def _between_characters(self, at: int, step: int) -> int:
        """The nearest place that is not within a character of UTF-8; the same one where nothing there looks like one."""
        for place in range(at, at + step * _CHARACTER, step):
            if place in {self.begin, self.end} or self.text[place] & 0xC0 != 0x80:
                return place
        return at


def _text(data: bytes) -> tuple[str | None, bytes | None]:
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        return None, data


class Surroundings:
    """Puts the lines around matches to them: so many before and after, each line once."""

    def __init__(self, key: AttemptKey, name: str | None, size: int) -> None:
        self.key = key
        self._name = name
        self.size = size
        self._before: deque[FoundLine] = deque(maxlen=size)
        self._found: FoundLine | None = None
        self._found_before: list[FoundLine] = []
        self._after: list[FoundLine] = []

    @property
    def wanted(self) -> int:
        """How many lines after the last match are still to come."""
        return 0 if self._found is None else self.size - len(self._after)

    def matched(self, line: FoundLine) -> Iterator[LogMatch]:
        """This line matches; what is complete now."""
        yield from self.end()
        self._found, self._found_before, self._after = line, list(self._before), []
        self._before.clear()
        if not self.size:
            yield from self.end()

    def passed(self, line: FoundLine) -> Iterator[LogMatch]:
        """This line does not match; what is complete now."""
        if self._found is None:
            self._before.append(line)
            return
        self._after.append(line)
        if len(self._after) == self.size:
            yield from self.end()

    def end(self) -> Iterator[LogMatch]:
        """The match that waits for lines after it, which do not come any more."""
        if self._found is not None:
            found, self._found = self._found, None
            yield LogMatch(
                job_id=self.key.job_id,
                attempt=self.key.attempt,
                name=self._name,
                found=found,
                before=self._found_before,
                after=self._after,
            )
