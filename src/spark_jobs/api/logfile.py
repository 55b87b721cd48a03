"""A log over HTTP as one thing with a beginning and an end: as text or as JSON lines, whole or a range of it, packed or not."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

import msgspec

from spark_jobs.api.loglines import gathered, log_lines, stamped
from spark_jobs.api.packing import Packing
from spark_jobs.api.stream import StreamingAnswer, closing
from spark_jobs.domain.errors import AttemptNotFound, RangeNotSatisfiable
from spark_jobs.service import JobService, LogExtent, LogPart, LogPiece

TEXT = "text/plain"
JSON_LINES = "application/x-ndjson"
_BLOCK = 16 * 1024  # bytes handed on at once, about
_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,40})\s*-\s*([0-9]{0,40})\s*", re.IGNORECASE)


class LogFile:
    """A part of a job's log that is asked for in one request."""

    def __init__(self, service: JobService, job_id: str, part: LogPart, packing: Packing, *, lines: bool) -> None:
        """``lines``: as JSON lines."""
        self._service = service
        self._job_id = job_id
        self._part = part
        self._packing = packing
        self._lines = lines

    async def answer(self, asked: Mapping[str, str], *, download: bool) -> StreamingAnswer:
        """The answer to a request with these headers. Raises AttemptNotFound, RangeNotSatisfiable."""
        part, lines = self._part, self._lines
        alone = not part.follow and not part.all_attempts
        extent = await self._service.log_extent(self._job_id, part.attempt) if alone else None
        headers = {
            "Content-Type": JSON_LINES if lines else f"{TEXT}; charset=utf-8",
            "Vary": "Accept, Accept-Encoding, Origin",
        }
        if download:
            name = _file_name(self._job_id, extent.attempt if extent else part.attempt, lines=lines)
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        packable = not part.follow and "range" not in asked
        coding = self._packing.coding(asked.get("accept-encoding", "")) if packable else None
        if extent is not None and not extent.awaited and coding is None and not lines and _is_whole(part):
            return self._known(extent, asked, headers)
        wanted = msgspec.structs.replace(part, timestamps=part.timestamps or lines)
        pieces = self._service.logs(self._job_id, wanted)
        data = json_lines(pieces) if lines else text(pieces, timestamps=part.timestamps)
        if coding is None:
            return StreamingAnswer(data, headers)
        return StreamingAnswer(self._packing.packed(coding, data), {**headers, "Content-Encoding": coding})

    def _known(self, extent: LogExtent, asked: Mapping[str, str], headers: dict[str, str]) -> StreamingAnswer:
        """The answer where it is known what there is: with its length, and in parts for those who ask for one."""
        tag = f'"{extent.version}"'
        headers |= {"Accept-Ranges": "bytes", "ETag": tag}
        status, first, end = 200, 0, extent.bytes
        if asked.get("if-range", tag) == tag and (wanted := byte_range(asked.get("range", ""), extent.bytes)):
            status, (first, end) = 206, wanted
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{extent.bytes}"
        headers["Content-Length"] = str(end - first)
        part = LogPart(attempt=extent.attempt, offset=first)
        data = exactly(text(self._service.logs(self._job_id, part)), end - first)
        return StreamingAnswer(data, headers, status=status)


def _is_whole(part: LogPart) -> bool:
    """Whether the log is asked for as it is stored, from its first byte on."""
    return not part.timestamps and part.offset == 0 and part.tail is None and part.since is None


def _file_name(job_id: str, attempt: int | None, *, lines: bool) -> str:
    return f"{job_id}{'' if attempt is None else f'-{attempt}'}.{'jsonl' if lines else 'log'}"


def byte_range(asked: str, size: int) -> tuple[int, int] | None:
    """The first byte that a ``Range`` header wants of ``size`` bytes, and the one after the last; null for one that is to be
    ignored: none, of another unit, of several parts, or one that can't be read.

    Raises:
        RangeNotSatisfiable: there is nothing in that range.
    """
    match = _RANGE.fullmatch(asked)
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        first, end = max(0, size - int(match[2])), size
    else:
        first, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
        if match[2] and int(match[2]) < first:
            return None
    if first >= size or first >= end:
        raise RangeNotSatisfiable(f"the log has {size} bytes, and none of them is in that range", size=size)
    return first, end


async def text(pieces: AsyncIterator[LogPiece], *, timestamps: bool = False) -> AsyncGenerator[bytes, None]:
    """The bytes, as stored; with ``timestamps``, each line's time before it.

    Without, each byte has its place, by which readers go on after a lost connection: where stored bytes can't be read any
    more, zeros and a newline come before the line that says so.
    """
    place = 0
    async with closing(pieces):
        async for piece in pieces:
            chunk = piece.chunk
            if not chunk.data:
                place = chunk.offset
                continue
            if not timestamps:
                for filler in _filler(chunk.offset - place):
                    yield filler
            place = chunk.offset + len(chunk.data)
            yield stamped(chunk) if timestamps else chunk.data


def _filler(size: int) -> Iterator[bytes]:
    while size > _BLOCK:
        yield bytes(_BLOCK)
        size -= _BLOCK
    if size:
        yield bytes(size - 1) + b"\n"


async def json_lines(pieces: AsyncIterator[LogPiece]) -> AsyncGenerator[bytes, None]:
    """A line of JSON for each line of the log."""
    async with closing(pieces):
        async for piece in pieces:
            for block in gathered(msgspec.json.encode(line) + b"\n" for line, _ in log_lines(piece)):
                yield block


async def exactly(data: AsyncGenerator[bytes, None], size: int) -> AsyncGenerator[bytes, None]:
    """The first ``size`` bytes, though there may be more meanwhile. Raises AttemptNotFound where there are fewer."""
    left = size
    async with closing(data):
        # Nothing is read for nothing: an attempt that has not begun yet can't be.
        while left:
            piece = (await anext(data, b""))[:left]
            if not piece:
                break
            yield piece
            left -= len(piece)
    if left:
        raise AttemptNotFound("the log was deleted while it was read")
