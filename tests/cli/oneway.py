"""A TCP relay in this event loop that can lose what a server says, and go away and come back with its port."""

from __future__ import annotations

import asyncio
from typing import Self


class OneWay:
    """Passes bytes between clients and the server at the port ``to``; while ``deaf``, what the server says is lost."""

    def __init__(self) -> None:
        self.to = 0
        self.deaf = False
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen on loopback, at the same port as before."""
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End all connections; new ones are refused."""
        if self._listener is not None:
            self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End all connections; later ones hear again."""
        self.deaf = False
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, far_writer]
        ways = self._pass(reader, far_writer, back=False), self._pass(far_reader, writer, back=True)
        await asyncio.gather(*ways, return_exceptions=True)
        for each in (writer, far_writer):
            each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool) -> None:
        while data := await reader.read(65536):
            if not (back and self.deaf):
                writer.write(data)
                await writer.drain()
        writer.close()
