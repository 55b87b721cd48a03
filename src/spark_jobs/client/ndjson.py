"""Logs, and what a search finds in them, read from lines of JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from spark_jobs.client.link import LogBytes, LogPart
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


class _LogLine(msgspec.Struct):
    attempt: int
    offset: int
    time: str | None = None
    text: str | None = None
    raw: bytes | None = msgspec.field(default=None, name="bytes")

    @property
    def line(self) -> bytes:
        """The line itself."""
        return self.text.encode() if self.text is not None else self.raw or b""

    @property
    def end(self) -> int:
        """The byte after it."""
        return self.offset + len(self.line)

    def shown(self) -> bytes:
        """The line with its time before it."""
        return f"{self.time} ".encode() + self.line if self.time else self.line


_decode = msgspec.json.Decoder(_Line).decode
_log_line = msgspec.json.Decoder(_LogLine)


async def read_found(chunks: AsyncIterator[bytes]) -> AsyncIterator[LogMatch | SearchProgress]:
    """What stands in the lines, to the one that ends them; what this version does not know is left out.

    Raises:
        ServerUnreachable: it ended without that line, or is not what a Spark server sends. SparkError: the server's own.
    """
    async for block in whole_lines(chunks):
        for text in block[:-1].split(b"\n"):
            try:
                line = _decode(text)
            except msgspec.MsgspecError:
                raise _not_ours() from None
            if line.error is not None:
                raise error_of(line.error, SparkError, 1.0)
            if line.end is not None:
                yield line.end
                return
            item = line.match or line.progress
            if item is not None:
                yield item
    raise ServerUnreachable("the server broke the stream off")


async def read_log(chunks: AsyncIterator[bytes], part: LogPart) -> AsyncIterator[LogBytes]:
    """Lines of a log as they are to be shown, as many at once as come.

    Raises:
        ServerUnreachable: this is not what a Spark server sends.
    """
    async for block in whole_lines(chunks):
        try:
            if part.json:
                last = _log_line.decode(block[block.rfind(b"\n", 0, -1) + 1 :])
                yield LogBytes(last.attempt, block, last.end)
            else:
                lines = _log_line.decode_lines(block)
                yield LogBytes(lines[-1].attempt, b"".join([line.shown() for line in lines]), lines[-1].end)
        except msgspec.MsgspecError:
            raise _not_ours() from None


async def whole_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes, cut at ends of lines; what follows the last of those is left out."""
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        if len(rest) > LONGEST_LINE:
            raise _not_ours()
        if b"\n" in chunk:
            end = rest.rindex(b"\n") + 1
            yield bytes(rest[:end])
            del rest[:end]


def _not_ours() -> ServerUnreachable:
    return ServerUnreachable("what answers sends no lines as a Spark server does")
