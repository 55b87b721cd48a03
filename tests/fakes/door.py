"""Lets a scripted API server listen on the loopback."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.fakes.api_server import ApiServer


class Door:
    """Where the server listens; it can be shut and opened again, at the same port."""

    def __init__(self, api: ApiServer, runner: web.AppRunner, tls: ssl.SSLContext | None) -> None:
        self._api = api
        self._runner = runner
        self._tls = tls
        self._site: web.TCPSite | None = None
        self.port = 0

    async def open(self) -> None:
        """Listen."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await self._site.start()
        self.port = self._runner.addresses[0][1]
        self._api.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def shut(self) -> None:
        """Refuse connections, and break those that there are."""
        if self._site is not None:
            await self._site.stop()
        self._api.cut()


@asynccontextmanager
async def listening(api: ApiServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Door]:
    """Let it listen on a free port of the loopback; how to stop that for a while."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", api.handle)
    app.on_response_prepare.append(api.date)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    door = Door(api, runner, tls)
    await door.open()
    try:
        yield door
    finally:
        await api.close()
        await runner.cleanup()


@asynccontextmanager
async def serve(api: ApiServer) -> AsyncIterator[ApiServer]:
    """Let it listen on a free port of the loopback."""
    async with listening(api):
        yield api
