"""Bit rot in the file of the logs: what is lost is named, and everything else can be read."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import DataDirDamaged
from spark_jobs.store.base import LogChunk, LogPoint
from spark_jobs.store.sql import SqlStore
from spark_jobs.store.sql.salvage import Hole, salvage
from tests.contract.store.acts import Clock

KEY = AttemptKey("one", 1)
SIZE = 300_000  # bytes in a chunk: too large for two to be put together
PAGE = 4096
PATIENCE = 20  # seconds


def content(number: int, *, whole_lines: bool = True) -> bytes:
    """A chunk's bytes, which can't be packed well."""
    line = random.Random(number).randbytes(SIZE - 1).replace(b"\n", b"-")
    return line + (b"\n" if whole_lines else b"x")


async def filled(store: SqlStore, count: int = 3, *, whole_lines: bool = True) -> list[LogChunk]:
    """A log of so many chunks, of a line each."""
    chunks = [
        LogChunk(offset=i * SIZE, line=i, data=content(i, whole_lines=whole_lines), stamps=(i + 1,))
        for i in range(count)
    ]
    await store.log_append(KEY, chunks, LogPoint(bytes=count * SIZE, lines=count))
    return chunks


def flip(file: Path, where: bytes) -> None:
    """Change bits in the file: the last of these bytes, wherever they are stored."""
    data = bytearray(file.read_bytes())
    data[data.index(where) + len(where) - 1] ^= 0b0001_0100
    file.write_bytes(data)


def packed(file: Path, column: str, offset: int) -> bytes:
    """What the file holds in this column of a chunk: enough of it to be found on its page."""
    with closing(sqlite3.connect(file)) as other:
        (value,) = other.execute(f'SELECT {column} FROM chunks WHERE "offset" = ?', (offset,)).fetchone()
    return bytes(value)


Spoil = Callable[[Path], None]


def spoil_data(file: Path) -> None:
    """One byte in the middle of the second chunk's bytes."""
    inside = packed(file, "data", SIZE)
    flip(file, inside[150_000:150_016])


def spoil_page(file: Path) -> None:
    """The header of the page on which the second chunk's row begins: the database itself can't make sense of it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    inside = packed(file, "data", SIZE)[:64]
    with file.open("r+b") as stream:
        at = stream.read().index(inside) // PAGE * PAGE
        stream.seek(at)
        stream.write(b"\xff")


def spoil_row(file: Path) -> None:
    """How long the second chunk is, as its own row says."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute('UPDATE chunks SET size = 7 WHERE "offset" = ?', (SIZE,))


async def reopened(store: SqlStore, file: Path, spoil: Spoil) -> SqlStore:
    """The store over the same folder, which was spoiled meanwhile."""
    await store.close()
    spoil(file)
    again = SqlStore(file.parent, clock=Clock())
    await again.open()
    return again


async def test_what_is_damaged_is_stood_in_for_and_all_else_is_read(disk: SqlStore, tmp_path: Path) -> None:
    chunks = await filled(disk)
    store = await reopened(disk, tmp_path / "data" / "logs.db", spoil_data)
    first, marker, last = [chunk async for chunk in store.log_read(KEY)]
    assert (first, last) == (chunks[0], chunks[2])
    assert marker.data == b"[spark] 300000 bytes are missing here: the stored log is damaged from byte 300000 on\n"
    assert marker.offset + len(marker.data) == last.offset
    assert marker.stamps == ()
    await store.close()


async def test_it_is_said_on_a_line_of_its_own_and_of_what_was_asked_for(disk: SqlStore, tmp_path: Path) -> None:
    await filled(disk, whole_lines=False)
    store = await reopened(disk, tmp_path / "data" / "logs.db", spoil_data)
    text = b"".join([chunk.data async for chunk in store.log_read(KEY, offset=SIZE - 3)])
    assert re.search(rb"^..x\n\[spark\] 300000 bytes are missing here: [^\n]+\n", text, re.DOTALL)
    (part, _) = [chunk async for chunk in store.log_read(KEY, offset=2 * SIZE - 1000)]
    assert part.data == b"[spark] 1000 bytes are missing here: the stored log is damaged from byte 599000 on\n"
    (few, _) = [chunk async for chunk in store.log_read(KEY, offset=2 * SIZE - 9)]
    assert (few.offset, few.data) == (2 * SIZE - 9, b"[spark] \n"), "no room for more: what follows keeps its offset"
    await store.close()


async def test_a_place_that_lies_in_what_is_damaged_is_its_beginning(disk: SqlStore, tmp_path: Path) -> None:
    await filled(disk)
    store = await reopened(disk, tmp_path / "data" / "logs.db", spoil_data)
    assert await store.log_seek(KEY, tail=2) == SIZE
    assert await store.log_seek(KEY, tail=1) == 2 * SIZE
    assert await store.log_seek(KEY, since_ns=2) == SIZE
    await store.close()


