"""Routes that go on for as long as there is something to tell: logs and events."""

from __future__ import annotations

import re
from functools import partial

from litestar import get
from litestar.types import ASGIApp
from msgspec import structs

from spark_jobs.api import sse
from spark_jobs.api.logfile import JSON_LINES, TEXT, LogFile
from spark_jobs.api.query import LARGEST
from spark_jobs.api.reading import PARAMETERS, read_on, read_part
from spark_jobs.api.routing import ApiRequest, about, backend_of, job_id_of, read_query
from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.job import Job
from spark_jobs.service import JobService, LogPart

_LAST = "last-event-id"
_EVENT_ID = re.compile(r"[0-9]{1,19}")
_LOG_ID = re.compile(r"([0-9]{1,9})-([0-9]{1,19})")


@get(
    "/v1/jobs/{job_id:str}/logs",
    opt=about(
        "job_not_found",
        "attempt_not_found",
        "range_not_satisfiable",
        query=(*PARAMETERS, "download"),
        headers=("Last-Event-ID", "Range", "If-Range"),
        also=206,
        streams=(TEXT, JSON_LINES, sse.MEDIA_TYPE),
    ),
)
async def logs(request: ApiRequest) -> ASGIApp:
    """The log of an attempt, by default the latest: as text, byte for byte, as JSON lines for those who accept
    `application/x-ndjson`, or as server-sent events for those who accept `text/event-stream`.

    Text that is not followed is packed for those who accept `gzip` or `zstd`, and a `Range` of a whole attempt's log can
    be asked for."""
    service = backend_of(request).service
    query = read_query(request)
    download = query.flag("download")
    part = read_part(query, backend_of(request).settings.clock())
    job_id = job_id_of(request)
    await service.get(job_id)
    form = request.accept.best_match([TEXT, JSON_LINES, sse.MEDIA_TYPE])
    if form != sse.MEDIA_TYPE:
        file = LogFile(service, job_id, part, backend_of(request).packing, lines=form == JSON_LINES)
        return await file.answer(request.headers, download=download)
    part, last = structs.replace(part, timestamps=True), request.headers.get(_LAST)
    if last is None:
        pieces = service.logs(job_id, part)
    else:
        # The place names an attempt as well, which is no wish to have that alone.
        place = _log_place(last, part)
        pieces = read_on(service, job_id, place) if part.attempt is None else service.logs(job_id, place)
    return sse.answer(sse.log_events(pieces, partial(_end, service, job_id)))


@get("/v1/events", opt=about("events_gone", query=("after",), headers=("Last-Event-ID",), streams=(sse.MEDIA_TYPE,)))
async def all_events(request: ApiRequest) -> ASGIApp:
    """Changes of all jobs, from now on or after a sequence number; after 0, all that are kept."""
    service, after = backend_of(request).service, _after(request)
    return await _events(service, after, None)


@get(
    "/v1/jobs/{job_id:str}/events",
    opt=about("job_not_found", "events_gone", query=("after",), headers=("Last-Event-ID",), streams=(sse.MEDIA_TYPE,)),
)
async def events_of_job(request: ApiRequest) -> ASGIApp:
    """Changes of one job, from now on or after a sequence number; the stream ends when the job is deleted."""
    after = _after(request)
    service, job_id = backend_of(request).service, job_id_of(request)
    await service.get(job_id)
    return await _events(service, after, job_id)


ROUTES = (logs, all_events, events_of_job)


async def _events(service: JobService, after: int | None, job_id: str | None) -> ASGIApp:
    begin = await service.event_place(after, job_id)
    return sse.answer(sse.job_events(service.events(after=begin, job_id=job_id), begin))


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
    attempt = int(match.group(1))
    if part.attempt not in {None, attempt}:
        text = f"is of attempt {attempt}, and `attempt` asks for {part.attempt}"
        raise InvalidSpec([Fault("Last-Event-ID", text, "contradictory")])
    return LogPart(
        attempt=attempt,
        offset=int(match.group(2)),
        follow=part.follow,
        all_attempts=part.all_attempts,
        timestamps=part.timestamps,
    )
