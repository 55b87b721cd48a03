"""The link over REST."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import msgspec
from msgspec import structs

from spark_jobs.api.checks import checked_key
from spark_jobs.client.address import Address
from spark_jobs.client.link import READ_TIMEOUT, SILENCE, Begun, JobPage, LogBytes, LogPart, SpecLike, checked_id
from spark_jobs.client.ndjson import MEDIA_TYPE, read_found, read_log
from spark_jobs.client.problems import Problem, error_of
from spark_jobs.client.sse import PLACE, Event, read_events
from spark_jobs.client.transport import Answer, Transport
from spark_jobs.client.views import JobQuery, QueueStatus, SearchOptions, Submission
from spark_jobs.domain.errors import ServerUnreachable
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.search import LogMatch, SearchProgress

_TEXT = "text/plain, application/problem+json"
_EVENTS = "text/event-stream, application/problem+json"
_LINES = f"{MEDIA_TYPE}, application/problem+json"
_REPLAYED = "spark-replayed"
_PLACE = re.compile(r"([0-9]{1,9})-([0-9]{1,19})")
_T = TypeVar("_T")


class _Batch(msgspec.Struct):
    jobs: list[Job]
    replayed: list[str] = []


class RestLink:
    """See :class:`spark_jobs.client.link.Link`."""

    def __init__(self, address: Address) -> None:
        self._transport = Transport(address)

    @property
    def where(self) -> str:
        """The server's URL."""
        return self._transport.address.url

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def submit(self, spec: SpecLike, *, key: str, timeout: float) -> Submission:
        """See ``Link.submit``."""
        body, headers = msgspec.json.encode(spec), {"Idempotency-Key": checked_key(key, "Idempotency-Key")}
        answer = await self._transport.request("POST", "/v1/jobs", body=body, headers=headers, timeout=timeout)
        return Submission(self._decode(answer, Job), answer.headers.get(_REPLAYED) == "true")

    async def submit_batch(self, specs: Sequence[SpecLike], *, timeout: float) -> Sequence[Submission]:
        """See ``Link.submit_batch``."""
        body = msgspec.json.encode({"jobs": specs})
        answer = await self._transport.request("POST", "/v1/jobs/batch", body=body, timeout=timeout)
        batch = self._decode(answer, _Batch)
        return [Submission(job, job.id in batch.replayed) for job in batch.jobs]

    async def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """See ``Link.get``."""
        params: dict[str, str | list[str]] = {} if wait is None else {"wait": f"{wait:g}s"}
        timeout = READ_TIMEOUT + (wait or 0.0)
        answer = await self._transport.request("GET", _path(job_id), params=params, timeout=timeout)
        return self._decode(answer, Job)

    async def page(self, query: JobQuery, *, size: int, token: str | None) -> JobPage:
        """See ``Link.page``."""
        params = {**query.params(), "page_size": str(size)}
        if token is not None:
            params["page_token"] = token
        return self._decode(await self._transport.request("GET", "/v1/jobs", params=params), JobPage)

    async def cancel(self, job_id: str) -> Job:
        """See ``Link.cancel``."""
        return self._decode(await self._transport.request("POST", f"{_path(job_id)}/cancel"), Job)

    async def retry(self, job_id: str) -> Job:
        """See ``Link.retry``."""
        return self._decode(await self._transport.request("POST", f"{_path(job_id)}/retry"), Job)

    async def delete(self, job_id: str) -> None:
        """See ``Link.delete``."""
        await self._transport.request("DELETE", _path(job_id))

    async def queue(self) -> QueueStatus:
        """See ``Link.queue``."""
        return self._decode(await self._transport.request("GET", "/v1/queue"), QueueStatus)

    async def set_paused(self, paused: bool) -> QueueStatus:
        """See ``Link.set_paused``."""
        path = "/v1/queue/pause" if paused else "/v1/queue/resume"
        return self._decode(await self._transport.request("POST", path), QueueStatus)

    async def log(self, job_id: str, part: LogPart) -> AsyncGenerator[LogBytes, None]:
        """See ``Link.log``. Where the server is to pick the beginning it is asked for that first, so that it is known how far
        what follows has come."""
        if part.tail is not None or part.since is not None:
            place = await self._place(job_id, part)
            if place is None:
                return
            yield place
            part = structs.replace(part, attempt=place.attempt, offset=place.end, tail=None, since=None)
        read, accept = (read_log, _LINES) if part.timestamps or part.json else (_text, _TEXT)
        async with self._log(job_id, part, accept) as data:
            async for piece in read(data, part):
                yield piece

    async def _place(self, job_id: str, part: LogPart) -> LogBytes | None:
        """Where a part begins, once it does; null for one that never will. Events say so before anything else."""
        async with self._log(job_id, part, _EVENTS) as data:
            async for event in _messages(data):
                if event.name == PLACE and (place := _PLACE.fullmatch(event.event_id)):
                    return LogBytes(int(place[1]), b"", int(place[2]))
        return None

    def _log(self, job_id: str, part: LogPart, accept: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._transport.stream(f"{_path(job_id)}/logs", _params(part), accept=accept, read_timeout=SILENCE)

    async def search(self, pattern: str, options: SearchOptions) -> AsyncGenerator[LogMatch | SearchProgress, None]:
        """See ``Link.search``."""
        params = options.params(pattern)
        async with self._transport.stream("/v1/logs/search", params, accept=_LINES, read_timeout=SILENCE) as data:
            async for item in read_found(data):
                yield item

    async def events(self, job_id: str | None, after: int | None) -> AsyncGenerator[JobEvent | Begun, None]:
        """See ``Link.events``."""
        path = "/v1/events" if job_id is None else f"{_path(job_id)}/events"
        params = {} if after is None else {"after": str(after)}
        async with self._transport.stream(path, params, accept=_EVENTS, read_timeout=SILENCE) as data:
            async for event in _messages(data):
                if event.name != PLACE:
                    yield msgspec.json.decode(event.data, type=JobEvent)
                elif event.event_id.isdecimal():
                    yield Begun(int(event.event_id))

    def _decode(self, answer: Answer, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.MsgspecError:
            text = f"{self.where} answers, but not as this version of Spark expects; is it a Spark server?"
            raise ServerUnreachable(text) from None


def _path(job_id: str) -> str:
    return f"/v1/jobs/{checked_id(job_id)}"


def _params(part: LogPart) -> dict[str, str]:
    named = {"attempt": part.attempt, "offset": part.offset, "tail": part.tail, "since": part.since}
    params = {name: str(value) for name, value in named.items() if value is not None}
    return params | ({"follow": "true"} if part.follow else {})


async def _text(data: AsyncIterator[bytes], part: LogPart) -> AsyncIterator[LogBytes]:
    end = part.offset or 0
    async for piece in data:
        end += len(piece)
        yield LogBytes(part.attempt or 1, piece, end)


async def _messages(data: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """Events and places. Raises what the server says of an error in the middle."""
    async for event in read_events(data):
        if event.name == "error":
            try:
                problem = msgspec.json.decode(event.data, type=Problem)
            except msgspec.MsgspecError:
                raise ServerUnreachable("the server broke the stream off") from None
            raise error_of(problem, ServerUnreachable, 1.0)
        if event.name in ("message", PLACE):
            yield event
