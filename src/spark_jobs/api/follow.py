"""Routes that go on for as long as there is something to tell: logs and events."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial

from litestar import get
from litestar.types import ASGIApp

from spark_jobs.api import sse
from spark_jobs.api.loglines import stamped
from spark_jobs.api.query import LARGEST
from spark_jobs.api.reading import PARAMETERS, LogPart, read_on, read_part
from spark_jobs.api.routing import ApiRequest, about, backend_of, job_id_of, read_query
from spark_jobs.api.stream import StreamingAnswer, closing
from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.job import Job
from spark_jobs.service import JobService, LogPiece

TEXT = "text/plain; charset=utf-8"
_LAST = "last-event-id"
_EVENT_ID = re.compile(r"[0-9]{1,19}")
_LOG_ID = re.compile(r"([0-9]{1,9})-([0-9]{1,19})")


@get(
    "/v1/jobs/{job_id:str}/logs",
    opt=about(
        "job_not_found",
        "attempt_not_found",
        query=PARAMETERS,
        headers=("Last-Event-ID",),
        streams=("text/plain", sse.MEDIA_TYPE),
    ),
)
async def logs(request: ApiRequest) -> ASGIApp:
    """The log of an attempt, by default the latest: as text, byte for byte, or as server-sent events for those who
    accept `text/event-stream`."""
    service = backend_of(request).service
    part = read_part(read_query(request), backend_of(request).settings.clock())
    job_id = job_id_of(request)
    await service.get(job_id)
    as_events = sse.MEDIA_TYPE in request.headers.get("accept", "")
    last = request.headers.get(_LAST)
    if not as_events:
        pieces = part.read(service, job_id)
        return StreamingAnswer(_text(pieces, timestamps=part.timestamps), {"Content-Type": TEXT})
    resumed = read_on(service, job_id, _log_place(last, part)) if last is not None else part.read(service, job_id)
    return sse.answer(sse.log_events(resumed, partial(_end, service, job_id)))


@get("/v1/events", opt=about("events_gone", query=("after",), headers=("Last-Event-ID",), streams=(sse.MEDIA_TYPE,)))
async def all_events(request: ApiRequest) -> ASGIApp:
    """Changes of all jobs, from now on or after a sequence number."""
    return sse.answer(sse.job_events(backend_of(request).service.events(after=_after(request))))


@get(
    "/v1/jobs/{job_id:str}/events",
    opt=about("job_not_found", "events_gone", query=("after",), headers=("Last-Event-ID",), streams=(sse.MEDIA_TYPE,)),
)
async def events_of_job(request: ApiRequest) -> ASGIApp:
    """Changes of one job, from now on or after a sequence number."""
    after = _after(request)
    service, job_id = backend_of(request).service, job_id_of(request)
    await service.get(job_id)
    return sse.answer(sse.job_events(service.events(after=after, job_id=job_id)))


ROUTES = (logs, all_events, events_of_job)


async def _text(pieces: AsyncIterator[LogPiece], *, timestamps: bool) -> AsyncGenerator[bytes, None]:
    async with closing(pieces):
        async for piece in pieces:
            yield stamped(piece.chunk) if timestamps else piece.chunk.data


async def _end(service: JobService, job_id: str) -> Job | None:
    """The job for the last event; null when the log stopped only because the server does: the reader comes back."""
    return None if service.draining else await service.get(job_id)


def _after(request: ApiRequest) -> int | None:
    query = read_query(request)
    after = query.whole("after")
    query.done()
    last = request.headers.get(_LAST)
    if last is None:
        return after
    # A browser that reconnects sends the header with the address it began with: the header is newer.
    if not _EVENT_ID.fullmatch(last) or int(last) > LARGEST:
        raise InvalidSpec([Fault("Last-Event-ID", "must be the id of an event of this stream, a number", "invalid")])
    return int(last)


def _log_place(last: str, part: LogPart) -> LogPart:
    """Where the log goes on after the last event."""
    match = _LOG_ID.fullmatch(last)
    if match is None or int(match.group(2)) > LARGEST:
        raise InvalidSpec([Fault("Last-Event-ID", "must be the id of an event of this log: ATTEMPT-OFFSET", "invalid")])
    return LogPart(attempt=int(match.group(1)), offset=int(match.group(2)), follow=part.follow)
