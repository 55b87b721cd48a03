"""What every sink does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from spark_jobs.domain.errors import SinkUnavailable, StoreUnavailable
from tests.contract.sinks.stage import Stage, pieces
from tests.fakes.s3 import SECRET

NAME = "inst/2026/01/02/job/1.log.zst"
PIECE = random.Random(5).randbytes(1024 * 1024)


@pytest.mark.parametrize("count", [0, 1, 3, 12], ids=["nothing", "a piece", "some", "many MiB"])
async def test_what_is_put_is_there_byte_for_byte(stage: Stage, count: int) -> None:
    await stage.sink.put(NAME, pieces(*[PIECE] * count))
    assert stage.read(NAME) == PIECE * count
    assert (stage.names(), stage.unfinished()) == ([NAME], [])
    assert stage.sink.address(NAME).endswith(f"/{NAME}")


async def test_putting_it_again_replaces_it(stage: Stage) -> None:
    await stage.sink.put(NAME, pieces(b"a longer text"))
    await stage.sink.put(NAME, pieces(b"text"))
    assert stage.read(NAME) == b"text"
    assert stage.names() == [NAME]


async def test_deleting_takes_it_away_and_is_no_error_where_nothing_is(stage: Stage) -> None:
    await stage.sink.put(NAME, pieces(b"text"))
    await stage.sink.delete(NAME)
    await stage.sink.delete(NAME)
    assert stage.names() == []


@pytest.mark.parametrize("count", [1, 12], ids=["a piece", "many MiB"])
async def test_a_source_that_breaks_leaves_what_was_there(stage: Stage, count: int) -> None:
    await stage.sink.put(NAME, pieces(b"before"))

    async def breaking() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield PIECE
        raise StoreUnavailable("the disk is full")

    with pytest.raises(StoreUnavailable, match="disk"):
        await stage.sink.put(NAME, breaking())
    assert stage.read(NAME) == b"before"
    assert (stage.names(), stage.unfinished()) == ([NAME], [])


@pytest.mark.parametrize("count", [1, 12], ids=["a piece", "many MiB"])
async def test_a_cancelled_put_leaves_nothing(stage: Stage, count: int) -> None:
    handed_on, endless = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield PIECE
        handed_on.set()
        await endless.wait()
        yield PIECE

    putting = asyncio.create_task(stage.sink.put(NAME, slow()))
    await handed_on.wait()
    putting.cancel()
    endless.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert (stage.names(), stage.unfinished()) == ([], [])


@pytest.mark.parametrize("count", [1, 12], ids=["a piece", "many MiB"])
async def test_away_is_said_and_what_comes_back_works(stage: Stage, count: int) -> None:
    stage.go_away()
    with pytest.raises(SinkUnavailable) as raised:
        await stage.sink.put(NAME, pieces(*[PIECE] * count))
    assert SECRET not in raised.value.message
    assert "\n" not in raised.value.message
    stage.come_back()
    await stage.sink.put(NAME, pieces(b"text"))
    assert stage.read(NAME) == b"text"
