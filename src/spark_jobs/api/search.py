"""The route that searches logs: lines of JSON as they are found, for as long as somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial

import msgspec
from litestar import get
from litestar.types import ASGIApp

from spark_jobs.api.incidents import told
from spark_jobs.api.routing import ApiRequest, about, backend_of, read_query
from spark_jobs.api.searching import PARAMETERS, found_in, read_search
from spark_jobs.api.stream import StreamingAnswer, closing, next_or_none, stopped
from spark_jobs.api.wire import Problem
from spark_jobs.domain.search import LogMatch, SearchProgress

MEDIA_TYPE = "application/x-ndjson"
_BLOCK = 64 * 1024
_HEADERS = {"Content-Type": MEDIA_TYPE, "X-Accel-Buffering": "no"}


@get("/v1/logs/search", opt=about("job_not_found", "too_many_searches", query=PARAMETERS, streams=(MEDIA_TYPE,)))
async def search_logs(request: ApiRequest) -> ASGIApp:
    """Search the stored logs, of the newest job first. Each line of the answer is one JSON object: `{"match": …}` for a
    line that was found, `{"progress": …}` every two seconds or so, and as the last `{"end": …}`, or `{"error": …}` with a
    problem where the search broke off. An answer without one of these two at its end is not whole."""
    backend = backend_of(request)
    search = read_search(read_query(request), backend.settings.clock())
    what = f"{request.method} {request.scope.get('path_template', '?')}"
    lines = _lines(found_in(backend.service, search), partial(told, backend.metrics, what))
    return StreamingAnswer(_blocks(lines), _HEADERS)


ROUTES = (search_logs,)


async def _lines(
    found: AsyncGenerator[LogMatch | SearchProgress, None], told: Callable[[Exception], Problem]
) -> AsyncGenerator[bytes, None]:
    begun = False
    end: SearchProgress | None = None
    try:
        async with closing(found):
            async for item in found:
                begun = True
                if isinstance(item, LogMatch):
                    yield _line("match", item)
                else:
                    end = item
                    yield _line("progress", item)
        yield _line("end", end)
    except Exception as error:
        if not begun:
            raise
        yield _line("error", told(error))


async def _blocks(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The lines, together where they come together: to send each alone would take longer than to find it."""
    block = bytearray()
    line: bytes | None = b""
    async with closing(lines):
        while line is not None:
            step = asyncio.create_task(next_or_none(lines))
            try:
                await asyncio.sleep(0)  # a turn, in which a line comes that is there
                if block and (len(block) >= _BLOCK or not step.done()):
                    yield bytes(block)
                    block.clear()
                line = await step
            finally:
                await stopped(step)
            block += line or b""
    if block:
        yield bytes(block)


def _line(name: str, content: msgspec.Struct | None) -> bytes:
    return msgspec.json.encode({name: content}) + b"\n"
