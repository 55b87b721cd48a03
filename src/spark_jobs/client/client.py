"""Client: everything a Spark server offers, as methods. The server's errors come back as classes of the error tree."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from spark_jobs.client.address import find_address
from spark_jobs.client.contact import Contact
from spark_jobs.client.logs import LogBytes, LogFollower, LogOptions, read_log
from spark_jobs.client.transport import READ_TIMEOUT, Answer, NeverSent, Transport, job_path
from spark_jobs.client.views import JobQuery, QueueStatus, Submission
from spark_jobs.domain.errors import JobNotFound, ServerUnreachable, SparkError
from spark_jobs.domain.job import Job, JobCancelled, JobFailed, JobTimedOut
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState

SUBMIT_TIMEOUT = 30.0
RECONNECT_TIMEOUT = 300.0
LONG_POLL = 20.0
GENERATED_ID = re.compile(r"spark-job-[a-z0-9]{15}")
ID_PREFIX = "spark-job-"
LATEST = "@latest"

_T = TypeVar("_T")


class _Page(msgspec.Struct):
    jobs: list[Job]
    next_page_token: str | None = None


class Client:
    """A client of one server: ``async with Client() as client: ...``.

    ``server`` is ``http(s)://HOST:PORT``; by default ``SPARK_SERVER``, else port 8000 of this machine. ``token`` or the
    content of ``token_file`` is what the server wants to see; by default ``SPARK_TOKEN``, and for a server on this
    machine the token that it announced. ``submit_timeout`` and ``reconnect_timeout`` are seconds: how long to repeat a
    submission, and how long to go on waiting for a job while the server is away.

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
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.address = find_address(server, token=token, token_file=token_file, environ=environ)
        self._submit_timeout = submit_timeout
        self._reconnect_timeout = reconnect_timeout
        self._transport = Transport(self.address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; jobs are not touched."""
        await self._transport.close()

    async def submit(
        self,
        spec: JobSpec | Mapping[str, object],
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        on_lost: Callable[[SparkError], None] = lambda _: None,
    ) -> Submission:
        """Submit one job, once: the same request is repeated until the server has answered or the time is over.

        ``timeout`` is that time in seconds, by default the client's; ``on_lost`` is told why when the first try fails.

        Raises:
            InvalidSpec, IdConflict, IdempotencyConflict: not accepted. QueueFull, StoreUnavailable, Draining: not now.
            ServerUnreachable: nothing is known.
        """
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        body = msgspec.json.encode(spec)
        patience = self._submit_timeout if timeout is None else timeout
        contact = Contact(patience, on_lost=on_lost)
        deadline = time.monotonic() + patience
        heard_before = False
        while True:
            left = max(1.0, min(READ_TIMEOUT, deadline - time.monotonic()))
            try:
                answer = await self._transport.request("POST", "/v1/jobs", body=body, headers=headers, timeout=left)
            except SparkError as error:
                # An answer that was lost may have been "created"; the next one then says "replayed" of our own job.
                heard_before |= isinstance(error, ServerUnreachable) and not isinstance(error, NeverSent)
                await contact.lost(error)
                continue
            replayed = answer.headers.get("spark-replayed") == "true" and not heard_before
            return Submission(self._decode(answer, Job), replayed)

    async def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """The job; with ``wait``, as soon as it is over or after that many seconds. Raises JobNotFound."""
        params: dict[str, str | list[str]] = {} if wait is None else {"wait": f"{wait:g}s"}
        timeout = READ_TIMEOUT + (wait or 0.0)
        return self._decode(await self._transport.request("GET", job_path(job_id), params=params, timeout=timeout), Job)

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
        job = await self.wait(job_id, timeout=timeout)
        if job.state is JobState.SUCCEEDED:
            return job
        kinds = {JobState.TIMED_OUT: JobTimedOut, JobState.CANCELLED: JobCancelled}
        raise kinds.get(job.state, JobFailed)(job)

    async def list(self, query: JobQuery | None = None, *, limit: int | None = None) -> AsyncIterator[Job]:
        """Jobs, newest first, page by page as they are asked for; without attempts and env; at most ``limit``."""
        params = (query or JobQuery()).params()
        left = limit
        while left is None or left > 0:
            params["page_size"] = str(min(left or 500, 500))
            page = self._decode(await self._transport.request("GET", "/v1/jobs", params=params), _Page)
            for job in page.jobs[:left]:
                yield job
            left = None if left is None else left - len(page.jobs)
            if page.next_page_token is None:
                return
            params["page_token"] = page.next_page_token

    async def resolve(self, reference: str) -> str:
        """The id that is meant: an id, ``@latest``, or a unique prefix, at least 4 characters of an id's random part.

        Raises:
            JobNotFound: no job is meant, or several are.
        """
        if GENERATED_ID.fullmatch(reference):
            return reference
        if reference == LATEST:
            async for job in self.list(limit=1):
                return job.id
            raise JobNotFound("there is no job yet, so @latest names none")
        try:
            return (await self.get(reference)).id
        except JobNotFound:
            return await self._by_prefix(reference)

    async def _by_prefix(self, reference: str) -> str:
        prefix = reference if reference.startswith(ID_PREFIX) else ID_PREFIX + reference
        random_part = prefix.removeprefix(ID_PREFIX)
        none = JobNotFound(f"there is no job {reference!r}, and none whose id begins so (see `spark list`)")
        if not re.fullmatch(r"[a-z0-9]{1,15}", random_part):
            raise none
        if len(random_part) < 4:
            raise JobNotFound(f"there is no job {reference!r}; an id's prefix needs at least 4 characters to count")
        found = [job.id async for job in self.list(JobQuery(id_prefix=prefix), limit=4)]
        if not found:
            raise none
        if len(found) > 1:
            raise JobNotFound(f"{reference!r} is not one job but several: {', '.join(found)}; write more of the id")
        return found[0]

    async def cancel(self, job_id: str) -> Job:
        """Cancel a queued job now, ask a started one to stop. Raises JobNotFound, NotCancellable."""
        return self._decode(await self._transport.request("POST", f"{job_path(job_id)}/cancel"), Job)

    async def retry(self, job_id: str) -> Job:
        """A new job with the same spec, of a job that is over. Raises JobNotFound, NotRetryable, QueueFull."""
        return self._decode(await self._transport.request("POST", f"{job_path(job_id)}/retry"), Job)

    async def delete(self, job_id: str) -> None:
        """Forget a job that is over, with its log. Raises JobNotFound, NotDeletable."""
        await self._transport.request("DELETE", job_path(job_id))

    async def queue(self) -> QueueStatus:
        """The queue now."""
        return self._decode(await self._transport.request("GET", "/v1/queue"), QueueStatus)

    async def pause(self) -> QueueStatus:
        """Start no jobs from now on, until :meth:`resume`; running ones go on."""
        return self._decode(await self._transport.request("POST", "/v1/queue/pause"), QueueStatus)

    async def resume(self) -> QueueStatus:
        """Start jobs again."""
        return self._decode(await self._transport.request("POST", "/v1/queue/resume"), QueueStatus)

    def logs(self, job_id: str, options: LogOptions | None = None) -> AsyncGenerator[bytes, None]:
        """What there is now of a log, as it was written. Raises JobNotFound, AttemptNotFound."""
        return read_log(self._transport, job_id, options or LogOptions())

    def follow(
        self, job_id: str, options: LogOptions | None = None, *, contact: Contact | None = None
    ) -> AsyncGenerator[LogBytes, None]:
        """The log from its first byte on, through all attempts, each byte once, until the job is over.

        Lost connections are taken up where they broke, while ``contact`` has patience.

        Raises:
            JobNotFound, AttemptNotFound. ServerUnreachable: the server was away for too long.
        """
        patience = contact or Contact(self._reconnect_timeout)
        return LogFollower(self._transport, self.get, job_id, options or LogOptions(), patience).pieces()

    def _decode(self, answer: Answer, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.MsgspecError:
            text = f"{self.address.url} answers, but not as this version of Spark expects; is it a Spark server?"
            raise ServerUnreachable(text) from None
