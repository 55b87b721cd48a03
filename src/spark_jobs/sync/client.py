"""Client without `async`: the same methods, which return when there is an answer."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from spark_jobs.client import Client as AsyncClient
from spark_jobs.client import JobQuery, LogBytes, LogOptions, QueueStatus, SearchOptions, Submission
from spark_jobs.client.client import RECONNECT_TIMEOUT, SUBMIT_TIMEOUT
from spark_jobs.client.link import SpecLike
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.sync.portal import Portal

_AT_ONCE = 100
"""How many jobs of a list are fetched from the loop together."""


class Client:
    """A client of one server, as :class:`spark_jobs.Client`: ``with Client() as client: ...``, or :meth:`close` at the end.

    Raises:
        SettingError: the address or the token can't be used.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        token: str | None = None,
        token_file: str | Path | None = None,
        submit_timeout: float = SUBMIT_TIMEOUT,
        reconnect_timeout: float = RECONNECT_TIMEOUT,
    ) -> None:
        async def make() -> AsyncClient:
            return AsyncClient(
                server,
                token=token,
                token_file=token_file,
                submit_timeout=submit_timeout,
                reconnect_timeout=reconnect_timeout,
            )

        self._portal = Portal("spark client")
        self._owns_portal = True
        try:
            self._client = self._portal.call(make)
        except BaseException:
            self._portal.close()
            raise

    @classmethod
    def over(cls, portal: Portal, client: AsyncClient) -> Self:
        """A client of somebody else's, who closes it."""
        own = cls.__new__(cls)
        own._portal, own._client, own._owns_portal = portal, client, False  # noqa: SLF001 - its own
        return own

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread; jobs are not touched."""
        if self._owns_portal:
            self._owns_portal = False
            try:
                self._portal.call(self._client.close)
            finally:
                self._portal.close()

    def submit(self, spec: SpecLike, *, idempotency_key: str | None = None, wait_for_room: bool = False) -> Submission:
        """Submit one job, once. Raises InvalidSpec, IdConflict, IdempotencyConflict, TryAgain, ServerUnreachable."""
        return self._portal.call(
            lambda: self._client.submit(spec, idempotency_key=idempotency_key, wait_for_room=wait_for_room)
        )

    def submit_batch(self, specs: Sequence[SpecLike], *, wait_for_room: bool = False) -> builtins.list[Submission]:
        """Submit up to 1,000 jobs, all or none. Raises as :meth:`submit`."""
        return self._portal.call(lambda: self._client.submit_batch(specs, wait_for_room=wait_for_room))

    def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """The job; with ``wait``, as soon as it is over or after that many seconds. Raises JobNotFound."""
        return self._portal.call(lambda: self._client.get(job_id, wait=wait))

    def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        """The job once it is over, whatever its end. Raises TimeoutError after ``timeout`` seconds, JobNotFound."""
        return self._portal.call(lambda: self._client.wait(job_id, timeout=timeout))

    def result(self, job_id: str, *, timeout: float | None = None) -> Job:
        """As :meth:`wait`, but a job that did not succeed raises JobFailed, JobTimedOut or JobCancelled."""
        return self._portal.call(lambda: self._client.result(job_id, timeout=timeout))

    def list(self, query: JobQuery | None = None, *, limit: int | None = None) -> Iterator[Job]:
        """Jobs, newest first, as they are asked for; without attempts and env; at most ``limit``."""
        return self._portal.iterate(lambda: self._client.list(query, limit=limit), at_once=_AT_ONCE)

    def resolve(self, reference: str) -> str:
        """The id that is meant: an id, ``@latest``, or a unique prefix of a generated one. Raises JobNotFound."""
        return self._portal.call(lambda: self._client.resolve(reference))

    def cancel(self, job_id: str) -> Job:
        """Cancel a queued job now, ask a started one to stop. Raises JobNotFound, NotCancellable."""
        return self._portal.call(lambda: self._client.cancel(job_id))

    def retry(self, job_id: str) -> Job:
        """A new job with the same spec, of a job that is over. Raises JobNotFound, NotRetryable, QueueFull."""
        return self._portal.call(lambda: self._client.retry(job_id))

    def delete(self, job_id: str) -> None:
        """Forget a job that is over, with its log. Raises JobNotFound, NotDeletable."""
        self._portal.call(lambda: self._client.delete(job_id))

    def queue(self) -> QueueStatus:
        """The queue now."""
        return self._portal.call(self._client.queue)

    def pause(self) -> QueueStatus:
        """Start no jobs from now on, until :meth:`resume`; running ones go on."""
        return self._portal.call(self._client.pause)

    def resume(self) -> QueueStatus:
        """Start jobs again."""
        return self._portal.call(self._client.resume)

    def logs(self, job_id: str, options: LogOptions | None = None) -> Iterator[bytes]:
        """What there is now of a log, as it was written, over connections that break. Raises JobNotFound, AttemptNotFound."""
        return self._portal.iterate(lambda: self._client.logs(job_id, options))

    def follow(self, job_id: str, options: LogOptions | None = None) -> Iterator[LogBytes]:
        """The log from its first byte on, through all attempts, until the job is over. Raises as :meth:`logs`."""
        return self._portal.iterate(lambda: self._client.follow(job_id, options))

    def search(
        self,
        pattern: str,
        options: SearchOptions | None = None,
        *,
        on_progress: Callable[[SearchProgress], None] = lambda _: None,
    ) -> Iterator[LogMatch]:
        """Lines of stored logs that match, as they are found; closing the iterator stops the search. ``on_progress`` is
        called in this client's own thread. Raises InvalidSpec, JobNotFound, ServerUnreachable."""
        return self._portal.iterate(lambda: self._client.search(pattern, options, on_progress=on_progress))

    def events(self, job_id: str | None = None, *, after: int | None = None) -> Iterator[JobEvent]:
        """Changes of state, of one job or all, after a sequence number, or from now on; without end.

        Raises:
            EventsGone: events after that number are no longer kept. JobNotFound.
        """
        return self._portal.iterate(lambda: self._client.events(job_id, after=after))
