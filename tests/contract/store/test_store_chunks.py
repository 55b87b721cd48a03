"""How logs lie on the disk: small chunks are put together, ends are found without reading the rest, space comes back."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.store.base import LogChunk, LogPoint, Store
from spark_jobs.store.sql import SqlStore
from tests import figures
from tests.contract.store.acts import Clock, add, finish, run

KEY = AttemptKey("one", 1)
MIB = 1024 * 1024
SECOND = 1_000_000_000
BEGUN = 1_764_000_000 * SECOND


def line(number: int) -> bytes:
    """A line as programs write them."""
    chance = random.Random(number)
    return (
        f"2026-11-25T12:{number // 60 % 60:02d}:{number % 60:02d}.{chance.randrange(1000):03d} INFO worker-{number % 7} "
        f"processed item {chance.randrange(10**9)} in {chance.randrange(1000)} ms\n"
    ).encode()


async def append(store: Store, data: bytes, offset: int, number: int, *, key: AttemptKey = KEY) -> int:
    """Store the next lines, a microsecond apart; where the log ends then."""
    lines = data.count(b"\n")
    stamps = tuple(BEGUN + (number + i) * SECOND + random.Random(number).randrange(SECOND) for i in range(lines))
    chunk = LogChunk(offset=offset, line=number, data=data, stamps=stamps)
    await store.log_append(key, [chunk], LogPoint(bytes=offset + len(data), lines=number + lines))
    return offset + len(data)


def rows(folder: Path) -> list[tuple[int, int]]:
    """The chunks that there are: where they begin, and their sizes."""
    with closing(sqlite3.connect(folder / "logs.db")) as other:
        return other.execute('SELECT "offset", size FROM chunks ORDER BY log_id, "offset"').fetchall()


def disk_use(folder: Path) -> int:
    """Bytes that the logs take on the disk, with the journal."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.name in {"logs.db", "logs.db-wal"})


async def test_a_log_that_comes_line_by_line_takes_little_more_than_the_packed_text(tmp_path: Path) -> None:
    """A line a second, stored as it comes: one chunk each, if they stayed so."""
    folder, lines = tmp_path / "data", 1500
    store = SqlStore(folder, clock=Clock())
    await store.open()
    empty = (folder / "logs.db").stat().st_size
    offset = 0
    for number in range(lines):
        offset = await append(store, line(number), offset, number)
    chunks = rows(folder)
    assert [begin + size for begin, size in chunks] == [*(begin for begin, _ in chunks[1:]), offset], "no gap"
    await store.close()
    text = b"".join(line(number) for number in range(lines))
    packed = len(zstandard.ZstdCompressor(level=3).compress(text))
    figures.at_most("store: chunks of 1500 lines that came one by one", len(chunks), 20, "chunks")
    share = (disk_use(folder) - empty) / packed
    figures.at_most("store: its bytes on disk with their times, beside zstd -3 of the text", share, 2.0, "times")


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=60),
    places=st.lists(st.integers(0, 400), min_size=3, max_size=3),
)
async def test_readers_in_the_middle_do_not_notice(sizes: list[int], places: list[int]) -> None:
    data = bytes(random.Random(0).choice(b"abc\n") for _ in range(sum(sizes)))
    starts = [0, *(i + 1 for i, byte in enumerate(data[:-1]) if byte == ord("\n"))]
    store = SqlStore(None, clock=Clock())
    await store.open()
    read = dict.fromkeys(places, b"")
    readers: dict[int, AsyncIterator[LogChunk]] = {}
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    for begin, end in pairwise(ends):
        inside = [i for i, start in enumerate(starts) if begin <= start < end]
        number = inside[0] if inside else sum(1 for start in starts if start < begin)
        chunk = LogChunk(offset=begin, line=number, data=data[begin:end], stamps=tuple(i + 1 for i in inside))
        await store.log_append(KEY, [chunk], LogPoint(bytes=end))
        for place in places:
            reader = readers.get(place) or aiter(store.log_read(KEY, offset=place + len(read[place])))
            piece = await anext(reader, None)
            if piece is None:
                readers.pop(place, None)
                continue
            readers[place] = reader
            assert piece.offset == place + len(read[place])
            assert piece.stamps == tuple(
                i + 1 for i, start in enumerate(starts) if piece.offset <= start < piece.offset + len(piece.data)
            )
            read[place] += piece.data
    for place in places:
        rest = [piece.data async for piece in store.log_read(KEY, offset=place + len(read[place]))]
        assert read[place] + b"".join(rest) == data[place:]
    assert [await store.log_seek(KEY, since_ns=i + 1) for i in range(len(starts))] == starts
    await store.close()


async def test_the_end_of_a_log_is_found_and_read_without_the_rest_of_it(disk: SqlStore, tmp_path: Path) -> None:
    block = b"".join(line(number) for number in range(2500))
    offset = 0
    for number in range(60):
        offset = await append(disk, block, offset, number * 2500)
    with closing(sqlite3.connect(tmp_path / "data" / "logs.db", isolation_level=None)) as other:
        other.execute("""UPDATE chunks SET data = x'00', stamps = x'00' WHERE "offset" < ?""", (offset - len(block),))
    last_hundred = block.splitlines(keepends=True)[-100:]
    for how in ({"tail": 100}, {"since_ns": BEGUN + (60 * 2500 - 100) * SECOND}):
        place = await disk.log_seek(KEY, **how)
        data = b"".join([chunk.data async for chunk in disk.log_read(KEY, offset=place)])
        assert data == b"".join(last_hundred)


async def test_space_comes_back_to_the_file_system_while_the_server_runs(disk: SqlStore, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    await add(disk, "one", "two", "three")
    size = 24 * MIB
    for name in ("one", "two", "three"):
        key = await finish(disk, name)
        for offset in range(0, size, MIB):
            chunk = LogChunk(offset=offset, line=0, data=os.urandom(MIB), stamps=())
            await disk.log_append(key, [chunk], LogPoint(bytes=offset + MIB))
    assert disk_use(folder) > 3 * size
    await disk.delete("two")
    assert disk_use(folder) < 2 * size + 30 * MIB
    await disk.prune_logs(size + MIB)
    figures.at_most("store: bytes on disk for each that is kept", disk_use(folder) / size, 1.6, "times")
    await disk.delete("three")
    await append(disk, b"x\n", 0, 0, key=(await run_one(disk)))
    figures.at_most("store: MiB on disk once all logs are deleted", disk_use(folder) / MIB, 9, "MiB")


async def run_one(store: Store) -> AttemptKey:
    """A job that runs."""
    await add(store, "next")
    return (await run(store, "next")).key


async def test_the_limit_of_what_logs_take_counts_what_the_file_holds(disk: SqlStore, tmp_path: Path) -> None:
    names = [f"job-{i}" for i in range(6)]
    await add(disk, *names)
    for name in names:
        key = await finish(disk, name)
        chunk = LogChunk(offset=0, line=0, data=os.urandom(4 * MIB), stamps=())
        await disk.log_append(key, [chunk], LogPoint(bytes=4 * MIB))
    pruned = await disk.prune_logs(10 * MIB)
    assert pruned.logs == 4
    await disk.close()
    assert 8 * MIB < (tmp_path / "data" / "logs.db").stat().st_size < 10 * MIB
