"""What a reconnect repeats is dropped, and nothing else."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.app.core import utc_now
from spark_jobs.bus import Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import AttemptNotFound
from spark_jobs.logs import LogBook, with_stamps
from spark_jobs.recording import LogRecorder
from spark_jobs.store.base import LogChunk, LogPoint
from spark_jobs.store.sql import logs
from spark_jobs.store.sql.store import SqlStore
from spark_jobs.store.sql.writer import Tx

KEY = AttemptKey("job", 1)
SECOND = 1_000_000_000
SPLIT = 20_000_000
"""The halves of a line that a rotation split have times that are closer together."""

Line = tuple[int, bytes]


@asynccontextmanager
async def opened(folder: Path | None = None) -> AsyncIterator[SqlStore]:
    """A store in memory, or in a folder."""
    store = SqlStore(folder, clock=utc_now)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store() -> AsyncIterator[SqlStore]:
    """The store of one test."""
    async with opened() as store:
        yield store


@pytest.fixture
async def recorder(store: SqlStore) -> LogRecorder:
    """Adds to the log of the attempt in that store."""
    return await LogBook(store, Bus()).recorder(KEY)


def pieces(lines: list[Line], chance: random.Random) -> list[tuple[bytes, list[int]]]:
    """The lines as batches, cut anywhere, as a stream would bring them."""
    out: list[tuple[bytes, list[int]]] = []
    for stamp, text in lines:
        data, stamps = text + b"\n", [stamp]
        while data:
            size = chance.randint(1, len(data))
            if out and chance.random() < 0.5:
                out[-1] = (out[-1][0] + data[:size], out[-1][1] + stamps)
            else:
                out.append((data[:size], stamps))
            data, stamps = data[size:], []
    return out


async def recorded(lines: list[Line], cuts: list[int], chance: random.Random) -> tuple[bytes, list[int], bool]:
    """What is stored after streams that were each cut after some batches, and one that came to the end."""
    async with opened() as store:
        book = LogBook(store, Bus())
        verified = False
        for cut in [*cuts, None]:
            recorder = await book.recorder(KEY)  # a new one each time, as after a restart
            replay = await recorder.replay()
            since = 0 if recorder.point.stamp_ns is None else recorder.point.stamp_ns // SECOND * SECOND
            stream = pieces([line for line in lines if line[0] >= since], chance)
            for data, stamps in stream[:cut]:
                recorder.add(*replay.fresh(data, stamps))
            await recorder.flush()
            verified = replay.verified
        chunks = [chunk async for chunk in store.log_read(KEY)]
        stored = b"".join(chunk.data for chunk in chunks)
        assert (await store.log_point(KEY)).bytes == len(stored)
        return stored, [stamp for chunk in chunks for stamp in chunk.stamps], verified


STAMPS = st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=12).map(sorted)
TEXTS = st.sampled_from([b"", b"x", b"same", b"a longer line", b"\xff\r"])


@given(STAMPS, st.data(), st.lists(st.integers(0, 6), max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
async def test_streams_cut_anywhere_and_resumed_at_whole_seconds_give_the_log_exactly_once(
    stamps: list[int], data: st.DataObject, cuts: list[int], chance: random.Random
) -> None:
    """Invariant 6."""
    lines = [(stamp, data.draw(TEXTS)) for stamp in stamps]
    stored, stored_stamps, verified = await recorded(lines, cuts, chance)
    assert stored == b"".join(text + b"\n" for _, text in lines)
    assert stored_stamps == stamps
    assert verified


async def test_stamps_out_of_order_neither_lose_nor_repeat_a_line() -> None:
    """stdout and stderr are stamped before they are written, so neighbours may be swapped."""
    lines = [(5, b"a"), (9, b"b"), (7, b"c"), (9, b"d"), (8, b"e")]
    for cut in range(1, 6):
        stored, _, verified = await recorded(lines, [cut], random.Random(cut))
        assert stored == b"a\nb\nc\nd\ne\n"
        assert verified


async def test_a_source_that_lost_the_last_stored_line_is_not_verified(recorder: LogRecorder) -> None:
    recorder.add(b"one\ntwo\n", [10, 20])
    replay = await recorder.replay()
    assert not replay.verified
    assert replay.fresh(b"five\n", [50]) == (b"five\n", [50])
    assert not replay.verified


async def test_a_source_that_lost_only_older_lines_is_verified(recorder: LogRecorder) -> None:
    recorder.add(b"one\ntwo\nthree\n", [10, 20, 30])
    replay = await recorder.replay()
    assert replay.fresh(b"two\nthree\nfour\n", [20, 30, 40]) == (b"four\n", [40])
    assert replay.verified


def test_stamps_are_put_before_lines_and_not_before_their_rests() -> None:
    chunk = LogChunk(offset=3, line=1, data=b"st\nnext\nopen", stamps=(1, 2))
    assert with_stamps(chunk, lambda stamp: b"%d " % stamp) == b"st\n1 next\n2 open"


@pytest.mark.parametrize("closed", [True, False])
async def test_the_rest_of_a_long_line_that_was_rotated_away_is_no_new_line(
    recorder: LogRecorder, closed: bool
) -> None:
    """Its last pieces stand in the newest file, the first of them with a stamp of its own."""
    recorder.add(b"x" * 20_000 + b"\n" * closed, [10])
    replay = await recorder.replay()
    assert replay.fresh(b"xxx", [SPLIT + 10]) == (b"", ())
    assert replay.fresh(b"xx\nnext\n", [SPLIT + 20]) == (b"next\n" if closed else b"\nnext\n", [SPLIT + 20])
    assert not replay.verified


async def test_an_unfinished_line_whose_rest_was_rotated_away_gets_its_end(
    store: SqlStore, recorder: LogRecorder
) -> None:
    recorder.add(b"one\ntw", [10, 20])
    replay = await recorder.replay()
    recorder.add(*replay.fresh(b"five\n", [SPLIT + 20]))
    await recorder.flush()
    assert b"".join([chunk.data async for chunk in store.log_read(KEY)]) == b"one\ntw\nfive\n"


@pytest.mark.parametrize("stamp", [pytest.param(900, id="older"), pytest.param(SPLIT + 999, id="newer")])
@pytest.mark.parametrize("half", [pytest.param(b"tw", id="short"), pytest.param(b"x" * 20_000, id="long")])
async def test_the_halves_of_a_line_that_a_rotation_split_are_one_line(
    store: SqlStore, recorder: LogRecorder, half: bytes, stamp: int
) -> None:
    """They get their times side by side, so the second may even be the older one. That no file lay between the two
    can't be proved by that."""
    recorder.add(b"one\n" + half, [990, 1000])
    replay = await recorder.replay()
    for data, stamps in ((b"o", [stamp]), (b"\nthree\n", [SPLIT + 1000])):
        recorder.add(*replay.fresh(data, stamps))
    assert (replay.passed, replay.verified, replay.unknown) == (True, False, False)
    await recorder.flush()
    assert b"".join([chunk.data async for chunk in store.log_read(KEY)]) == b"one\n" + half + b"o\nthree\n"
    point = await store.log_point(KEY)
    assert (point.lines, point.last_line, point.open_bytes) == (3, b"three", 0)


