"""Where a stream goes back in time: the node began to read a file anew, and gives what it gave before once more.

A kubelet that follows a log is told of every file that a rotation begins. When it comes to the end of one it opens the
newest for each that it was told of. So a follow that was behind for two rotations passes over the files between, and
then gives the newest from its beginning again, once for each of them, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import pairwise

from spark_jobs.cluster.base import LogLines

OUT_OF_ORDER_NS = 5_000_000
"""Lines of stdout and stderr get their times from two readers, so neighbours may be so far out of order."""

NEXT_LINES = 3
"""So many lines after such a place tell whether it is a repetition: the first may be the rest of one that was split
between two files, and has a time of its own here."""


class Course:
    """The times of one stream's lines."""

    def __init__(self) -> None:
        self._last = 0

    def pieces(self, batch: LogLines) -> Iterator[tuple[LogLines, bool]]:
        """The batch in pieces, each of which only goes on in time, and whether it begins with a step back."""
        if not batch.stamps:
            yield batch, False
            return
        back = batch.stamps[0] < self._last - OUT_OF_ORDER_NS
        self._last = batch.stamps[-1]
        steps = [] if sorted(batch.stamps) == list(batch.stamps) else _steps_back(batch.stamps)
        for piece in _cut(batch, steps) if steps else (batch,):
            yield piece, back
            back = True


def _steps_back(stamps: Sequence[int]) -> list[int]:
    """The places of the stamps that are before the one before them, by more than lines are out of order."""
    return [at for at, (one, another) in enumerate(pairwise(stamps), 1) if another < one - OUT_OF_ORDER_NS]


def _cut(batch: LogLines, places: list[int]) -> Iterator[LogLines]:
    """The batch, cut before the lines that begin with the stamps at these places."""
    lines = BytesIO(batch.data).readlines()
    going_on = len(lines) - len(batch.stamps)  # 1 where the batch begins in the midst of a line
    bounds = [0, *(place + going_on for place in places), len(lines)]
    for begin, end in pairwise(bounds):
        stamps = batch.stamps[max(0, begin - going_on) : end - going_on]
        yield LogLines(data=b"".join(lines[begin:end]), stamps=stamps)
