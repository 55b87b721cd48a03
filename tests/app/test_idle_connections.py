"""A connection that waits for its next request: who lets it go first."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import Any

from tests.api.served import answer_head, request, serving
from tests.fakes.hurry import hurried

LONGEST_POOL = 90.0
"""Seconds for which Go's HTTP client keeps an idle connection; other clients and proxies keep theirs less long."""


async def _empty(_scope: Any, _receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Answers with nothing."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@hurried(200.0)
async def test_a_client_finds_its_idle_connection_open_for_as_long_as_it_keeps_it() -> None:
    """A server that closes it at the same time does so beneath a request, which then is reset."""
    async with serving(_empty) as served:
        reader, writer = await served.connect()
        for idle in (LONGEST_POOL, 0.0):
            writer.write(request("GET", "/"))
            status, _ = await answer_head(reader)
            assert status == 204
            await sleep(idle)
        writer.close()
        await writer.wait_closed()
