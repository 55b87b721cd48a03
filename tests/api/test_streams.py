"""Answers that go on: the next piece is made when the last was taken, and nothing goes on for who has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from spark_jobs.api import stream
from spark_jobs.api.stream import HungUp, StreamingAnswer, while_listening
from spark_jobs.domain.errors import JobNotFound, StoreUnavailable
from tests.api.asgi import PATIENCE, Exchange, Request

HEADERS = {"Content-Type": "text/plain"}


class Source:
    """Pieces on demand; remembers how many were made and whether it was closed."""

    def __init__(self, *pieces: bytes, then: Exception | None = None, endless: bool = False) -> None:
        self.made = 0
        self.closed = asyncio.Event()
        self._pieces = pieces
        self._then = then
        self._endless = endless

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self._pieces:
                self.made += 1
                yield piece
            if self._then is not None:
                raise self._then
            if self._endless:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


def exchange(source: Source, ping: bytes | None = None) -> Exchange:
    return Exchange(StreamingAnswer(source(), HEADERS, ping=ping), Request("GET", "/"))


async def closed(source: Source) -> None:
    async with asyncio.timeout(PATIENCE):
        await source.closed.wait()


async def test_pieces_come_as_they_are_and_end_properly() -> None:
    source = Source(b"a", b"bc")
    answer = exchange(source)
    assert (await answer.begun()).headers == {"content-type": "text/plain"}
    assert [piece async for piece in answer.pieces()] == [b"a", b"bc", b""]
    await answer.ended()
    assert source.closed.is_set()


async def test_a_reader_who_takes_nothing_makes_no_pieces() -> None:
    """Case 13: a slow reader costs no memory."""
    source = Source(*[b"x" * 1000] * 1000)
    answer = exchange(source)
    await answer.begun()
    for _ in range(5):
        await answer.message()
    assert source.made <= 8
    answer.hang_up()
    await answer.rest_or_gone()
    await closed(source)
    assert source.made < 20


async def test_a_reader_who_hangs_up_ends_the_pieces() -> None:
    source = Source(b"a", endless=True)
    answer = exchange(source)
    await answer.begun()
    assert (await answer.message())["body"] == b"a"
    answer.hang_up()
    await answer.ended()
    assert source.closed.is_set()


async def test_a_reader_who_hangs_up_before_anything_came_ends_the_pieces() -> None:
    source = Source(endless=True)
    answer = exchange(source)
    await answer.begun()
    answer.hang_up()
    await answer.ended()
    assert source.closed.is_set()


async def test_an_error_before_the_first_piece_still_gets_a_status() -> None:
    source = Source(then=JobNotFound("there is none"))
    with pytest.raises(JobNotFound):
        await exchange(source).begun()
    assert source.closed.is_set()


async def test_a_later_error_never_looks_like_an_end() -> None:
    source = Source(b"half", then=StoreUnavailable("disk full"))
    answer = exchange(source)
    await answer.begun()
    assert (await answer.message())["body"] == b"half"
    with pytest.raises(StoreUnavailable):
        await answer.message()
    assert source.closed.is_set()


async def test_a_silent_stream_says_that_it_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_EVERY", 0.01)
    answer = exchange(Source(b"a", endless=True), ping=b": ping\n\n")
    await answer.begun()
    assert [(await answer.message())["body"] for _ in range(3)] == [b"a", b": ping\n\n", b": ping\n\n"]
    answer.hang_up()
    await answer.rest_or_gone()


async def test_a_cancelled_answer_closes_its_pieces() -> None:
    source = Source(b"a", endless=True)
    answer = exchange(source)
    await answer.begun()
    answer.task.cancel()
    await asyncio.wait({answer.task})
    await closed(source)
    assert answer.task.cancelled()


async def test_work_is_cancelled_for_a_caller_who_hangs_up() -> None:
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    async def receive() -> Any:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(HungUp):
        await while_listening(receive, work())
    assert cancelled.is_set()


async def test_work_gives_its_result_or_its_error() -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    async def fails() -> None:
        raise JobNotFound("none")

    async def works() -> int:
        return 5

    assert await while_listening(receive, works()) == 5
    with pytest.raises(JobNotFound):
        await while_listening(receive, fails())
