"""When a follow is given up, and when it can no longer be called gapless. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from spark_jobs.cluster.base import LogLines
from spark_jobs.engine.following import SILENT_REOPEN, Lag, batches

pytestmark = pytest.mark.looptime

MIB = 1024 * 1024


class Source:
    """A stream that gives what is put in, until it is closed."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[LogLines | None] = asyncio.Queue()
        self.closed = False

    def put(self, text: bytes, stamp: int) -> None:
        self.queue.put_nowait(LogLines(data=text, stamps=(stamp,)))

    async def stream(self) -> AsyncGenerator[LogLines]:
        try:
            while (lines := await self.queue.get()) is not None:
                yield lines
        finally:
            self.closed = True


def now() -> float:
    return asyncio.get_running_loop().time()


async def collect(source: Source, ended: asyncio.Event | None, lag: Lag) -> bytes:
    taken = b""
    async for batch in batches(source.stream(), ended, lag):
        lag.note(batch.stamps, len(batch.data), len(taken))
        taken += batch.data
    return taken


async def test_a_plain_read_goes_to_the_end_of_its_stream() -> None:
    source = Source()
    source.put(b"a\n", 1)
    source.put(b"b\n", 2)
    source.queue.put_nowait(None)
    assert await collect(source, None, Lag(now)) == b"a\nb\n"


async def test_a_follow_that_keeps_up_is_closed_as_soon_as_the_container_is_over() -> None:
    source, ended = Source(), asyncio.Event()
    source.put(b"a\n", 0)
    reading = asyncio.create_task(collect(source, ended, Lag(now)))
    asyncio.get_running_loop().call_later(5, ended.set)
    assert await reading == b"a\n"
    assert now() == pytest.approx(5)
    assert source.closed


async def test_a_follow_that_is_behind_drains_first() -> None:
    source, ended, lag = Source(), asyncio.Event(), Lag(now)
    ended.set()
    source.put(b"a\n", 0)
    lag.seconds = 1.5
    lag.note = lambda *_: None  # type: ignore[method-assign]  # keeps the lag as it is
    reading = asyncio.create_task(collect(source, ended, lag))
    asyncio.get_running_loop().call_later(0.9, source.put, b"b\n", 0)
    assert await reading == b"a\nb\n"
    assert now() == pytest.approx(1.9)


async def test_a_follow_in_the_midst_of_a_long_line_drains_first() -> None:
    source, ended, lag = Source(), asyncio.Event(), Lag(now)
    ended.set()
    lag.note([], 1000, 0)
    reading = asyncio.create_task(collect(source, ended, lag))
    asyncio.get_running_loop().call_later(0.5, source.put, b"rest\n", 0)
    assert await reading == b"rest\n"
    assert now() == pytest.approx(0.5), "it has caught up with the line after it"


async def test_a_silent_stream_is_opened_again_after_five_minutes() -> None:
    assert await collect(Source(), asyncio.Event(), Lag(now)) == b""
    assert now() == pytest.approx(SILENT_REOPEN)


def test_lag_is_counted_from_the_smallest_one_seen() -> None:
    clock = iter([1000.0, 1001.0, 1005.0])
    lag = Lag(lambda: next(clock))
    lag.note([int(900e9)], 1, 0)
    assert lag.seconds == 0
    lag.note([int(901e9)], 1, 1)
    assert lag.seconds == 0
    lag.note([int(902e9)], 1, 2)
    assert lag.seconds == pytest.approx(3)


def test_only_much_output_read_far_behind_casts_doubt_from_where_that_began() -> None:
    clock = iter([100.0, 103.0, 104.0, 105.0, 105.0, 110.0])
    lag = Lag(lambda: next(clock))
    assert lag.note([int(100e9)], MIB, 0) is None
    assert lag.note([int(100.5e9)], MIB, MIB) is None
    assert lag.note([int(101e9)], 1, 2 * MIB) == MIB
    assert lag.note([int(104.9e9)], MIB, 2 * MIB + 1) is None, "it has caught up"
    assert lag.note([int(102e9)], MIB, 3 * MIB + 1) is None
    assert lag.note([int(103e9)], 1, 4 * MIB + 1) == 3 * MIB + 1
