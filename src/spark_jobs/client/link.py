"""The seam below the client: one request to a service, over whatever carries it. No patience and no repeats in here.

An implementation is asked for one thing at a time and answers or raises; :class:`spark_jobs.client.Client` decides what to
repeat, how long to wait, and how the pieces of a log join.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from spark_jobs.client.views import JobQuery, QueueStatus, SearchOptions, Submission
from spark_jobs.domain.errors import JobNotFound, ServerUnreachable
from spark_jobs.domain.ids import is_job_id
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.domain.spec import JobSpec

READ_TIMEOUT = 30.0
"""Seconds of silence after which a request counts as lost."""

SILENCE = 30.0
"""Seconds without a byte after which a log is asked for anew, in case its connection died unnoticed."""

SpecLike: TypeAlias = JobSpec | Mapping[str, object]


class NeverSent(ServerUnreachable):
    """No connection came about, so the server knows nothing of the request."""


class WrongDoor(NeverSent):
    """Something answers at this address, but not in this way: it wants TLS or has none, or speaks another protocol."""


class Silent(ServerUnreachable):
    """The connection stands, but nothing came over it for the time allowed."""


class JobPage(msgspec.Struct, frozen=True):
    """A page of jobs, newest first; the token asks for the next one."""

    jobs: list[Job]
    next_page_token: str | None = None


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of an attempt's log: from byte ``offset``, or the last ``tail`` lines, or lines ``since`` a time (RFC 3339
    or a duration ago); ``attempt`` null is the latest. ``timestamps`` puts each line's time before it; with ``json`` each
    line is an object of JSON that has it, as over HTTP. ``follow``: also what is still to come."""

    follow: bool = False
    attempt: int | None = None
    offset: int | None = None
    tail: int | None = None
    since: str | None = None
    timestamps: bool = False
    json: bool = False


class LogBytes(msgspec.Struct, frozen=True):
    """A piece of one attempt's log to show; what comes next begins at byte ``end`` of that log. One without data only says
    that."""

    attempt: int
    data: bytes
    end: int


class Begun(msgspec.Struct, frozen=True):
    """A stream of events stands: what comes is newer than the event ``after``."""

    after: int


class Link(Protocol):
    """What carries requests. Every method may raise ServerUnreachable, and any error that the service answers with."""

    @property
    def where(self) -> str:
        """What it leads to, for people: the server's address."""

    async def close(self) -> None:
        """Let go of connections; jobs are not touched."""

    async def submit(self, spec: SpecLike, *, key: str, timeout: float) -> Submission:
        """One submission; ``timeout`` in seconds bounds the wait for its answer."""

    async def submit_batch(self, specs: Sequence[SpecLike], *, timeout: float) -> Sequence[Submission]:
        """All jobs or none, in their order."""

    async def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """The job; with ``wait``, as soon as it is over or after that many seconds."""

    async def page(self, query: JobQuery, *, size: int, token: str | None) -> JobPage:
        """A page of jobs; it may hold fewer than ``size`` though there are more."""

    async def cancel(self, job_id: str) -> Job:
        """Cancel a queued job now, ask a started one to stop."""

    async def retry(self, job_id: str) -> Job:
        """A new job with the same spec, of a job that is over."""

    async def delete(self, job_id: str) -> None:
        """Forget a job that is over, with its log."""

    async def queue(self) -> QueueStatus:
        """The queue now."""

    async def set_paused(self, paused: bool) -> QueueStatus:
        """Stop starting jobs, or start them again."""

    def log(self, job_id: str, part: LogPart) -> AsyncGenerator[LogBytes, None]:
        """The part of a log: what there is now; or, if it is followed, until it is settled or the service ends the stream.

        Raises Silent where nothing came for :data:`SILENCE`.
        """

    def search(self, pattern: str, options: SearchOptions) -> AsyncGenerator[LogMatch | SearchProgress, None]:
        """Lines of logs that match, as they are found, and now and then how far it is, as the last thing, too.

        Raises Silent where nothing came for :data:`SILENCE`.
        """

    def events(self, job_id: str | None, after: int | None) -> AsyncGenerator[JobEvent | Begun, None]:
        """Changes after a sequence number, or from now on, until the service ends the stream; where that is begins it.

        Raises Silent where nothing came for a time in which a living server says something.
        """


def checked_id(job_id: str) -> str:
    """The id. Raises JobNotFound where the text can't be one, and might mean something else on the way."""
    if not is_job_id(job_id):
        raise JobNotFound(f"there is no job {job_id!r}: an id has only lower-case letters, digits and '-'")
    return job_id
