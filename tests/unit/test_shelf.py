"""Blocks of stored logs, unpacked once for all readers, and the pieces that readers get of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import structs

from spark_jobs import shelf
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.shelf import PIECE_BYTES, PIECE_LINES, Shelf, block_of, cut_piece
from spark_jobs.store.base import LogChunk, LogPoint, LogStore

KEY, OTHER = AttemptKey("job", 1), AttemptKey("other", 1)


def block(data: bytes, *, offset: int = 0, line: int = 0, in_line: bool = False) -> LogChunk:
    """A block whose lines have the times 0, 1, …; ``in_line``: it goes on with a line that began before."""
    lines = data.count(b"\n") + (not data.endswith(b"\n")) - in_line
    return LogChunk(offset=offset, line=line, data=data, stamps=tuple(range(line, line + lines)))


def pieces(of: LogChunk) -> list[LogChunk]:
    """All pieces of a block."""
    found: list[LogChunk] = []
    at = lines = 0
    while at < len(of.data):
        found.append(cut_piece(block_of(of), at, lines))
        at += len(found[-1].data)
        lines += len(found[-1].stamps)
    return found


LINES = some.lists(some.integers(0, 3 * PIECE_BYTES // 2), min_size=1, max_size=6)


@given(sizes=LINES, in_line=some.booleans(), short=some.integers(0, 5000), newline=some.booleans())
def test_pieces_are_the_block_and_each_has_the_times_of_the_lines_that_begin_in_it(
    sizes: Sequence[int], in_line: bool, short: int, newline: bool
) -> None:
    data = b"\n" * short + b"\n".join([b"x" * size for size in sizes]) + b"\n" * newline
    whole = block(data or b"\n", offset=7, line=3, in_line=in_line)
    found = pieces(whole)
    assert b"".join([piece.data for piece in found]) == whole.data
    assert sum([piece.stamps for piece in found], ()) == whole.stamps
    offset, line, begins = 7, 3, not in_line
    for piece in found:
        assert (piece.offset, piece.line) == (offset, line)
        assert 0 < len(piece.data) <= PIECE_BYTES
        assert piece.data.count(b"\n") <= PIECE_LINES
        starts = piece.data.count(b"\n", 0, len(piece.data) - 1) + begins
        assert len(piece.stamps) == starts
        offset, line, begins = offset + len(piece.data), line + starts, piece.data.endswith(b"\n")


def test_a_piece_ends_with_a_line_where_one_fits_and_never_in_a_character() -> None:
    lines = block(b"x" * 999 + b"\n" + (b"y" * 999 + b"\n") * 99)
    assert all(piece.data.endswith(b"\n") for piece in pieces(lines))
    for shift in range(4):
        letters = block(b"x" * shift + "aé€𝄞".encode() * 20_000)
        assert "".join([piece.data.decode() for piece in pieces(letters)]) == letters.data.decode()


class Stored:
    """A log store that counts how often it is read from."""

    def __init__(self, *chunks: LogChunk) -> None:
        self.chunks = list(chunks)
        self.reads = 0

    async def log_read(self, key: AttemptKey, *, offset: int = 0, times: bool = True) -> AsyncIterator[LogChunk]:
        self.reads += 1
        await asyncio.sleep(0)
        for chunk in self.chunks if key == KEY else []:
            end = chunk.offset + len(chunk.data)
            if end > offset:
                found = chunk if chunk.offset >= offset else block(chunk.data[offset - chunk.offset :], offset=offset)
                yield found if times else structs.replace(found, stamps=())

    async def log_point(self, key: AttemptKey) -> LogPoint:
        raise NotImplementedError


def on_shelf(stored: Stored) -> Shelf:
    store: LogStore = stored  # type: ignore[assignment]  # has what is asked for here
    return Shelf(store)


def big(number: int) -> LogChunk:
    data = (b"%07d\n" % number) * 32_768
    return block(data, offset=number * len(data))


async def read(at: Shelf, offset: int = 0) -> bytes:
    found = b""
    with at.reader(KEY, offset, times=True) as reader:
        while (piece := await reader.next()) is not None:
            assert len(piece.data) <= PIECE_BYTES
            found += piece.data
    return found


async def test_readers_at_the_same_place_share_what_is_unpacked() -> None:
    stored = Stored(*map(big, range(4)))
    whole = b"".join([chunk.data for chunk in stored.chunks])
    at = on_shelf(stored)
    assert await asyncio.gather(*[read(at) for _ in range(50)]) == [whole] * 50
    assert stored.reads <= 50 + 2 * 4  # each looks for more at the end, and two may unpack the same
    assert await read(at, len(whole) - 5) == whole[-5:]
    assert await read(at, len(whole) + 5) == b""


async def test_nothing_is_kept_of_a_log_that_nobody_reads_and_never_too_much() -> None:
    stored = Stored(*map(big, range(40)))
    at = on_shelf(stored)
    with at.reader(KEY, 0, times=True) as slow:
        await slow.next()
        await read(at)
        assert 0 < at.kept <= shelf.SHELF_BYTES
    assert at.kept == 0


async def test_a_reader_goes_on_where_its_block_was_put_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SHELF_BYTES", 1)
    stored = Stored(*map(big, range(2)))
    assert await read(on_shelf(stored), 3) == b"".join([chunk.data for chunk in stored.chunks])[3:]


async def test_what_was_deleted_is_not_given_to_readers_of_what_has_its_name_now() -> None:
    stored = Stored(block(b"old\n"))
    at = on_shelf(stored)
    with at.reader(KEY, 0, times=True) as before:
        assert (await before.next()) == block(b"old\n")
        stored.chunks = [block(b"new\n")]
        at.drop(KEY)
        assert await read(at) == b"new\n"


async def test_a_reader_steps_over_what_is_missing() -> None:
    stored = Stored(block(b"one\n"), block(b"missing\n", offset=100), block(b"two\n", offset=108))
    with on_shelf(stored).reader(KEY, 0, times=True) as reader:
        found = [await reader.next() for _ in range(4)]
    assert [piece and (piece.offset, piece.data) for piece in found] == [
        (0, b"one\n"),
        (100, b"missing\n"),
        (108, b"two\n"),
        None,
    ]


async def test_who_wants_no_times_gets_none_and_others_theirs() -> None:
    stored = Stored(big(0))
    at = on_shelf(stored)
    with at.reader(KEY, 0, times=False) as plain, at.reader(KEY, 0, times=True) as timed:
        first, second = await plain.next(), await timed.next()
        assert first is not None
        assert second is not None
        assert (first.stamps, len(first.data)) == ((), PIECE_BYTES)
        assert len(second.stamps) == second.data.count(b"\n") == PIECE_LINES
