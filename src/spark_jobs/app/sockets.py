"""Sockets to listen on, and what they are called."""

from __future__ import annotations

import socket
from typing import Any

from spark_jobs.domain.errors import SettingError


def listener(host: str, port: int, setting: str, *, otherwise: str) -> socket.socket:
    """A bound socket, before anything else is started, so that a port in use costs nothing.

    Raises:
        SettingError: of ``setting``, with ``otherwise`` as what to write there instead.
    """
    family, address = resolved(host, port)
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        found.close()
        flag = f"--{setting.replace('_', '-')}"
        text = f"can't listen on {host} port {port}: {error.strerror}; choose another one with {flag} ({otherwise})"
        raise SettingError(text, setting=setting) from error
    return found


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
