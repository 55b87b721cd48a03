"""What people write instead of a job's whole id."""

from __future__ import annotations

import re

from spark_jobs.client.link import Link
from spark_jobs.client.views import JobQuery
from spark_jobs.domain.errors import JobNotFound
from spark_jobs.domain.ids import ID_PREFIX

LATEST = "@latest"
SHORTEST_PREFIX = 4
_GENERATED = re.compile(r"spark-job-[a-z0-9]{15}")
_SHOWN = 4


async def find_id(link: Link, reference: str) -> str:
    """See :meth:`spark_jobs.client.Client.resolve`."""
    if _GENERATED.fullmatch(reference):
        return reference
    if reference == LATEST:
        newest = await link.page(JobQuery(), size=1, token=None)
        if not newest.jobs:
            raise JobNotFound("there is no job yet, so @latest names none")
        return newest.jobs[0].id
    try:
        return (await link.get(reference)).id
    except JobNotFound:
        return await _by_prefix(link, reference)


async def _by_prefix(link: Link, reference: str) -> str:
    prefix = reference if reference.startswith(ID_PREFIX) else ID_PREFIX + reference
    random_part = prefix.removeprefix(ID_PREFIX)
    none = JobNotFound(f"there is no job {reference!r}, nor one whose id's random part begins so (see `spark list`)")
    if not re.fullmatch(r"[a-z0-9]{1,15}", random_part):
        raise none
    if len(random_part) < SHORTEST_PREFIX:
        text = f"there is no job {reference!r}; an id's prefix needs at least {SHORTEST_PREFIX} characters to count"
        raise JobNotFound(text)
    found = (await link.page(JobQuery(id_prefix=prefix), size=_SHOWN, token=None)).jobs
    if not found:
        raise none
    if len(found) > 1:
        ids = ", ".join(job.id for job in found)
        raise JobNotFound(f"{reference!r} is not one job but several: {ids}; write more of the id")
    return found[0].id
