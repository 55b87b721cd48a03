"""What a connection keeps for a reader who does not read, and how it is noticed that there is none any more."""

from __future__ import annotations

import socket
from contextlib import closing, suppress

from spark_jobs.app.sockets import UNSENT_BYTES, listener


def _pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection to a listener: the server's and the client's."""
    with closing(listener("127.0.0.1", 0, "port", otherwise="")) as listening:
        listening.listen()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listening.getsockname())
        return listening.accept()[0], client


def test_the_system_keeps_little_for_a_reader_who_does_not_read() -> None:
    """Linux alone would keep 4 MiB and more of each answer."""
    server, client = _pair()
    with server, client:
        server.setblocking(False)
        sent = 0
        with suppress(BlockingIOError):
            while sent < 64 * UNSENT_BYTES:
                sent += server.send(bytes(UNSENT_BYTES // 2))
        assert sent <= 4 * UNSENT_BYTES


def test_a_peer_that_is_gone_without_a_word_is_asked_for() -> None:
    server, client = _pair()
    with server, client:
        assert server.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
