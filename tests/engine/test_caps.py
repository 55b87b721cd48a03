"""What is kept of a log that is longer than its cap, or has lines that are, and what it says of the rest."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.app.core import utc_now
from spark_jobs.bus import Bus
from spark_jobs.cluster.fake import FakeCluster, LogFault, Script
from spark_jobs.domain.attempt import AttemptChanges, AttemptKey
from spark_jobs.domain.job import LogState
from spark_jobs.engine.caps import Keeper, line_mark, log_mark
from spark_jobs.logs import LogBook
from spark_jobs.store.sql.store import SqlStore
from tests.engine.bench import bench

KEY = AttemptKey("job", 1)
SECOND = 1_000_000_000

Line = tuple[int, bytes]


@asynccontextmanager
async def empty_store() -> AsyncIterator[SqlStore]:
    store = SqlStore(None, clock=utc_now)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def keeper_of(store: SqlStore, log_cap: int, line_cap: int) -> Keeper:
    return Keeper(await LogBook(store, Bus()).recorder(KEY), log_cap=log_cap, line_cap=line_cap)


async def stored(store: SqlStore) -> tuple[bytes, int]:
    """The stored log, and how many lines begin in it."""
    chunks = [chunk async for chunk in store.log_read(KEY)]
    return b"".join(chunk.data for chunk in chunks), sum(len(chunk.stamps) for chunk in chunks)


def pieces(lines: list[Line], chance: random.Random) -> list[tuple[bytes, list[int]]]:
    """The lines in batches, as a stream that may be cut anywhere would bring them."""
    out: list[tuple[bytes, list[int]]] = []
    for stamp, text in lines:
        size = chance.randint(1, len(text))
        first = [(text[:size], [stamp])]
        rest: list[tuple[bytes, list[int]]] = [(text[size:], [])] if size < len(text) else []
        if out and out[-1][0].endswith(b"\n") and chance.random() < 0.6:
            out[-1] = (out[-1][0] + first[0][0], out[-1][1] + first[0][1])
            first = []
        out += first + rest
    return out


def kept_of(lines: list[Line], log_cap: int, line_cap: int) -> bytes:
    """What is to be stored of these lines, up to the log's cap."""
    out = b""
    for _, line in lines:
        text = line.removesuffix(b"\n")
        lost = len(text) - line_cap
        out += (text[:line_cap] + line_mark(line_cap, lost) if lost > 0 else text) + b"\n" * line.endswith(b"\n")
    if out and not out.endswith(b"\n") and len(lines[-1][1]) > line_cap:
        out += b"\n"
    return out[:log_cap]


STAMPS = st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=12).map(sorted)
TEXTS = st.sampled_from([b"", b"x", b"same", b"twenty bytes of text", b"\xff\r\x00", b"y" * 70])