@pytest.mark.parametrize(
    ("stored", "half"),
    [
        pytest.param(b"one\ntwo\n", b"o\n", id="whole"),
        pytest.param(b"one\ntwo\n", b"w", id="cut off"),
        pytest.param(b"one\ntwo", b"wo", id="of a line without its newline"),
        pytest.param(b"one\ntwo", b"w", id="cut off, of such a line"),
    ],
)
@pytest.mark.parametrize("stamp", [18, 22])
async def test_the_other_half_of_the_last_stored_line_is_not_stored_again(
    recorder: LogRecorder, stored: bytes, half: bytes, stamp: int
) -> None:
    recorder.add(stored, [10, 20])
    replay = await recorder.replay()
    assert not b"".join((replay.fresh(half, [stamp])[0], replay.at_end()[0]))
    assert not replay.verified
    assert not replay.reached


async def test_a_half_that_may_be_cut_off_waits(recorder: LogRecorder) -> None:
    """Joined as it is, it would be joined once more when it comes whole."""
    recorder.add(b"one\ntw", [10, 20])
    replay = await recorder.replay()
    assert replay.fresh(b"o th", [21]) == (b"", ())
    assert (replay.passed, replay.waiting) == (False, 4)
    assert replay.at_end() == (b"o th", [])
    assert (replay.passed, replay.waiting) == (True, 0)


