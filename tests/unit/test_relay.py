"""The relay of the tests: what it passes, holds back and resets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.relay import Relay, through


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """A relay to a server that answers every line with the same line."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
        except ConnectionError:
            pass  # reset by the relay
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        made = Relay("127.0.0.1", server.sockets[0].getsockname()[1])
        yield made
        await asyncio.to_thread(made.close)


class Peer:
    """A client of the relay."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def of(cls, relay: Relay) -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", relay.port))

    def say(self, line: bytes) -> None:
        self._writer.write(line)

    async def hear(self, seconds: float = 10) -> bytes:
        async with asyncio.timeout(seconds):
            return await self._reader.readline()

    def leave(self) -> None:
        self._writer.close()


async def test_what_is_frozen_is_held_back_and_comes_after_all(relay: Relay) -> None:
    old = await Peer.of(relay)
    old.say(b"1\n")
    assert await old.hear() == b"1\n"
    await asyncio.to_thread(relay.freeze)
    old.say(b"2\n")
    new = await Peer.of(relay)
    new.say(b"3\n")
    for peer in (old, new):
        with pytest.raises(TimeoutError):
            await peer.hear(0.2)
    await asyncio.to_thread(relay.pass_)
    assert (await old.hear(), await new.hear()) == (b"2\n", b"3\n")
    old.leave()
    new.leave()


async def test_what_is_cut_is_reset_and_so_is_what_comes_meanwhile(relay: Relay) -> None:
    old = await Peer.of(relay)
    old.say(b"1\n")
    await old.hear()
    await asyncio.to_thread(relay.cut)
    with pytest.raises(ConnectionResetError):
        await old.hear()
    with pytest.raises(ConnectionResetError):
        await (await Peer.of(relay)).hear()
    await asyncio.to_thread(relay.pass_)
    again = await Peer.of(relay)
    again.say(b"2\n")
    assert await again.hear() == b"2\n"
    for peer in (old, again):
        peer.leave()


async def test_a_frozen_connection_can_be_cut(relay: Relay) -> None:
    peer = await Peer.of(relay)
    peer.say(b"1\n")
    await peer.hear()
    await asyncio.to_thread(relay.freeze)
    peer.say(b"2\n")
    await asyncio.to_thread(relay.cut)
    with pytest.raises(ConnectionResetError):
        await peer.hear()
    peer.leave()
    assert await asyncio.to_thread(relay.open) == 0


async def test_a_kubeconfig_through_the_relay_keeps_the_servers_name(relay: Relay) -> None:
    written = {"clusters": [{"name": "a", "cluster": {"server": "https://kube.example:6443"}}], "users": []}
    changed = through(relay, written)
    cluster = {"server": f"https://127.0.0.1:{relay.port}", "tls-server-name": "kube.example"}
    assert changed == {"clusters": [{"name": "a", "cluster": cluster}], "users": []}
    assert written["clusters"] == [{"name": "a", "cluster": {"server": "https://kube.example:6443"}}]
