"""What to look for in logs, and in which: what the parameters of a search mean in every interface."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime

import msgspec

from spark_jobs.api.checks import checked_job_id
from spark_jobs.api.query import Query, as_parameter
from spark_jobs.api.stream import closing
from spark_jobs.domain.errors import InvalidSpec
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.search.query import LogSearch
from spark_jobs.service import JobService
from spark_jobs.store.base import JobFilter

PARAMETERS = ("pattern", "fixed", "ignore_case", "context", "state", "label", "name", "job", "since", "limit")
LIMIT = 1000


def read_search(query: Query, now: datetime) -> LogSearch:
    """The search that these parameters ask for. Raises InvalidSpec, JobNotFound."""
    context, limit = query.whole("context"), query.whole("limit")
    which = JobFilter(states=query.states("state"), labels=query.labels("label"), name=query.text("name"))
    job_id = query.text("job")
    search = LogSearch(
        pattern=query.needed("pattern"),
        fixed=query.flag("fixed"),
        ignore_case=query.flag("ignore_case"),
        context=context or 0,
        which=which,
        job_id=job_id,
        since=query.moment("since", now),
        limit=limit or LIMIT,
    )
    query.done()
    if job_id is not None:
        checked_job_id(job_id)
    return search


async def found_in(
    service: JobService, search: LogSearch, *, place: Callable[[str], str] = as_parameter
) -> AsyncGenerator[LogMatch | SearchProgress, None]:
    """What the service finds; ``place`` gives the pointer of a fault. Raises as ``JobService.search``."""
    try:
        async with closing(service.search(search)) as items:
            async for item in items:
                yield item
    except InvalidSpec as error:
        faults = [msgspec.structs.replace(fault, pointer=place(fault.pointer)) for fault in error.faults]
        raise InvalidSpec(faults) from None
