"""Client: everything that Spark offers, as methods, over any link. Errors come back as classes of the error tree."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from spark_jobs.client.address import find_address
from spark_jobs.client.contact import FIRST_PAUSE, Contact, persist
from spark_jobs.client.link import Begun, Link, LogBytes, Silent, SpecLike
from spark_jobs.client.links import link_to
from spark_jobs.client.logs import LogOptions, LogReader
from spark_jobs.client.references import find_id
from spark_jobs.client.search import search
from spark_jobs.client.views import JobQuery, QueueStatus, SearchOptions, Submission
from spark_jobs.domain.errors import JobNotFound, SparkError
from spark_jobs.domain.ids import new_job_id
from spark_jobs.domain.job import Job, JobEvent, succeeded
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.domain.spec import JobSpec

SUBMIT_TIMEOUT = 30.0
RECONNECT_TIMEOUT = 300.0
LONG_POLL = 20.0
PAGE = 500


class Client:
    """A client of one server: ``async with Client() as client: ...``.

    ``server`` is ``http(s)://HOST:PORT`` or, for gRPC, ``grpc(s)://HOST:PORT``; by default ``SPARK_SERVER``, else port
    8000 of this machine. ``token`` or the content of ``token_file`` is what the server wants to see; by default
    ``SPARK_TOKEN``, and for a server on this machine the token that it announced. ``submit_timeout`` and
    ``reconnect_timeout`` are seconds: how long to repeat a submission, and how long to go on waiting for a job while the
    server is away. With a ``link``, that is what is used.

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
        link: Link | None = None,
    ) -> None:
        self._link = link or link_to(find_address(server, token=token, token_file=token_file))
        self._submit_timeout = submit_timeout
        self._reconnect_timeout = reconnect_timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; jobs are not touched."""
        await self._link.close()

    async def submit(
        self,
        spec: SpecLike,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        wait_for_room: bool = False,
        on_lost: Callable[[SparkError], None] = lambda _: None,
    ) -> Submission:
        """Submit one job, once: the same request is repeated until the server has answered or the time is over.

        ``timeout`` is that time in seconds, by default the client's; with ``wait_for_room`` a full queue is waited for as
        long as it takes. ``on_lost`` is told why when the first try fails.

        Raises:
            InvalidSpec, IdConflict, IdempotencyConflict: not accepted. QueueFull, StoreUnavailable, Draining: not now.
            ServerUnreachable: nothing is known.
        """
        key = idempotency_key or secrets.token_hex(16)
        heard, submission = await persist(
            lambda seconds: self._link.submit(spec, key=key, timeout=seconds),
            patience=self._submit_timeout if timeout is None else timeout,
            wait_for_room=wait_for_room,
            on_lost=on_lost,
        )
        return Submission(submission.job, submission.replayed and not heard)

    async def submit_batch(
        self,
        specs: Sequence[SpecLike],
        *,
        timeout: float | None = None,
        wait_for_room: bool = False,
        on_lost: Callable[[SparkError], None] = lambda _: None,
    ) -> list[Submission]:
        """Submit up to 1,000 jobs, all or none, repeated as :meth:`submit` does.

        Jobs without an id get one here, so that a repeat starts nothing twice. Raises as :meth:`submit`.
        """
        named = [_with_id(spec) for spec in specs]
        heard, submissions = await persist(
            lambda seconds: self._link.submit_batch(named, timeout=seconds),
            patience=self._submit_timeout if timeout is None else timeout,
            wait_for_room=wait_for_room,
            on_lost=on_lost,
        )
        return [Submission(each.job, each.replayed and not heard) for each in submissions]

    async def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """The job; with ``wait``, as soon as it is over or after that many seconds. Raises JobNotFound."""
        return await self._link.get(job_id, wait=wait)

    async def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,
        contact: Contact | None = None,
    ) -> Job:
        """The job once it is over, whatever its end; goes on while the server is away for a while.

        Raises:
            TimeoutError: it was not over after ``timeout`` seconds; the job is left alone. JobNotFound.
            ServerUnreachable: the server was away for too long.
        """
        patience = contact or Contact(self._reconnect_timeout)
        async with asyncio.timeout(timeout):
            while True:
                try:
                    job = await self.get(job_id, wait=LONG_POLL)
                except SparkError as error:
                    await patience.lost(error)
                    continue
                patience.kept()
                if job.state.is_terminal:
                    return job

    async def result(self, job_id: str, *, timeout: float | None = None) -> Job:
        """As :meth:`wait`, but a job that did not succeed raises JobFailed, JobTimedOut or JobCancelled."""
        return succeeded(await self.wait(job_id, timeout=timeout))

    async def list(self, query: JobQuery | None = None, *, limit: int | None = None) -> AsyncGenerator[Job, None]:
        """Jobs, newest first, page by page as they are asked for; without attempts and env; at most ``limit``."""
        left, token = limit, None
        while left is None or left > 0:
            page = await self._link.page(query or JobQuery(), size=min(left or PAGE, PAGE), token=token)
            for job in page.jobs[:left]:
                yield job
            left = None if left is None else left - len(page.jobs)
            token = page.next_page_token
            if token is None:
                return

    async def resolve(self, reference: str) -> str:
        """The id that is meant: an id, ``@latest``, or a unique prefix, at least 4 characters of an id's random part.

        Raises:
            JobNotFound: no job is meant, or several are.
        """
        return await find_id(self._link, reference)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a queued job now, ask a started one to stop. Raises JobNotFound, NotCancellable."""
        return await self._link.cancel(job_id)

    async def retry(self, job_id: str) -> Job:
        """A new job with the same spec, of a job that is over. Raises JobNotFound, NotRetryable, QueueFull."""
        return await self._link.retry(job_id)

    async def delete(self, job_id: str) -> None:
        """Forget a job that is over, with its log. Raises JobNotFound, NotDeletable."""
        await self._link.delete(job_id)

    async def queue(self) -> QueueStatus:
        """The queue now."""
        return await self._link.queue()

    async def pause(self) -> QueueStatus:
        """Start no jobs from now on, until :meth:`resume`; running ones go on."""
        return await self._link.set_paused(True)

    async def resume(self) -> QueueStatus:
        """Start jobs again."""
        return await self._link.set_paused(False)

    async def logs(
        self, job_id: str, options: LogOptions | None = None, *, contact: Contact | None = None
    ) -> AsyncGenerator[bytes, None]:
        """What there is now of a log, as it was written.

        An answer that breaks off is taken up where it broke, while ``contact`` has patience.

        Raises:
            JobNotFound, AttemptNotFound. ServerUnreachable: at once, or for too long in the middle.
        """
        patience = contact or Contact(self._reconnect_timeout)
        async with aclosing(LogReader(self._link, job_id, options or LogOptions(), patience).now()) as pieces:
            async for piece in pieces:
                yield piece.data

    def follow(
        self, job_id: str, options: LogOptions | None = None, *, contact: Contact | None = None
    ) -> AsyncGenerator[LogBytes, None]:
        """The log from its first byte on, through all attempts, each byte once, until the job is over.

        Lost connections are taken up where they broke, while ``contact`` has patience.

        Raises:
            JobNotFound, AttemptNotFound. ServerUnreachable: the server was away for too long.
        """
        patience = contact or Contact(self._reconnect_timeout)
        return LogReader(self._link, job_id, options or LogOptions(), patience).followed()

    def search(
        self,
        pattern: str,
        options: SearchOptions | None = None,
        *,
        on_progress: Callable[[SearchProgress], None] = lambda _: None,
    ) -> AsyncGenerator[LogMatch, None]:
        """Lines of stored logs that match, as they are found: of the newest job first, of its latest attempt first, then in
        their order. Close the generator to stop it. The pattern is a regular expression in the syntax of RE2.

        ``on_progress`` is told every two seconds or so how far it is, and once in the end: there stand also what could not
        be read, and whether the limit ended it. What broke off is not taken up again: nobody knows what it would have found.

        Raises:
            InvalidSpec: the pattern or an option is refused. JobNotFound. ServerUnreachable: also in the middle.
        """
        return search(self._link, pattern, options or SearchOptions(), on_progress)

    async def events(
        self, job_id: str | None = None, *, after: int | None = None, contact: Contact | None = None
    ) -> AsyncGenerator[JobEvent, None]:
        """Changes of state, of one job or all, after a sequence number (0: all that are kept), or from now on; each once,
        and without end, or until the one job is deleted.

        Lost connections are taken up where they broke, while ``contact`` has patience.

        Raises:
            EventsGone: some events after that number are no longer kept. ServerUnreachable. JobNotFound.
        """
        patience = contact or Contact(self._reconnect_timeout)
        stood = False
        while True:
            patience.begun()
            try:
                with suppress(Silent):
                    async with aclosing(self._link.events(job_id, after)) as events:
                        async for event in events:
                            patience.kept()
                            stood = True
                            if isinstance(event, Begun):
                                after = event.after
                            else:
                                after = event.seq
                                yield event
                await self._link.queue()  # the stream ended, or died unnoticed: is the server there?
                patience.kept()
            except SparkError as error:
                if stood and isinstance(error, JobNotFound):
                    return  # it was deleted meanwhile: nothing more can happen to it
                await patience.lost(error)
            else:
                await asyncio.sleep(FIRST_PAUSE)  # a server about to stop ends every stream at once


def _with_id(spec: SpecLike) -> SpecLike:
    if isinstance(spec, JobSpec):
        return spec if spec.id else msgspec.structs.replace(spec, id=new_job_id())
    return spec if spec.get("id") is not None else {**spec, "id": new_job_id()}
