"""What there is to doubt of a log is written down, whatever fails meanwhile."""

from __future__ import annotations

import pytest

from spark_jobs.domain.errors import StoreUnavailable
from spark_jobs.engine.doubt import Doubts, behind, hole_before, rotated_before


class Row:
    """Where doubts are written; ``full``: not now."""

    def __init__(self) -> None:
        self.full = False
        self.written: list[str] = []

    async def write(self, text: str) -> None:
        if self.full:
            raise StoreUnavailable("the disk is full")
        self.written.append(text)


async def test_the_worst_is_written_once() -> None:
    row = Row()
    doubts = Doubts(None, row.write)
    for doubt in (None, behind(3), behind(9), rotated_before(5), behind(7), hole_before(8), rotated_before(9)):
        await doubts.add(doubt)
    assert row.written == [behind(3).text, rotated_before(5).text, hole_before(8).text]
    assert doubts.worst == hole_before(8)


async def test_what_could_not_be_written_is_written_with_the_next() -> None:
    row = Row()
    doubts = Doubts(None, row.write)
    row.full = True
    with pytest.raises(StoreUnavailable):
        await doubts.add(rotated_before(5))
    with pytest.raises(StoreUnavailable):
        await doubts.add(None)
    row.full = False
    await doubts.add(None)
    assert row.written == [rotated_before(5).text]


async def test_what_was_written_before_a_restart_is_known_and_not_written_again() -> None:
    row = Row()
    doubts = Doubts(rotated_before(5).text, row.write)
    await doubts.add(rotated_before(9))
    assert (row.written, doubts.worst) == ([], rotated_before(5))
