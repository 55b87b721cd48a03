"""The link without a wire: a service in this process. What REST and gRPC check of a request is checked here, too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

import msgspec

from spark_jobs.api.checks import batch_faults, checked_key
from spark_jobs.api.listing import PARAMETERS as LIST_PARAMETERS
from spark_jobs.api.listing import read_listing
from spark_jobs.api.loglines import shown
from spark_jobs.api.query import Query
from spark_jobs.api.reading import PARAMETERS as LOG_PARAMETERS
from spark_jobs.api.reading import read_part
from spark_jobs.api.searching import PARAMETERS as SEARCH_PARAMETERS
from spark_jobs.api.searching import found_in, read_search
from spark_jobs.api.stream import closing
from spark_jobs.app.core import Core
from spark_jobs.client.link import Begun, JobPage, LogBytes, LogPart, SpecLike, checked_id
from spark_jobs.client.views import JobQuery, QueueStatus, SearchOptions, Submission
from spark_jobs.domain.errors import InvalidSpec, TryAgain
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.service import LogPiece, QueueView
from spark_jobs.store.base import Submitted

_T = TypeVar("_T")


class ServiceLink:
    """See :class:`spark_jobs.client.link.Link`. ``core`` gives the running core, or raises what is wrong with it."""

    where = "this process"

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    async def close(self) -> None:
        """Nothing: the core is its Runner's to stop."""

    async def submit(self, spec: SpecLike, *, key: str, timeout: float) -> Submission:
        """See ``Link.submit``; nothing here can be waited for in vain."""
        checked = checked_key(key, "idempotency_key")
        return _submission(await self._ask(self._core().service.submit(_plain(spec), idempotency_key=checked)))

    async def submit_batch(self, specs: Sequence[SpecLike], *, timeout: float) -> Sequence[Submission]:
        """See ``Link.submit_batch``."""
        if faults := batch_faults(len(specs)):
            raise InvalidSpec(faults)
        submitted = await self._ask(self._core().service.submit_batch([_plain(spec) for spec in specs]))
        return [_submission(each) for each in submitted]

    async def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """See ``Link.get``."""
        job = await self._ask(self._core().service.get(checked_id(job_id), wait=wait))
        if wait and not job.state.is_terminal:
            self._core()  # a service that stops lets everybody go, which must not look like the end of the wait
        return job

    async def page(self, query: JobQuery, *, size: int, token: str | None) -> JobPage:
        """See ``Link.page``."""
        params = {**query.params(), "page_size": str(size), "page_token": token}
        listing = read_listing(_query(params, LIST_PARAMETERS), self._core().clock())
        page = await self._ask(self._core().service.list(listing.which, page_size=listing.size, after=listing.after))
        return JobPage(page.jobs, listing.token_after(page))

    async def cancel(self, job_id: str) -> Job:
        """See ``Link.cancel``."""
        return await self._ask(self._core().service.cancel(checked_id(job_id)))

    async def retry(self, job_id: str) -> Job:
        """See ``Link.retry``."""
        return await self._ask(self._core().service.retry(checked_id(job_id)))

    async def delete(self, job_id: str) -> None:
        """See ``Link.delete``."""
        await self._ask(self._core().service.delete(checked_id(job_id)))

    async def queue(self) -> QueueStatus:
        """See ``Link.queue``."""
        return _status(await self._ask(self._core().service.queue()))

    async def set_paused(self, paused: bool) -> QueueStatus:
        """See ``Link.set_paused``."""
        return _status(await self._ask(self._core().service.set_paused(paused)))

    async def log(self, job_id: str, part: LogPart) -> AsyncGenerator[LogBytes, None]:
        """See ``Link.log``."""
        async with aclosing(self._pieces(job_id, part)) as pieces:
            async for piece in pieces:
                yield LogBytes(piece.attempt, _shown(piece, part), piece.chunk.offset + len(piece.chunk.data))

    async def search(self, pattern: str, options: SearchOptions) -> AsyncGenerator[LogMatch | SearchProgress, None]:
        """See ``Link.search``."""
        core = self._core()
        wanted = read_search(_query({**options.params(pattern)}, SEARCH_PARAMETERS), core.clock())
        async with closing(found_in(core.service, wanted)) as found:
            async for item in found:
                yield item

    async def events(self, job_id: str | None, after: int | None) -> AsyncGenerator[JobEvent | Begun, None]:
        """See ``Link.events``."""
        service = self._core().service
        if job_id is not None:
            await self.get(job_id)
        begin = await self._ask(service.event_place(after, job_id))
        yield Begun(begin)
        async with closing(service.events(after=begin, job_id=job_id)) as events:
            async for event in events:
                yield event

    async def _pieces(self, job_id: str, part: LogPart) -> AsyncGenerator[LogPiece, None]:
        await self.get(job_id)
        core = self._core()
        served = read_part(_query(_words(part), LOG_PARAMETERS), core.clock())
        async with closing(core.service.logs(job_id, served)) as pieces:
            async for piece in pieces:
                yield piece

    async def _ask(self, work: Awaitable[_T]) -> _T:
        """What the service answers; where it stops meanwhile, why."""
        try:
            return await work
        except TryAgain:
            self._core()
            raise


def _plain(spec: SpecLike) -> object:
    """The spec as plain objects of its own: what JSON can't carry is refused here as it is everywhere."""
    return msgspec.json.decode(msgspec.json.encode(spec))


def _submission(submitted: Submitted) -> Submission:
    return Submission(submitted.job, submitted.replayed)


def _status(view: QueueView) -> QueueStatus:
    return msgspec.convert(view, QueueStatus, from_attributes=True)


def _query(params: dict[str, str | list[str] | None], known: Sequence[str]) -> Query:
    pairs = [(name, [values] if isinstance(values, str) else values or []) for name, values in params.items()]
    return Query([(name, value) for name, values in pairs for value in values], known)


def _words(part: LogPart) -> dict[str, str | list[str] | None]:
    """The part as one that comes as text, so that it is checked alike."""
    given = {"attempt": part.attempt, "offset": part.offset, "tail": part.tail, "since": part.since}
    given |= {"follow": part.follow, "timestamps": part.timestamps or part.json}
    return {name: None if value is None else str(value) for name, value in given.items()}


def _shown(piece: LogPiece, part: LogPart) -> bytes:
    return shown(piece.attempt, piece.chunk, timestamps=part.timestamps, json=part.json)
