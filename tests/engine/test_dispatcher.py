"""The dispatcher's timing, on a store whose reads take their time."""

from __future__ import annotations

import asyncio
import builtins
from datetime import datetime
from pathlib import Path

from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import Candidate
from spark_jobs.store.sql import SqlStore
from tests.engine.bench import bench


class SlowToTell(SqlStore):
    """Tells what was due only after more has come due."""

    async def candidates(self, now: datetime, *, limit: int) -> builtins.list[Candidate]:
        found = await super().candidates(now, limit=limit)
        await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=0.2)
        return found


async def test_a_job_that_comes_due_while_the_due_ones_are_read_is_started(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeCluster(lambda _: Script(exit_code=7)), kind=SlowToTell) as on:
        job = await on.ends(await on.submit(retries=1, backoff=0.39))
    assert (job.state, len(job.attempts)) == (JobState.FAILED, 2)
