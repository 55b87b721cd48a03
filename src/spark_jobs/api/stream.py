"""Answers that go on for as long as there is something to say and somebody who listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send  # the library streams, too, and does not load the framework

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

HEADERS_AFTER = 0.5  # seconds; an error that comes sooner still gets its own status
PING_EVERY = 15.0  # seconds


class HungUp(Exception):
    """The caller does not listen any more."""


class StreamingAnswer:
    """An ASGI response made of pieces. It asks for the next piece when the last one was taken, so that a slow reader
    costs no memory; it closes the pieces when they end, fail, or nobody reads any more.

    ``ping`` is sent whenever nothing else was for 15 s; null: never. An error before the first piece is raised; a later
    one ends the connection without a proper end, so that nobody takes what came for the whole.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        *,
        status: int = 200,
        ping: bytes | None = None,
    ) -> None:
        self._pieces = pieces
        self._status = status
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._ping = ping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        gone = asyncio.create_task(_hung_up(receive))
        try:
            async with contextlib.aclosing(self._pieces):
                await self._answer(gone, send)
        except HungUp:
            _log.debug("a reader hung up")
        finally:
            gone.cancel()

    async def _answer(self, gone: asyncio.Task[None], send: Send) -> None:
        step = self._next()
        try:
            await _settled(step, gone, HEADERS_AFTER)
            if step.done():
                step.result()  # raises what is wrong while there is still a status to say it with
            await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
            while (piece := await self._piece(step, gone)) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                if step.done():
                    step = self._next()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await stopped(step)

    async def _piece(self, step: asyncio.Task[bytes | None], gone: asyncio.Task[None]) -> bytes | None:
        """The next piece, null at the end, or a ping where neither comes in time."""
        await _settled(step, gone, PING_EVERY if self._ping is not None else None)
        return step.result() if step.done() else self._ping

    def _next(self) -> asyncio.Task[bytes | None]:
        return asyncio.create_task(next_or_none(self._pieces))


@contextlib.asynccontextmanager
async def closing(items: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """Close a generator at the end of the block, not when the garbage collector finds it."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


async def while_listening(receive: Receive, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of ``work``, which is cancelled when the caller hangs up first.

    Raises:
        HungUp: the caller did.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_hung_up(receive))
    try:
        await _settled(task, gone, None)
        return task.result()
    finally:
        gone.cancel()
        await stopped(task)


async def next_or_none(items: AsyncIterator[_T]) -> _T | None:
    """The next item, null at the end."""
    return await anext(items, None)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _settled(step: asyncio.Task[_T], gone: asyncio.Task[None], seconds: float | None) -> None:
    """Return when the step is done or the time is over; raise when the caller hangs up first."""
    await asyncio.wait({step, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if gone.done():
        raise HungUp


async def stopped(step: asyncio.Task[_T]) -> None:
    """Cancel the step if it is not done, and wait for its end."""
    step.cancel()
    await asyncio.wait({step})
    if not step.cancelled():
        step.exception()  # it was raised already, or the one it belongs to has gone
