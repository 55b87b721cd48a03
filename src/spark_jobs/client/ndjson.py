"""What a search finds, read from lines of JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from spark_jobs.client.problems import Problem, error_of
from spark_jobs.domain.errors import ServerUnreachable, SparkError
from spark_jobs.domain.search import LogMatch, SearchProgress

MEDIA_TYPE = "application/x-ndjson"
LONGEST_LINE = 16 * 1024 * 1024


class _Line(msgspec.Struct):
    match: LogMatch | None = None
    progress: SearchProgress | None = None
    end: SearchProgress | None = None
    error: Problem | None = None


_decode = msgspec.json.Decoder(_Line).decode


async def read_found(chunks: AsyncIterator[bytes]) -> AsyncIterator[LogMatch | SearchProgress]:
    """What stands in the lines, to the one that ends them; what this version does not know is left out.

    Raises:
        ServerUnreachable: it ended without that line, or is not what a Spark server sends. SparkError: the server's own.
    """
    async for text in _lines(chunks):
        try:
            line = _decode(text)
        except msgspec.MsgspecError:
            raise _no_search() from None
        if line.error is not None:
            raise error_of(line.error, SparkError, 1.0)
        if line.end is not None:
            yield line.end
            return
        item = line.match or line.progress
        if item is not None:
            yield item
    raise ServerUnreachable("the server broke the stream off")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        if len(rest) > LONGEST_LINE:
            raise _no_search()
        if b"\n" in chunk:
            *lines, tail = bytes(rest).split(b"\n")
            rest = bytearray(tail)
            for line in lines:
                yield line


def _no_search() -> ServerUnreachable:
    return ServerUnreachable("what answers does not search as a Spark server does")
