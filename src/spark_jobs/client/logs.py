"""Reading a log, or following it to its true end: attempt by attempt, each byte once, over lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

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

    def part(self, attempt: int | None, offset: int | None, *, follow: bool) -> LogPart:
        """What to ask for: all of it by these options, or, once something has come, what follows byte ``offset``."""
        begins = offset is None
        return LogPart(
            follow=follow,
            attempt=attempt,
            offset=offset,
            tail=self.tail if begins else None,
            since=self.since if begins else None,
            timestamps=self.timestamps,
            json=self.json,
        )


class LogReader:
    """Reads one job's log; it holds a position, no bytes."""

    def __init__(self, link: Link, job_id: str, options: LogOptions, contact: Contact) -> None:
        self._link = link
        self._job_id = job_id
        self._options = options
        self._contact = contact
        self._attempt = options.attempt
        self._offset: int | None = None  # null: where the options say
        self._stood = False

    async def now(self) -> AsyncGenerator[LogBytes, None]:
        """See :meth:`spark_jobs.client.Client.logs`."""
        for attempt in await self._chosen():
            self._attempt, self._offset = attempt, None
            while True:
                try:
                    async with aclosing(self._once(follow=False)) as pieces:
                        async for piece in pieces:
                            yield piece
                except SparkError as error:
                    if not self._stood:
                        raise
                    await self._lost(error)
                else:
                    self._contact.kept()
                    break

    async def _chosen(self) -> Sequence[int | None]:
        """The attempts to read. They are named, since what is the latest may change before it is read on."""
        if self._options.attempt is not None:
            return [self._options.attempt]
        there = [each.attempt for each in (await self._link.get(self._job_id)).attempts]
        return there if self._options.all_attempts else there[-1:] or [None]

    async def followed(self) -> AsyncGenerator[LogBytes, None]:
        """See :meth:`spark_jobs.client.Client.follow`."""
        there = 0  # so many attempts there were at the beginning
        self._attempt = self._options.attempt or 1
        if self._options.attempt is None and self._begins_later:
            there = len((await self._link.get(self._job_id)).attempts)
            of_each = self._options.all_attempts or self._options.tail is None
            self._attempt = 1 if of_each else max(1, there)
        while True:
            came = False
            try:
                with suppress(Silent):  # whether the server is there is seen by the next request
                    async with aclosing(self._once(follow=True)) as pieces:
                        async for piece in pieces:
                            came = True
                            yield piece
                job = await self._link.get(self._job_id)
            except SparkError as error:
                await self._lost(error)
                continue
            self._contact.kept()
            if self._options.attempt is None and len(job.attempts) > self._attempt:
                self._attempt += 1
                self._offset = None if self._attempt <= there else 0
            elif not came:
                if self._is_over(job, self._attempt):
                    return
                await asyncio.sleep(FIRST_PAUSE)  # a server about to stop ends every stream at once

    @property
    def _begins_later(self) -> bool:
        """Whether what is there already is asked for in part, or attempt by attempt."""
        return self._options.all_attempts or self._options.tail is not None or self._options.since is not None

    async def _once(self, *, follow: bool) -> AsyncGenerator[LogBytes, None]:
        """One request, from where the last one came to, until the server ends its answer."""
        self._contact.begun()
        part = self._options.part(self._attempt, self._offset, follow=follow)
        async with aclosing(self._link.log(self._job_id, part)) as pieces:
            async for piece in pieces:
                self._contact.kept()
                self._offset = piece.end
                self._stood = True
                if piece.data:
                    yield piece

    async def _lost(self, error: SparkError) -> None:
        """Wait until it makes sense to go on; raises where it can't be gone on."""
        if isinstance(error, JobNotFound) and self._stood:
            raise JobNotFound(f"job {self._job_id} was deleted while its log was read") from error
        await self._contact.lost(error)

    def _is_over(self, job: Job, number: int) -> bool:
        """Whether nothing can be added to this attempt's log any more and, unless it is wanted alone, none follows."""
        if len(job.attempts) < number:
            return job.state.is_terminal
        attempt = job.attempts[number - 1]
        ended = job.state.is_terminal if self._options.attempt is None else attempt.state.is_terminal
        return ended and attempt.log.state is not LogState.COLLECTING
