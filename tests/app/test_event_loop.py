"""What the server's event loop tells of errors that nobody caught."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from spark_jobs.app.event_loop import loop_factory


class Closing(asyncio.Protocol):
    """Tells when its connection is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is."""
        self.closed.set()


def write_to_closed(loop: asyncio.AbstractEventLoop) -> RuntimeError:
    """The refusal of a uvloop transport that was closed, in its own words."""

    async def run() -> RuntimeError:
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            transport, protocol = await loop.create_connection(Closing, *server.sockets[0].getsockname())
            transport.abort()
            await protocol.closed.wait()
            with pytest.raises(RuntimeError) as caught:
                transport.write(b"late")
            return caught.value

    return loop.run_until_complete(run())


def broken(_: asyncio.AbstractEventLoop) -> RuntimeError:
    return RuntimeError("dictionary changed size during iteration")


@pytest.mark.parametrize(("makes", "level"), [(write_to_closed, logging.INFO), (broken, logging.ERROR)])
def test_only_a_write_to_a_closed_connection_is_no_error(
    makes: Callable[[asyncio.AbstractEventLoop], RuntimeError], level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    factory = loop_factory()
    assert factory is not None
    loop = factory()
    try:
        error = makes(loop)
        loop.call_exception_handler({"message": "Fatal error on SSL protocol", "exception": error, "protocol": None})
    finally:
        loop.close()
    told = [
        record for record in caplog.records if "error on SSL" in record.message or "closed before" in record.message
    ]
    assert [record.levelno for record in told] == [level]
