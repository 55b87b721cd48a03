"""Stored logs: what is read is what was appended, from any byte, line or time on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.store.base import LogChunk, LogPoint, Store
from spark_jobs.store.sql import SqlStore, logs
from spark_jobs.store.sql.writer import Tx
from tests.contract.store.acts import Clock

KEY = AttemptKey("one", 1)
SECOND = 1_000_000_000


def split(data: bytes, stamps: list[int], cuts: list[int]) -> list[LogChunk]:
    """A whole log, cut at these bytes into chunks as a collector makes them."""
    starts = [0, *(i + 1 for i, byte in enumerate(data[:-1]) if byte == ord("\n"))] if data else []
    chunks = []
    for begin, end in pairwise([0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]):
        inside = [i for i, start in enumerate(starts) if begin <= start < end]
        line = inside[0] if inside else sum(1 for start in starts if start < begin)
        chunks.append(LogChunk(offset=begin, line=line, data=data[begin:end], stamps=tuple(stamps[i] for i in inside)))
    return chunks


async def stored(store: Store, *, offset: int = 0) -> tuple[bytes, list[int]]:
    """What reading on from a byte gives: the bytes, and the stamps of the lines that begin in them."""
    data, stamps = b"", list[int]()
    async for chunk in store.log_read(KEY, offset=offset):
        assert chunk.offset == offset + len(data)
        data += chunk.data
        stamps += chunk.stamps
    return data, stamps


async def test_a_log_that_was_never_written_is_empty(store: Store) -> None:
    assert await store.log_point(KEY) == LogPoint()
    assert await stored(store) == (b"", [])
    assert await store.log_seek(KEY, tail=10) == 0


async def test_the_resume_point_is_stored_with_the_chunk(store: Store) -> None:
    point = LogPoint(bytes=4, lines=2, stamp_ns=7, last_line=b"b", open_bytes=1)
    await store.log_append(KEY, [LogChunk(offset=0, line=0, data=b"a\nb", stamps=(5, 7))], point)
    assert await store.log_point(KEY) == point
    assert await store.log_point(AttemptKey("one", 2)) == LogPoint()


async def test_chunks_append_to_each_other(store: Store) -> None:
    for chunk in split(b"one\ntwo\nthree\n", [1, 2, 3], [2, 5, 9]):
        await store.log_append(KEY, [chunk], LogPoint(bytes=chunk.offset + len(chunk.data)))
    assert await stored(store) == (b"one\ntwo\nthree\n", [1, 2, 3])
    assert await stored(store, offset=5) == (b"wo\nthree\n", [3])
    assert await stored(store, offset=14) == (b"", [])


async def test_a_chunk_that_does_not_follow_is_refused_whole(store: Store) -> None:
    first = LogChunk(offset=0, line=0, data=b"a\n", stamps=(1,))
    await store.log_append(KEY, [first], LogPoint(bytes=2, lines=1))
    for chunk in (first, LogChunk(offset=5, line=1, data=b"b\n", stamps=(2,))):
        with pytest.raises(ValueError, match="ends at byte 2"):
            await store.log_append(KEY, [chunk], LogPoint(bytes=99))
    assert await store.log_point(KEY) == LogPoint(bytes=2, lines=1)


async def test_reading_goes_up_to_what_is_committed_at_its_begin(store: Store) -> None:
    chunks = split(b"x" * 300_000, [1], [100_000, 200_000])
    await store.log_append(KEY, chunks, LogPoint(bytes=300_000))
    read = 0
    async for chunk in store.log_read(KEY):
        read += len(chunk.data)
        if read == 100_000:
            late = LogChunk(offset=300_000, line=1, data=b"\nlate\n", stamps=(2,))
            await store.log_append(KEY, [late], LogPoint(bytes=300_006))
    assert read == 300_000


async def test_a_reader_that_waits_between_chunks_holds_no_writer_up(store: Store) -> None:
    await store.log_append(KEY, split(b"x" * 200_000, [1], [100_000]), LogPoint(bytes=200_000))
    reader = aiter(store.log_read(KEY))
    first = await anext(reader)
    other = AttemptKey("other", 1)
    await store.log_append(other, [LogChunk(offset=0, line=0, data=b"y\n", stamps=(1,))], LogPoint(bytes=2))
    assert len(first.data) + sum([len(chunk.data) async for chunk in reader]) == 200_000
    assert await store.log_point(other) == LogPoint(bytes=2)


async def test_seeking_finds_the_last_lines_and_the_first_at_a_time(store: Store) -> None:
    data = b"one\ntwo\nthree\nfour\n"
    await store.log_append(KEY, split(data, [1, 2, 3, 4], [6]), LogPoint(bytes=len(data), lines=4))
    assert [await store.log_seek(KEY, tail=n) for n in (0, 1, 2, 4, 9)] == [19, 14, 8, 0, 0]
    assert [await store.log_seek(KEY, since_ns=n) for n in (0, 1, 2, 4, 5)] == [0, 0, 4, 14, 19]
    assert await store.log_seek(KEY, tail=3, since_ns=4) == 14
    assert await store.log_seek(KEY, tail=1, since_ns=2) == 14


async def test_a_last_line_without_its_newline_counts_as_a_line(store: Store) -> None:
    await store.log_append(KEY, split(b"one\ntwo", [1, 2], []), LogPoint(bytes=7, lines=2))
    assert await store.log_seek(KEY, tail=1) == 4


async def test_one_endless_line_over_many_chunks(store: Store) -> None:
    data = b"a\n" + b"x" * 1000 + b"\nb\n"
    await store.log_append(KEY, split(data, [1, 2, 3], list(range(50, 1000, 50))), LogPoint(bytes=len(data)))
    assert [await store.log_seek(KEY, tail=n) for n in (1, 2, 3)] == [len(data) - 2, 2, 0]
    assert await stored(store, offset=500) == (data[500:], [3])


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"-")), min_size=1, max_size=12),
    whole=st.booleans(),
    steps=st.lists(st.integers(-2, 5), min_size=12, max_size=12),
    cuts=st.lists(st.integers(0, 80), max_size=6),
    places=st.tuples(st.integers(0, 90), st.integers(0, 14), st.integers(90, 140)),
)
async def test_any_log_cut_anywhere_reads_and_seeks_like_the_whole(
    lines: list[bytes], whole: bool, steps: list[int], cuts: list[int], places: tuple[int, int, int]
) -> None:
    offset, tail, since = places
    data = b"\n".join(lines) + (b"\n" if whole else b"")
    starts = [0, *accumulate(len(line) + 1 for line in lines)][: len(lines)]
    starts = [start for start in starts if start < len(data)]
    stamps = [100 + step for step in accumulate(steps)][: len(starts)]
    store = SqlStore(None, clock=Clock())
    await store.open()
    await store.log_append(KEY, split(data, stamps, cuts), LogPoint(bytes=len(data)))
    expected = [stamp for stamp, start in zip(stamps, starts, strict=True) if start >= offset]
    assert await stored(store, offset=offset) == (data[offset:], expected)
    ends = [*starts, len(data)]
    assert await store.log_seek(KEY, tail=tail) == ends[max(0, len(starts) - tail)]
    first = next((i for i, stamp in enumerate(stamps) if stamp >= since), len(starts))
    assert await store.log_seek(KEY, since_ns=since) == ends[first]
    await store.close()


async def test_a_log_is_empty_from_the_first_moment_of_its_removal_on(
    disk: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large one goes in several writes: what is left meanwhile, or after a crash, is not taken for all that there was."""
    monkeypatch.setattr(logs, "_CHUNKS_AT_ONCE", 2)
    chunks = split(b"x" * 299_999 + b"\n" + b"y" * 600_000, [1, 2], [300_000, 600_000])
    await disk.log_append(KEY, chunks, LogPoint(bytes=900_000, lines=2))
    reader = disk.log_read(KEY)
    assert await anext(aiter(reader)) == chunks[0]
    with closing(sqlite3.connect(tmp_path / "data" / "logs.db", isolation_level=None)) as other:
        tx = Tx(other)
        assert logs.forget(tx, [KEY])
        assert [chunk async for chunk in reader] == []
        assert await disk.log_point(KEY) == LogPoint()
        assert await stored(disk) == (b"", [])
        assert await disk.log_list([KEY.job_id]) == []
        assert list(await disk.log_blocks([(KEY, 0), (KEY, 700_000)])) == [[], []]
        assert [await disk.log_seek(KEY, **how) for how in ({"tail": 1}, {"since_ns": 1})] == [0, 0]
        assert not logs.forget(tx, [KEY])
        assert other.execute("SELECT (SELECT count(*) FROM logs) + (SELECT count(*) FROM chunks)").fetchone() == (0,)