async def test_a_line_behind_others_that_came_by_again_is_no_half_of_another(recorder: LogRecorder) -> None:
    """The file that has these was not rotated away, so nothing was split."""
    recorder.add(b"one\ntw", [10, 20])
    replay = await recorder.replay()
    assert replay.fresh(b"one\nthree\n", [10, 30]) == (b"\nthree\n", [30])


async def test_a_file_that_begins_in_the_midst_of_lines_of_one_time_repeats_nothing(recorder: LogRecorder) -> None:
    """A rotation may fall between two lines whose stamps are equal."""
    recorder.add(b"one\ntwo\nthree\nfour\n", [10, 10, 10, 20])
    for begins, lines in ((1, [b"two", b"three"]), (2, [b"three"])):
        replay = await recorder.replay()
        data = b"".join(line + b"\n" for line in [*lines, b"four", b"five"])
        assert replay.fresh(data, [*[10] * (3 - begins), 20, 30]) == (b"five\n", [30])
        assert replay.verified


@pytest.mark.parametrize(
    ("lines", "stamps", "unknown"),
    [
        pytest.param(b"a\nb\ntwo\nthree\nfour\n", [18, 19, 20, 30, 40], True, id="at the beginning"),
        pytest.param(b"one\nand\ntwo\nthree\nfour\n", [10, 15, 20, 30, 40], True, id="in between"),
        pytest.param(b"one\nand\nthree\nfour\n", [10, 15, 30, 40], True, id="in place of another"),
        pytest.param(b"one\nthree\nfour\n", [10, 30, 40], False, id="one that is stored is not there any more"),
        pytest.param(b"one\ntwo\nthree\nfour\n", [10, 20, 30, 40], False, id="as stored"),
    ],
)
async def test_a_line_older_than_the_last_stored_one_is_not_new_and_shows_a_hole(
    recorder: LogRecorder, lines: bytes, stamps: list[int], unknown: bool
) -> None:
    recorder.add(b"one\ntwo\nthree\n", [10, 20, 30])
    replay = await recorder.replay()
    assert replay.fresh(lines, stamps) == (b"four\n", [40])
    assert (replay.verified, replay.unknown) == (True, unknown)


@pytest.mark.parametrize(
    "batches",
    [
        pytest.param([(b"o\nthree\nfour\nfive\n", (19, 30, 40, 50))], id="one batch"),
        pytest.param([(b"o", (19,)), (b"\n", ()), (b"three\nfour\nfive\n", (30, 40, 50))], id="three"),
    ],
)
async def test_one_line_at_the_beginning_that_is_not_stored_may_be_the_rest_of_one_that_is(
    recorder: LogRecorder, batches: list[tuple[bytes, tuple[int, ...]]]
) -> None:
    """Where a rotation splits a line a follow is given it as one, and the new file begins with its other half."""
    recorder.add(b"one\ntwo\nthree\nfour\n", [10, 20, 30, 40])
    replay = await recorder.replay()
    fresh = [replay.fresh(*batch) for batch in batches][-1]
    assert fresh == (b"five\n", (50,))
    assert (replay.verified, replay.unknown, replay.rest) == (True, False, (b"o\n", 30))


@pytest.mark.parametrize("cuts", [[], [1], [2], [5], [6], [1, 2, 3, 4, 5, 6, 7, 8]])
@pytest.mark.parametrize(
    ("text", "before", "answer"),
    [
        (b"wo\n", 30, True),
        (b"o\n", 30, True),
        (b"two\n", 30, False),  # all of it: the line came twice, and one of the two is missing
        (b"three\n", 30, False),
        (b"\n", 30, True),  # it may be split before its newline, too
        (b"e\n", 20, True),
        (b"e\n", 40, True),
        (b"ree\n", 30, False),
        (b"ne\n", 10, False),
        (b"ne\n", 50, False),
    ],
)
async def test_a_rest_is_looked_for_at_the_end_of_the_line_before(
    recorder: LogRecorder, cuts: list[int], text: bytes, before: int, answer: bool
) -> None:
    data, stamps, at = b"one\ntwo\nthree\nfo", {0: 10, 4: 20, 8: 30, 14: 40}, 0
    for cut in [*cuts, len(data)]:
        recorder.add(data[at:cut], [stamp for begins, stamp in stamps.items() if at <= begins < cut])
        await recorder.flush()
        at = cut
    assert await recorder.ends_with(text, before=before) is answer