async def test_lines_whose_times_are_damaged_are_shown_without(disk: SqlStore, tmp_path: Path) -> None:
    def spoil_stamps(file: Path) -> None:
        flip(file, packed(file, "stamps", SIZE))

    chunks = await filled(disk)
    store = await reopened(disk, tmp_path / "data" / "logs.db", spoil_stamps)
    found = [chunk async for chunk in store.log_read(KEY)]
    assert [chunk.data for chunk in found] == [chunk.data for chunk in chunks]
    assert [chunk.stamps for chunk in found] == [(1,), (), (3,)]
    assert await store.log_seek(KEY, since_ns=2) == SIZE
    await store.close()


async def test_a_chunk_goes_as_far_as_the_next_one_whatever_its_row_says(disk: SqlStore, tmp_path: Path) -> None:
    chunks = await filled(disk)
    spoil_row(tmp_path / "data" / "logs.db")
    assert [chunk async for chunk in disk.log_read(KEY)] == chunks


async def test_rows_that_the_database_can_not_read_are_stood_in_for(disk: SqlStore, tmp_path: Path) -> None:
    chunks = await filled(disk, 24)
    spoil_page(tmp_path / "data" / "logs.db")
    read = [chunk async for chunk in disk.log_read(KEY)]
    assert [chunk.offset + len(chunk.data) for chunk in read] == [SIZE * (i + 1) for i in range(24)]
    lost = [b"300000 bytes are missing here" in chunk.data for chunk in read]
    assert lost[1]
    assert sum(lost) <= 12, "rows that begin on other pages are read"
    assert all(gone or chunk == chunks[i] for i, (gone, chunk) in enumerate(zip(lost, read, strict=True)))


async def test_blocks_name_job_attempt_and_bytes_when_they_are_unpacked(disk: SqlStore, tmp_path: Path) -> None:
    chunks = await filled(disk)
    store = await reopened(disk, tmp_path / "data" / "logs.db", spoil_data)
    (blocks,) = await store.log_blocks([(KEY, 0)])
    assert [(block.offset, block.size, block.line, block.lines) for block in blocks] == [
        (i * SIZE, SIZE, i, 1) for i in range(3)
    ]
    assert [blocks[0].data(), blocks[2].data()] == [chunks[0].data, chunks[2].data]
    with pytest.raises(DataDirDamaged, match="job one, attempt 1 is damaged in the 300000 bytes from byte 300000 on"):
        blocks[1].data()
    await store.close()


async def test_what_is_damaged_is_not_put_together_with_what_comes(disk: SqlStore, tmp_path: Path) -> None:
    file = tmp_path / "data" / "logs.db"
    await disk.log_append(KEY, [LogChunk(offset=0, line=0, data=b"old\n", stamps=(1,))], LogPoint(bytes=4, lines=1))
    store = await reopened(disk, file, lambda file: flip(file, packed(file, "data", 0)))
    new = LogChunk(offset=4, line=1, data=b"newer\n", stamps=(2,))
    await store.log_append(KEY, [new], LogPoint(bytes=10, lines=2))
    assert [chunk.data async for chunk in store.log_read(KEY)] == [b"[sp\n", b"newer\n"]
    await store.close()


async def with_a_long_line(store: SqlStore) -> None:
    """A log of two lines, the first of which goes on through three chunks."""
    for number, (data, stamps) in enumerate([(b"a", (100,)), (b"b", ()), (b"c", ()), (b"d", (200,))]):
        text = data * (SIZE - 1) + (b"\n" if number > 1 else data)
        chunk = LogChunk(offset=number * SIZE, line=min(number, 1), data=text, stamps=stamps)
        await store.log_append(KEY, [chunk], LogPoint(bytes=(number + 1) * SIZE, lines=1 + number // 3))


async def places(store: SqlStore) -> list[int]:
    """Where the lines since some times begin, in chunks."""
    async with asyncio.timeout(PATIENCE):
        return [await store.log_seek(KEY, since_ns=since) // SIZE for since in (100, 150, 200, 201)]


async def test_a_hole_in_a_long_line_is_not_where_a_later_time_leads(disk: SqlStore, tmp_path: Path) -> None:
    await with_a_long_line(disk)
    assert await places(disk) == [0, 3, 3, 4]
    await disk.close()
    salvaged = tmp_path / "salvaged"
    target = SqlStore(salvaged, clock=Clock())
    await target.open()
    await target.close()
    with (
        closing(sqlite3.connect(tmp_path / "data" / "logs.db", isolation_level=None)) as old,
        closing(sqlite3.connect(salvaged / "logs.db", isolation_level=None)) as new,
    ):
        old.execute('DELETE FROM chunks WHERE "offset" = ?', (2 * SIZE,))
        assert list(salvage(old, new)) == [Hole(KEY, 2 * SIZE, SIZE)]
    store = SqlStore(salvaged, clock=Clock())
    await store.open()
    assert await places(store) == [0, 3, 3, 4]
    await store.close()


async def test_a_chunk_that_has_not_the_time_it_promises_is_where_that_leads(disk: SqlStore, tmp_path: Path) -> None:
    await with_a_long_line(disk)
    with closing(sqlite3.connect(tmp_path / "data" / "logs.db", isolation_level=None)) as other:
        other.execute('UPDATE chunks SET latest_ns = 200 WHERE "offset" = ?', (2 * SIZE,))
    assert await places(disk) == [0, 2, 2, 4]
