"""A TCP relay on loopback between a program and a server, which can pass, freeze and cut what goes through it.

It runs in a thread of its own, so that a test, blocking or not, can put it between two processes.
"""

from __future__ import annotations

import asyncio
import copy
import enum
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

_CHUNK = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

T = TypeVar("T")


class Mode(enum.Enum):
    """What happens to connections, those that are open and those to come."""

    PASS = "pass"
    FREEZE = "freeze"  # they stay open, and nothing goes through, neither way
    CUT = "cut"  # they are reset at once


class Relay:
    """Hands every connection to its port on to ``host:port``. Methods may be called from any thread."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._mode = Mode.PASS
        self._links: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._passing.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="relay")
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._accepted, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.accepted = 0

    @property
    def mode(self) -> Mode:
        """What it does now."""
        return self._mode

    def pass_(self) -> None:
        """Let everything through, what was held back first."""
        self._do(self._change(Mode.PASS))

    def freeze(self) -> None:
        """Hold everything back from now on, both ways; sockets stay open, and new ones are accepted."""
        self._do(self._change(Mode.FREEZE))

    def cut(self) -> None:
        """Reset every connection, and every new one until something else is asked for."""
        self._do(self._change(Mode.CUT))

    def open(self) -> int:
        """How many connections there are now."""
        return self._do(self._count())

    def close(self) -> None:
        """End it."""
        self._do(self._change(Mode.CUT))
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _count(self) -> int:
        return len(self._links)

    async def _end(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _change(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.PASS:
            self._passing.set()
        else:
            self._passing.clear()
        if mode is Mode.CUT:
            links = list(self._links)
            for link in links:
                link.cancel()
            await asyncio.gather(*links, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        ends = self._links[task] = [writer]
        try:
            if self._mode is not Mode.CUT:
                await self._passing.wait()
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                ends.append(far_writer)
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._pump(reader, far_writer))
                    ways.create_task(self._pump(far_reader, writer))
        except* (OSError, asyncio.CancelledError):
            # One side is gone, or all are to go: so is the other side.
            _reset(ends)
        finally:
            if self._mode is Mode.CUT:
                _reset(ends)
            for end in ends:
                end.close()
            del self._links[task]

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its sender is done. Raises OSError when one side is gone."""
        while part := await reader.read(_CHUNK):
            await self._passing.wait()
            writer.write(part)
            await writer.drain()
        await self._passing.wait()
        writer.write_eof()


def _reset(ends: list[asyncio.StreamWriter]) -> None:
    for end in ends:
        sock = end.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        end.transport.abort()


@contextmanager
def relay_to(host: str, port: int) -> Iterator[Relay]:
    """A relay for the time of a block."""
    relay = Relay(host, port)
    try:
        yield relay
    finally:
        relay.close()


def server_of(kubeconfig: dict[str, Any]) -> tuple[str, int]:
    """Host and port of the API server in a kubeconfig that names one cluster alone."""
    address = urlsplit(kubeconfig["clusters"][0]["cluster"]["server"])
    assert address.hostname is not None
    return address.hostname, address.port or 443


def through(relay: Relay, kubeconfig: dict[str, Any]) -> dict[str, Any]:
    """That kubeconfig with the relay as the server; its certificate is checked against the same name as before."""
    changed = copy.deepcopy(kubeconfig)
    cluster = changed["clusters"][0]["cluster"]
    cluster.setdefault("tls-server-name", server_of(kubeconfig)[0])
    cluster["server"] = f"https://127.0.0.1:{relay.port}"
    return changed
