"""Following a log to its true end, attempt by attempt, each byte once, over lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from spark_jobs.client.contact import FIRST_PAUSE, Contact
from spark_jobs.client.link import Link, LogBytes, LogPart, Silent
from spark_jobs.domain.errors import JobNotFound, SparkError
from spark_jobs.domain.job import Job, LogState


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a log: of which attempt (null: the latest; followed: all), or of all, one after the other; the last
    lines, or lines since a time (RFC 3339 or a duration ago); ``timestamps`` puts each line's time before it; with ``json``
    each line is an object of JSON that has it, as over HTTP."""

    attempt: int | None = None
    all_attempts: bool = False
    tail: int | None = None
    since: str | None = None
    timestamps: bool = False
    json: bool = False

    def part(self, attempt: int | None, offset: int | None = None) -> LogPart:
        """What to ask for: all of it by these options, or, once something has come, what follows byte ``offset``."""
        begins = offset is None
        return LogPart(
            attempt=attempt,
            all_attempts=self.all_attempts and attempt is None,
            offset=offset,
            tail=self.tail if begins else None,
            since=self.since if begins else None,
            timestamps=self.timestamps,
            json=self.json,
        )


class LogFollower:
    """Follows one job's log; it holds a position, no bytes."""

    def __init__(self, link: Link, job_id: str, options: LogOptions, contact: Contact) -> None:
        self._link = link
        self._job_id = job_id
        self._options = options
        self._contact = contact
        self._attempt = options.attempt or 1
        self._offset: int | None = None  # null: where the options say
        self._there = 0  # so many attempts there were at the beginning

    async def pieces(self) -> AsyncGenerator[LogBytes, None]:
        """See :meth:`spark_jobs.client.Client.follow`."""
        if self._options != LogOptions() and self._options.attempt is None:
            self._there = len((await self._link.get(self._job_id)).attempts)
            self._attempt = 1 if self._options.all_attempts else max(1, self._there)
        while True:
            came = False
            self._contact.begun()
            try:
                async with aclosing(self._once()) as pieces:
                    async for piece in pieces:
                        self._contact.kept()
                        self._offset = piece.end
                        if piece.data:
                            came = True
                            yield piece
                job = await self._link.get(self._job_id)
            except SparkError as error:
                if isinstance(error, JobNotFound) and self._offset is not None:
                    raise JobNotFound(f"job {self._job_id} was deleted while its log was followed") from error
                await self._contact.lost(error)
                continue
            self._contact.kept()
            if self._options.attempt is None and len(job.attempts) > self._attempt:
                self._attempt += 1
                self._offset = None if self._attempt <= self._there else 0
            elif not came:
                if self._is_over(job):
                    return
                await asyncio.sleep(FIRST_PAUSE)  # a server about to stop ends every stream at once

    async def _once(self) -> AsyncGenerator[LogBytes, None]:
        """One request, until the server ends its answer or has been silent for too long."""
        try:
            async with aclosing(
                self._link.follow_log(self._job_id, self._options.part(self._attempt, self._offset))
            ) as pieces:
                async for piece in pieces:
                    yield piece
        except Silent:
            return  # whether the server is there is seen by the next request

    def _is_over(self, job: Job) -> bool:
        """Whether nothing can be added to this attempt's log any more and, unless it is wanted alone, none follows."""
        if len(job.attempts) < self._attempt:
            return job.state.is_terminal
        attempt = job.attempts[self._attempt - 1]
        ended = job.state.is_terminal if self._options.attempt is None else attempt.state.is_terminal
        return ended and attempt.log.state is not LogState.COLLECTING
