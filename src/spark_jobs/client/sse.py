"""Server-sent events, read from bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from spark_jobs.domain.errors import ServerUnreachable

LONGEST_LINE = 16 * 1024 * 1024


PLACE = "place"


class Event(msgspec.Struct, frozen=True):
    """One event; its name is ``message`` where none was given, and ``place`` where there is nothing but an id: where to go
    on should the stream break now."""

    name: str
    data: bytes
    event_id: str = ""


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """The events in a stream; comments are left out, and so is an event that the end of the stream cut off.

    Raises:
        ServerUnreachable: a line is longer than any that a Spark server sends.
    """
    name, event_id = "message", ""
    data: list[bytes] = []
    async for line in _lines(chunks):
        field, _, value = line.removesuffix(b"\r").partition(b":")
        value = value.removeprefix(b" ")
        if not line.strip():
            if data:
                yield Event(name, b"\n".join(data), event_id)
            elif event_id:
                yield Event(PLACE, b"", event_id)
            name, data, event_id = "message", [], ""
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
        elif field == b"id":
            event_id = value.decode("utf-8", "replace")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        if len(rest) > LONGEST_LINE:
            raise ServerUnreachable("what answers sends no events as a Spark server does")
        if b"\n" in chunk:
            *lines, tail = bytes(rest).split(b"\n")
            rest = bytearray(tail)
            for line in lines:
                yield line