@given(STAMPS, st.data(), st.lists(st.integers(0, 6), max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
async def test_a_log_that_is_cut_says_exactly_what_is_missing(
    stamps: list[int], data: st.DataObject, cuts: list[int], chance: random.Random
) -> None:
    """Over ends of streams anywhere: nothing twice, nothing left out but what the mark says."""
    lines = [(stamp, data.draw(TEXTS) + b"\n") for stamp in stamps]
    whole = b"".join(text for _, text in lines)
    cap = data.draw(st.integers(1, len(whole) + 5))
    async with empty_store() as store:
        keeper = await keeper_of(store, cap, 1000)
        replay = await keeper.replay()
        for cut in [*cuts, None]:
            replay = await keeper.replay()
            since = (keeper.point.stamp_ns or 0) // SECOND * SECOND
            for batch in pieces([line for line in lines if line[0] >= since], chance)[:cut]:
                await keeper.take(*replay.fresh(*batch))
            await keeper.flush()
        assert replay.verified
        await keeper.finish(sure=True)
        text, begun = await stored(store)
        assert keeper.marked == (len(whole) > cap)
    if len(whole) <= cap:
        assert (text, begun) == (whole, len(lines))
        return
    kept = whole[:cap]
    missing, rest = whole[cap:], b"" if kept.endswith(b"\n") else b"\n"
    gone = missing.count(b"\n") - (1 if rest else 0)
    assert text == kept + rest + log_mark(cap, len(missing), gone, sure=True)
    assert begun == text.count(b"\n")


@given(STAMPS, st.data(), st.lists(st.integers(0, 6), max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
async def test_a_line_that_is_cut_says_at_its_end_what_is_missing(
    stamps: list[int], data: st.DataObject, cuts: list[int], chance: random.Random
) -> None:
    lines = [(stamp, data.draw(TEXTS) + b"\n") for stamp in stamps]
    lines[-1] = (lines[-1][0], lines[-1][1][: data.draw(st.integers(1, 80))])
    async with empty_store() as store:
        keeper = await keeper_of(store, 10**6, 10)
        for cut in [*cuts, None]:
            keeper = await keeper_of(store, 10**6, 10)  # a new one each time, as after a restart
            replay = await keeper.replay()
            since = (keeper.point.stamp_ns or 0) // SECOND * SECOND
            for batch in pieces([line for line in lines if line[0] >= since], chance)[:cut]:
                await keeper.take(*replay.fresh(*batch))
            await keeper.flush()
        await keeper.finish(sure=True)
        text, begun = await stored(store)
    assert text == kept_of(lines, 10**6, 10)
    assert begun == len(lines)


async def test_what_is_left_out_is_counted_on_after_a_restart_as_far_as_it_is_still_there(tmp_path: Path) -> None:
    store = SqlStore(tmp_path, clock=utc_now)
    await store.open()
    keeper = await keeper_of(store, 10, 1000)
    replay = await keeper.replay()
    await keeper.take(*replay.fresh(b"one\ntwo\nthree\nfour\n", [1, 2, 3, 4]))
    assert (await stored(store))[0] == b"one\ntwo\nth", "the cap is exact, and what it leaves out is not stored"
    keeper = await keeper_of(store, 10, 1000)
    replay = await keeper.replay()
    assert keeper.point.bytes == 10
    await keeper.take(*replay.fresh(b"one\ntwo\nthree\nfour\nfive\n", [1, 2, 3, 4, 5]))
    await keeper.finish(sure=True)
    text, _ = await stored(store)
    assert text == b"one\ntwo\nth\n" + log_mark(10, 14, 2, sure=True)
    keeper = await keeper_of(store, 10, 1000)
    assert keeper.marked, "it is not read again"
    await store.close()


async def test_a_log_that_is_as_long_as_its_cap_is_whole() -> None:
    async with empty_store() as store:
        keeper = await keeper_of(store, 8, 1000)
        replay = await keeper.replay()
        await keeper.take(*replay.fresh(b"one\ntwo\n", [1, 2]))
        await keeper.finish(sure=True)
        assert (await stored(store), keeper.marked) == ((b"one\ntwo\n", 2), False)


def test_a_mark_can_say_that_more_may_be_missing() -> None:
    assert log_mark(10, 4, 2, sure=False).startswith(b"[spark] log cut here after 10 bytes: at least 4 more bytes")


async def test_a_job_that_writes_more_than_the_cap(tmp_path: Path) -> None:
    """The state is right, the log says what is missing, and its own state says so as well."""
    lines = tuple(f"line {number:04d}" for number in range(500))
    cluster = FakeCluster(
        lambda _spec: Script(lines=lines, line_every=0.002, runs=1.2, log_faults=(LogFault(lines=300),))
    )
    async with bench(tmp_path, cluster, log_cap=1005, log_grace=10) as on:
        job = await on.ends(await on.submit())
        await on.closed()
        kept = b"".join(b"line %04d\n" % number for number in range(100)) + b"line "
        assert await on.log(job.id) == kept + b"\n" + log_mark(1005, 3995, 399, sure=True)
        log = (await on.service.get(job.id)).attempts[0].log
        assert (log.state, log.problem) == (LogState.INCOMPLETE, "after byte 1005: longer than the log cap")


async def test_a_job_that_writes_a_line_longer_than_its_cap(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(lines=("one", "x" * 90, "three"), runs=0.1, unfinished="y" * 50))
    async with bench(tmp_path, cluster, line_cap=20, log_grace=10) as on:
        job = await on.ends(await on.submit())
        await on.closed()
        marks = [line_mark(20, 70), line_mark(20, 30)]
        assert await on.log(job.id) == b"one\n%b%b\nthree\n%b%b\n" % (b"x" * 20, marks[0], b"y" * 20, marks[1])
        log = (await on.service.get(job.id)).attempts[0].log
        assert log.state is LogState.INCOMPLETE
        assert log.problem == "after byte 24: a line longer than 20 bytes was cut"


@pytest.mark.parametrize("known", ["after byte 7: a line longer than 20 bytes was cut", "rotated: gone", None])
async def test_a_restart_does_not_forget_what_was_in_doubt(tmp_path: Path, known: str | None) -> None:
    """Invariant 6."""
    cluster = FakeCluster(lambda _spec: Script(lines=("a",), runs=0.4, exit_code=3))
    async with bench(tmp_path, cluster, log_grace=10) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.attempts != [] and job.attempts[0].started_at is not None)
        if known is not None:
            [attempt] = await on.core.store.open_attempts()
            await on.core.store.note(attempt.key, AttemptChanges(log_problem=known))
    async with bench(tmp_path, cluster, log_grace=10) as on:
        job = await on.ends(job_id)
        log = job.attempts[0].log
        assert log.problem == known
        assert log.state is {"a": LogState.INCOMPLETE, "r": LogState.UNVERIFIED}.get(
            (known or " ")[0], LogState.COMPLETE
        )
