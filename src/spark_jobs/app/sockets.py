"""Sockets to listen on, and what they are called."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from spark_jobs.domain.errors import SettingError

UNSENT_BYTES = 128 * 1024
"""So much of an answer waits in the system for a reader who does not keep up, beside what is on its way to them."""

WRITE_BUFFER = 32 * 1024
"""So much of it waits in this process before no more is asked for."""

_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}  # seconds, and how often


class HttpProtocol(HttpToolsProtocol):
    """A connection that holds little of what its reader has not taken yet."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Bound what is written ahead."""
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        super().connection_made(transport)


def listener(host: str, port: int, setting: str, *, otherwise: str) -> socket.socket:
    """A bound socket, before anything else is started, so that a port in use costs nothing.

    Raises:
        SettingError: of ``setting``, with ``otherwise`` as what to write there instead.
    """
    family, address = resolved(host, port)
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _set_up(found)
        found.bind(address)
    except OSError as error:
        found.close()
        flag = f"--{setting.replace('_', '-')}"
        text = f"can't listen on {host} port {port}: {error.strerror}; choose another one with {flag} ({otherwise})"
        raise SettingError(text, setting=setting) from error
    return found


def _set_up(listening: socket.socket) -> None:
    """For each connection that is made here: readers who are gone without a word are noticed, and slow ones cost little."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**_KEEPALIVE, "TCP_NOTSENT_LOWAT": UNSENT_BYTES}.items():
        option = getattr(socket, name, None)  # not every system has each
        if option is not None:
            listening.setsockopt(socket.IPPROTO_TCP, option, value)


def resolved(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """The address to bind to. Raises SettingError for a host that is none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise SettingError(f"can't listen on host {host}: {error.strerror}; see --host", setting="host") from error
    return family, address


def in_url(host: str) -> str:
    """The host as an address has it."""
    return f"[{host}]" if ":" in host else host
