"""What the service decides by itself, on a real store."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.app.core import utc_now
from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.errors import InvalidSpec, NotRetryable
from spark_jobs.domain.limits import JobLimits
from spark_jobs.logs import LogBook
from spark_jobs.service import JobService, Policy
from tests.engine.bench import Bench, bench


def restricted(on: Bench, limits: JobLimits) -> JobService:
    """A service on the same store, of an installation that has become stricter."""
    policy = Policy(defaults=Defaults(), limits=limits)
    return JobService(on.core.store, LogBook(on.core.store, on.core.bus), on.core.bus, policy, clock=utc_now)


async def test_a_retry_keeps_to_the_limits_of_today(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeCluster()) as on:
        job = await on.ends(await on.submit(timeout=60))
        with pytest.raises(InvalidSpec, match="max_timeout"):
            await restricted(on, JobLimits(max_timeout=5)).retry(job.id)
        again = await on.service.retry(job.id)
        assert (again.retry_of, again.spec.timeout) == (job.id, 60)


async def test_a_job_under_way_is_not_retried(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeCluster()) as on:
        await on.service.set_paused(True)
        job_id = await on.submit()
        with pytest.raises(NotRetryable, match="QUEUED"):
            await on.service.retry(job_id)
