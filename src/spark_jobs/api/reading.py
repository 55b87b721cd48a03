"""Which part of a log to read, and how to go on with it: what the parameters mean in every interface."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime

import msgspec

from spark_jobs.api.query import Query
from spark_jobs.api.stream import closing
from spark_jobs.service import JobService, LogPart, LogPiece

PARAMETERS = ("attempt", "all_attempts", "follow", "offset", "tail", "since", "timestamps")


def read_part(query: Query, now: datetime) -> LogPart:
    """The part that these parameters ask for. Raises InvalidSpec."""
    part = LogPart(
        attempt=query.whole("attempt"),
        all_attempts=query.flag("all_attempts"),
        follow=query.flag("follow"),
        offset=query.whole("offset") or 0,
        tail=query.whole("tail"),
        since=query.moment("since", now),
        timestamps=query.flag("timestamps"),
    )
    if part.all_attempts and (part.attempt is not None or part.offset):
        query.fault("all_attempts", "contradictory", "goes with no `attempt` and no `offset`, which are of one attempt")
    query.done()
    return part


async def read_on(service: JobService, job_id: str, part: LogPart) -> AsyncGenerator[LogPiece, None]:
    """The part of one attempt's log; with ``follow`` or ``all_attempts``, on through later attempts, as if the reader had
    never been away."""
    attempt, goes_on = part.attempt, part.follow or part.all_attempts
    if attempt is not None:
        part = msgspec.structs.replace(part, all_attempts=False)
    while True:
        async with closing(service.logs(job_id, part)) as pieces:
            async for piece in pieces:
                yield piece
        if attempt is None or not goes_on or len((await service.get(job_id)).attempts) <= attempt:
            return
        attempt += 1
        part = LogPart(attempt=attempt, follow=part.follow, timestamps=part.timestamps)
