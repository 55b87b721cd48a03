"""Stored logs on their way to many readers: unpacked once for all who are near the same place, and handed on in small
pieces, so that a reader holds one such piece and a position, however long it takes over it."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.store.base import LogChunk, LogStore

PIECE_BYTES = 32 * 1024
"""A piece has so many bytes at most."""

PIECE_LINES = 512
"""So many lines end in a piece at most, where it has their times: they take more room than short lines do."""

SHELF_BYTES = 8 * 1024 * 1024
"""What is kept unpacked for all readers together takes about so much at most."""

_BATCH_BYTES = 64 * 1024  # so much is unpacked at a time; one chunk of the store at least
_AT_ONCE = 2  # blocks that are being unpacked; other readers of the log database get their turn


class _Place(NamedTuple):
    """Which block: of which log, from which byte on, and whether with the times of its lines."""

    key: AttemptKey
    start: int
    times: bool


class Block(NamedTuple):
    """A chunk of a log as it is kept. Its times are in an array: as numbers of Python they take five times the room."""

    offset: int
    line: int
    data: bytes
    stamps: array[int]

    @property
    def end(self) -> int:
        """The byte after its last one."""
        return self.offset + len(self.data)

    @property
    def size(self) -> int:
        """What it takes, in bytes of memory, about."""
        return len(self.data) + len(self.stamps) * self.stamps.itemsize


def block_of(chunk: LogChunk) -> Block:
    """The chunk, to be kept."""
    return Block(chunk.offset, chunk.line, chunk.data, array("q", chunk.stamps))


class Shelf:
    """The blocks of those logs that somebody reads now; those used least recently go first."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._blocks: OrderedDict[_Place, Block] = OrderedDict()
        self._size = 0
        self._readers: Counter[AttemptKey] = Counter()
        self._opening = asyncio.Semaphore(_AT_ONCE)

    @contextmanager
    def reader(self, key: AttemptKey, offset: int, *, times: bool) -> Iterator[Reader]:
        """A reader of this log from byte ``offset`` on, with or without the times of lines; nothing is kept of a log that
        nobody reads."""
        self._readers[key] += 1
        try:
            yield Reader(self, _Place(key, offset, times))
        finally:
            self._readers[key] -= 1
            if not self._readers[key]:
                del self._readers[key]
                self.drop(key)

    @property
    def kept(self) -> int:
        """How much is kept unpacked, in bytes of memory, about."""
        return self._size

    def drop(self, key: AttemptKey) -> None:
        """Keep nothing of this log: it was deleted, and another one may get its name."""
        for place in [place for place in self._blocks if place.key == key]:
            self._size -= self._blocks.pop(place).size

    def block(self, place: _Place) -> Block | None:
        """The block that begins there, if it is here."""
        block = self._blocks.get(place)
        if block is not None:
            self._blocks.move_to_end(place)
        return block

    async def open(self, place: _Place) -> Block | None:
        """The block that begins there, or after a gap, out of the store if need be; null at the end of the log."""
        async with self._opening:
            return self.block(place) or await self._read(place)

    async def _read(self, place: _Place) -> Block | None:
        first: Block | None = None
        size = 0
        chunks = self._store.log_read(place.key, offset=place.start, times=place.times)
        try:
            async for chunk in chunks:
                block = block_of(chunk)
                first = first or block
                self._keep(place._replace(start=block.offset), block)
                size += len(chunk.data)
                if size >= _BATCH_BYTES:
                    break  # what the store has unpacked by now
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        return first

    def _keep(self, place: _Place, block: Block) -> None:
        if place.key not in self._readers:
            return
        replaced = self._blocks.pop(place, None)  # by one that more was added to
        self._size += block.size - (replaced.size if replaced is not None else 0)
        self._blocks[place] = block
        while self._size > SHELF_BYTES:
            _, oldest = self._blocks.popitem(last=False)
            self._size -= oldest.size


class Reader:
    """A place in one log; it holds no bytes."""

    def __init__(self, shelf: Shelf, begin: _Place) -> None:
        self._shelf = shelf
        self._block = begin
        self.offset = begin.start
        self._lines = 0  # so many that begin in the block have been handed on

    async def next(self) -> LogChunk | None:
        """The next piece of what is stored; null at the end, where more may follow later."""
        block = self._shelf.block(self._block)
        if block is None or self.offset >= block.end:
            block = await self._shelf.open(self._block._replace(start=self.offset))
            if block is None:
                return None
            self.offset, self._lines = block.offset, 0
            self._block = self._block._replace(start=block.offset)
        piece = cut_piece(block, self.offset - block.offset, self._lines)
        self.offset += len(piece.data)
        self._lines += len(piece.stamps)
        return piece


def cut_piece(block: Block, at: int, lines: int) -> LogChunk:
    """The piece that begins ``at`` bytes after the block does, before which ``lines`` lines begin in it; of whole lines,
    where one of them fits."""
    data = block.data
    timed = len(block.stamps) > 0
    end = _end_of_piece(data, at, PIECE_LINES if timed else PIECE_BYTES)
    if not timed:
        number = 0
    elif at:
        number = data.count(b"\n", at - 1, end - 1)
    else:
        # Where there are fewer times than lines, the block goes on with a line that began before it.
        whole = data.count(b"\n") + (not data.endswith(b"\n"))
        number = data.count(b"\n", 0, end - 1) + (len(block.stamps) == whole)
    return LogChunk(
        offset=block.offset + at,
        line=block.line + lines,
        data=data[at:end],
        stamps=tuple(block.stamps[lines : lines + number]),
    )


def _end_of_piece(data: bytes, at: int, most_lines: int) -> int:
    size = min(PIECE_BYTES, len(data) - at)
    while (lines := data.count(b"\n", at, at + size)) > most_lines:
        size = size * most_lines // lines
    end = at + size
    if end == len(data):
        return end
    whole = data.rfind(b"\n", at, end) + 1
    if whole:
        return whole
    while data[end] & 0xC0 == 0x80 and end > at + size - 3:
        end -= 1  # not in the middle of a character
    return end