@pytest.mark.parametrize("batches", [1, 4])
async def test_lines_of_a_new_file_that_are_older_than_the_last_of_the_old_one_are_new(
    store: SqlStore, recorder: LogRecorder, batches: int
) -> None:
    """Where a file is rotated, a runtime writes the last lines of the old one beside the first of the new one."""
    recorder.add(b"one\ntwo\nthree\n", [10, 20, 30])
    replay = await recorder.replay()
    lines, stamps = [b"and\n", b"a\n", b"file\n", b"more\n"], [25, 28, 31, 29]
    step = len(lines) // batches
    for at in range(0, len(lines), step):
        recorder.add(*replay.fresh(b"".join(lines[at : at + step]), stamps[at : at + step]))
    assert (replay.passed, replay.verified, replay.unknown) == (True, False, False)
    await recorder.flush()
    [chunk] = [chunk async for chunk in store.log_read(KEY, offset=14)]
    assert (chunk.data, tuple(chunk.stamps)) == (b"and\na\nfile\nmore\n", (25, 28, 31, 29))


@pytest.mark.parametrize("stamp", [29 + SPLIT, 31])
async def test_one_line_at_the_beginning_that_is_far_from_the_one_before_is_a_hole(
    recorder: LogRecorder, stamp: int
) -> None:
    recorder.add(b"two\nthree\n", [29, SPLIT * 2])
    replay = await recorder.replay()
    assert not replay.fresh(b"o\nthree\n", [stamp, SPLIT * 2])[0]
    assert (replay.unknown, replay.rest is None) == ((True, True) if stamp > SPLIT else (False, False))


async def test_lines_that_still_wait_at_the_end_of_the_source_are_new(recorder: LogRecorder) -> None:
    recorder.add(b"one\ntwo\n", [10, 20])
    replay = await recorder.replay()
    assert replay.fresh(b"and\nend", [18, 19]) == (b"", ())
    assert replay.at_end() == (b"and\nend", [18, 19])
    assert (replay.passed, replay.verified, replay.unknown) == (True, False, False)


async def ended() -> bool:
    """Nothing is added to a log any more."""
    return True


async def test_a_reader_of_a_large_log_is_told_of_its_removal_before_all_of_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_CHUNKS_AT_ONCE", 2)
    size = 300_000
    async with opened(tmp_path / "data") as store:
        for number in range(4):
            data = b"x" * (size - 1) + b"\n"
            chunk = LogChunk(offset=number * size, line=number, data=data, stamps=(number + 1,))
            await store.log_append(KEY, [chunk], LogPoint(bytes=(number + 1) * size, lines=number + 1))
        stream = LogBook(store, Bus()).stream(KEY, offset=0, done=ended)
        await anext(stream)
        with closing(sqlite3.connect(tmp_path / "data" / "logs.db", isolation_level=None)) as other:
            assert logs.forget(Tx(other), [KEY]), "there is more of it"
        with pytest.raises(AttemptNotFound, match="was deleted while it was read; its first 300000 bytes were there"):
            [piece async for piece in stream]


@pytest.mark.parametrize(
    ("stored", "offset", "rest"),
    [
        pytest.param(b"one\ntwo\n", 4, b"two\n", id="in the log"),
        pytest.param(b"one\ntwo\n", 8, b"", id="at its end"),
        pytest.param(b"one\ntwo\n", 9999, b"", id="behind it"),
        pytest.param(b"", 0, b"", id="of a log that has nothing yet"),
        pytest.param(b"", 4, None, id="of one that is gone, or never was"),
    ],
)
async def test_a_reader_who_goes_on_is_told_where_nothing_is_left_to_go_on_with(
    store: SqlStore, stored: bytes, offset: int, rest: bytes | None
) -> None:
    if stored:
        chunk = LogChunk(offset=0, line=0, data=stored, stamps=(1, 2))
        await store.log_append(KEY, [chunk], LogPoint(bytes=len(stored), lines=2))
    stream = LogBook(store, Bus()).stream(KEY, offset=offset, done=ended)
    if rest is None:
        with pytest.raises(AttemptNotFound, match="from byte 4 on, and nothing of it is stored: it is no longer kept"):
            await anext(stream)
    else:
        assert b"".join([piece.data async for piece in stream]) == rest
