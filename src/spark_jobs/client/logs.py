"""Reading logs: as they are, or followed to their true end, attempt by attempt, each byte once, over lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import msgspec

from spark_jobs.client.contact import FIRST_PAUSE, Contact
from spark_jobs.client.sse import read_events
from spark_jobs.client.transport import READ_TIMEOUT, Silent, Transport, job_path
from spark_jobs.domain.errors import ServerUnreachable, SparkError
from spark_jobs.domain.job import Job, LogState

# A log may be silent for hours; after this time the connection is made anew, in case it is dead and nobody said so.
SILENCE = 30.0
TEXT = "text/plain, application/problem+json"
EVENTS = "text/event-stream, application/problem+json"


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a log: of which attempt (null: the latest; followed: all), its last lines, or lines since a time
    (RFC 3339 or a duration ago); ``timestamps`` puts each line's time before it."""

    attempt: int | None = None
    tail: int | None = None
    since: str | None = None
    timestamps: bool = False

    def params(self) -> dict[str, str]:
        """As query parameters of the REST interface, without ``attempt`` and ``timestamps``."""
        return {name: str(value) for name, value in (("tail", self.tail), ("since", self.since)) if value is not None}


class LogBytes(msgspec.Struct, frozen=True):
    """A piece of one attempt's log to show; what comes next begins at byte ``end`` of that log."""

    attempt: int
    data: bytes
    end: int


class _Line(msgspec.Struct):
    attempt: int
    offset: int
    time: str | None = None
    text: str | None = None
    raw: bytes | None = msgspec.field(default=None, name="bytes")

    def piece(self, *, timestamps: bool) -> LogBytes:
        """The line as it is shown."""
        line = self.text.encode() if self.text is not None else self.raw or b""
        stamp = f"{self.time} ".encode() if timestamps and self.time else b""
        return LogBytes(self.attempt, stamp + line, self.offset + len(line))


async def read_log(transport: Transport, job_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
    """What there is now of a log, from one request."""
    params = options.params()
    if options.attempt is not None:
        params["attempt"] = str(options.attempt)
    if options.timestamps:
        params["timestamps"] = "true"
    async with transport.stream(f"{job_path(job_id)}/logs", params, accept=TEXT, read_timeout=READ_TIMEOUT) as pieces:
        async for piece in pieces:
            yield piece


class LogFollower:
    """Follows one job's log. Give it the last state of things only by its own requests; it holds a position, no bytes."""

    def __init__(
        self,
        transport: Transport,
        get: Callable[[str], Awaitable[Job]],
        job_id: str,
        options: LogOptions,
        contact: Contact,
    ) -> None:
        self._transport = transport
        self._get = get
        self._job_id = job_id
        self._options = options
        self._contact = contact
        self._attempt = options.attempt or 1
        self._offset: int | None = None  # null: where the options say
        # Where the server picks the beginning, or lines get their times, only events tell how far it has come.
        self._by_line = options.timestamps or bool(options.params())

    async def pieces(self) -> AsyncGenerator[LogBytes, None]:
        """See :meth:`spark_jobs.client.Client.follow`."""
        if self._by_line and self._options.attempt is None:
            self._attempt = max(1, len((await self._get(self._job_id)).attempts))
        while True:
            before = self._offset
            try:
                async with aclosing(self._once()) as pieces:
                    async for piece in pieces:
                        self._contact.kept()
                        self._offset = piece.end
                        yield piece
                job = await self._get(self._job_id)
            except SparkError as error:
                await self._contact.lost(error)
                continue
            self._contact.kept()
            if self._options.attempt is None and len(job.attempts) > self._attempt:
                self._attempt, self._offset = self._attempt + 1, 0
            elif self._offset == before:
                if self._is_over(job):
                    return
                await asyncio.sleep(FIRST_PAUSE)  # a server about to stop ends every stream at once

    async def _once(self) -> AsyncGenerator[LogBytes, None]:
        """One request, until the server ends its answer or has been silent for too long."""
        params = {"attempt": str(self._attempt), "follow": "true"}
        params |= self._options.params() if self._offset is None else {"offset": str(self._offset)}
        path = f"{job_path(self._job_id)}/logs"
        accept = EVENTS if self._by_line else TEXT
        try:
            async with self._transport.stream(path, params, accept=accept, read_timeout=SILENCE) as chunks:
                read = self._lines(chunks) if self._by_line else self._text(chunks)
                async for piece in read:
                    yield piece
        except Silent:
            return  # whether the server is there is seen by the next request

    async def _text(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[LogBytes]:
        end = self._offset or 0
        async for chunk in chunks:
            end += len(chunk)
            yield LogBytes(self._attempt, chunk, end)

    async def _lines(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[LogBytes]:
        async for event in read_events(chunks):
            if event.name == "error":
                raise ServerUnreachable("the server broke the log off")
            if event.name == "message":
                line = msgspec.json.decode(event.data, type=_Line)
                yield line.piece(timestamps=self._options.timestamps)

    def _is_over(self, job: Job) -> bool:
        """Whether nothing can be added to this attempt's log any more and, unless it is wanted alone, none follows."""
        if len(job.attempts) < self._attempt:
            return job.state.is_terminal
        attempt = job.attempts[self._attempt - 1]
        ended = job.state.is_terminal if self._options.attempt is None else attempt.state.is_terminal
        return ended and attempt.log.state is not LogState.COLLECTING
