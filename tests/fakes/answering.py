"""What a scripted API server can answer: handlers of single requests, right ones and faulty ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, message: str, reason: str = "", **headers: str) -> web.StreamResponse:
    """An error as Kubernetes words it."""
    body = {"kind": "Status", "code": code, "message": message, "reason": reason}
    return web.json_response(
        body, status=code, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def event(kind: str, item: Json) -> bytes:
    """One line of a watch; characters are not escaped, as Kubernetes does not."""
    return json.dumps({"type": kind, "object": item}, ensure_ascii=False).encode() + b"\n"


async def begin(request: web.Request) -> web.StreamResponse:
    """Open a stream."""
    response = web.StreamResponse()
    response.content_type = "text/plain" if request.path.endswith("/log") else "application/json"
    await response.prepare(request)
    return response


async def send(response: web.StreamResponse, data: bytes) -> None:
    """Send some bytes of a stream now."""
    await response.write(data)


def answers(code: int, message: str, reason: str = "", **headers: str) -> Handler:
    """A handler that answers with an error."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        return status(code, message, reason, **headers)

    return handler


def streams(*pieces: bytes, cut: bool = False, hold: asyncio.Event | None = None) -> Handler:
    """A handler that sends these bytes, then ends the stream: properly, or by cutting the connection. ``hold``: it
    stays silent before the end until this is set."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        for piece in pieces:
            await send(response, piece)
        if hold is not None:
            await hold.wait()
        if cut and request.transport is not None:
            request.transport.abort()
        return response

    return handler


async def hang_up(request: web.Request) -> web.StreamResponse:
    """A handler that cuts the connection instead of answering."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def late(seconds: float, answer: Handler) -> Handler:
    """A handler that lets so much time go by before it answers."""

    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await answer(request)

    return handler
