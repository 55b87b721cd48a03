"""Server-sent events: logs line by line, and changes of jobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator

import msgspec

from spark_jobs.api.loglines import gathered, log_lines
from spark_jobs.api.stream import StreamingAnswer, closing
from spark_jobs.api.wire import event_plain, job_plain, problem
from spark_jobs.domain.errors import SparkError
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.service import LogPiece

MEDIA_TYPE = "text/event-stream"
_PING = b": still here\n\n"


def answer(blocks: AsyncGenerator[bytes, None]) -> StreamingAnswer:
    """An answer of events, with a comment every 15 s so that nothing between takes the silence for an end."""
    return StreamingAnswer(blocks, {"Content-Type": MEDIA_TYPE, "X-Accel-Buffering": "no"}, ping=_PING)


async def log_events(
    pieces: AsyncIterator[LogPiece], at_end: Callable[[], Awaitable[Job | None]]
) -> AsyncGenerator[bytes, None]:
    """The log line by line. ``id`` is ATTEMPT-OFFSET of what comes next: where to go on after a lost connection; it stands
    alone where an attempt's log begins.

    The last event is ``end`` with the job that ``at_end`` gives, left out if it gives none.
    """
    begun = False
    try:
        async with closing(pieces):
            async for piece in pieces:
                for block in _log_blocks(piece):
                    begun = True
                    yield block
        job = await at_end()
        if job is not None:
            yield message(job_plain(job), event="end")
    except SparkError as error:
        if not begun:
            raise
        yield message(problem(error), event="error")


async def job_events(events: AsyncIterator[JobEvent], after: int) -> AsyncGenerator[bytes, None]:
    """Changes of jobs; ``id`` is the sequence number. It stands alone at first: what comes is newer than ``after``."""
    async with closing(events):
        yield place(str(after))
        async for event in events:
            yield message(event_plain(event), event_id=str(event.seq))


def place(event_id: str) -> bytes:
    """No event, but where to go on should the connection be lost before the first one."""
    return f"id: {event_id}\n\n".encode()


def message(data: object, *, event: str | None = None, event_id: str | None = None) -> bytes:
    """One event; JSON has no line breaks, so the data is one line."""
    head = f"event: {event}\n" if event else ""
    head += f"id: {event_id}\n" if event_id else ""
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


def _log_blocks(piece: LogPiece) -> Iterator[bytes]:
    if not piece.chunk.data:
        yield place(f"{piece.attempt}-{piece.chunk.offset}")
        return
    yield from gathered(message(line, event_id=f"{piece.attempt}-{end}") for line, end in log_lines(piece))
