"""Reading a log to its true end: attempt by attempt, each byte once, over lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec

from spark_jobs.client.contact import FIRST_PAUSE, Contact
from spark_jobs.client.transport import READ_TIMEOUT, Silent, Transport, job_path
from spark_jobs.domain.errors import SparkError
from spark_jobs.domain.job import Job, LogState

# A log may be silent for hours; after this time the connection is made anew, in case it is dead and nobody said so.
SILENCE = 30.0


class LogBytes(msgspec.Struct, frozen=True):
    """A piece of one attempt's log, which begins at byte ``offset``."""

    attempt: int
    offset: int
    data: bytes


async def read_log(
    transport: Transport, job_id: str, params: Mapping[str, str], *, read_timeout: float | None = READ_TIMEOUT
) -> AsyncIterator[bytes]:
    """One request for a log, as it comes."""
    async with transport.stream(f"{job_path(job_id)}/logs", params, read_timeout=read_timeout) as pieces:
        async for piece in pieces:
            yield piece


async def follow_log(
    transport: Transport,
    get: Callable[[str], Awaitable[Job]],
    job_id: str,
    attempt: int | None,
    contact: Contact,
) -> AsyncIterator[LogBytes]:
    """See :meth:`spark_jobs.client.Client.follow`."""
    number, offset = attempt or 1, 0
    while True:
        start = offset
        try:
            params = {"attempt": str(number), "follow": "true", "offset": str(offset)}
            try:
                async for piece in read_log(transport, job_id, params, read_timeout=SILENCE):
                    contact.kept()
                    yield LogBytes(number, offset, piece)
                    offset += len(piece)
            except Silent:
                pass  # whether the server is there is seen by the next request
            job = await get(job_id)
        except SparkError as error:
            await contact.lost(error)
            continue
        contact.kept()
        if len(job.attempts) > number and attempt is None:
            number, offset = number + 1, 0
        elif _is_over(job, number, alone=attempt is not None) and (
            offset == start or offset >= job.attempts[number - 1].log.bytes
        ):
            return
        elif offset == start:
            await asyncio.sleep(FIRST_PAUSE)  # a server about to stop ends every stream at once


def _is_over(job: Job, number: int, *, alone: bool) -> bool:
    """Whether nothing can be added to this attempt's log any more and, unless it is wanted alone, no attempt follows."""
    if len(job.attempts) < number:
        return job.state.is_terminal
    attempt = job.attempts[number - 1]
    ended = attempt.state.is_terminal if alone else job.state.is_terminal
    return ended and attempt.log.state is not LogState.COLLECTING
