"""Reading a log that is still being collected although its job is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from spark_jobs.cluster.fake import FakeCluster, LogFault, LogTrouble, Script
from spark_jobs.domain.job import LogState
from tests.engine.bench import PATIENCE, bench, scripts

# Longer unreadable than a job waits for its log, so that the job is over first.
UNREADABLE = Script(lines=("one",), log_faults=(LogFault(trouble=LogTrouble.UNAVAILABLE),) * 100)


@pytest.mark.parametrize("follow", [False, True])
async def test_a_reader_is_let_go_once_nothing_more_can_come(tmp_path: Path, follow: bool) -> None:
    async with bench(tmp_path / "data", FakeCluster(scripts(unreadable=UNREADABLE))) as core:
        job_id = await core.submit(command=["unreadable"])
        job = await core.ends(job_id)
        assert job.attempts[0].log.state is LogState.COLLECTING
        async with asyncio.timeout(PATIENCE):
            assert await core.log(job_id, follow=follow) == b""
        assert (await core.service.get(job_id)).attempts[0].log.state is LogState.INCOMPLETE
