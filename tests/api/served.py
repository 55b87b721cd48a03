"""The real application behind a real server on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from spark_jobs.app.server import http_config

PATIENCE = 20.0


class Served:
    """A server that runs in this event loop."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.server = server
        self.port = port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A raw connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def idle(self) -> None:
        """Until no request is being answered."""
        async with asyncio.timeout(PATIENCE):
            while answering := set(self.server.server_state.tasks):
                await asyncio.wait(answering)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Served]:
    """Serve the app on a free port for as long as the block lasts."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(http_config(app, lifespan="off"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield Served(server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task


def request(method: str, target: str, *headers: str) -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


async def answer_head(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and head of the answer."""
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head.lower()
