"""A job waits for its log, but not for long: ``log_grace`` counts from its container's own end, whatever the clocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import msgspec
import pytest

from spark_jobs.app.choose import choose_fake
from spark_jobs.app.core import running
from spark_jobs.cluster.base import AttemptRef, LogLines, Observation, PodSeen, Terminated
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.job import LogState
from spark_jobs.domain.state import JobState
from spark_jobs.engine.ending import awaited_until
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.runner.keywords import settings_from
from tests.engine.records import after


@pytest.mark.parametrize(
    ("finished", "offset", "until"),
    [
        pytest.param(20, 0, 28, id="seen at once"),
        pytest.param(16, 0, 24, id="seen late"),
        pytest.param(16 - 300, 300, 24, id="seen late, by a clock that is behind"),
        pytest.param(16 + 300, -300, 24, id="seen late, by a clock that is ahead"),
        pytest.param(21, 0, 28, id="after it was seen, it seems"),
        pytest.param(900, 0, 28, id="by a clock that nobody compared, ahead"),
        pytest.param(-900, 0, 22, id="by a clock that nobody compared, behind, or long ago"),
        pytest.param(None, 0, 28, id="never told"),
    ],
)
def test_the_grace_counts_from_the_containers_end_by_our_clock(finished: int | None, offset: int, until: int) -> None:
    told = None if finished is None else after(finished)
    assert awaited_until(told, after(20), timedelta(seconds=offset), 8) == after(until)


class Endless(FakeCluster):
    """Its logs never come to an end. Its clock is so far behind ours, and a pod is over so long after its container."""

    def __init__(self, *, behind: timedelta, late: float) -> None:
        super().__init__(lambda _spec: Script(runs=5.0, over_after=late))
        self.behind = behind

    def clock_offset(self) -> timedelta:
        return self.behind

    def observe(self, ref: AttemptRef) -> Observation:
        seen = super().observe(ref)
        if seen.pod is None or not isinstance(seen.pod.container, Terminated):
            return seen
        assert seen.pod.container.finished_at is not None
        finished = seen.pod.container.finished_at - self.behind
        container = msgspec.structs.replace(seen.pod.container, finished_at=finished)
        return msgspec.structs.replace(seen, pod=msgspec.structs.replace(seen.pod, container=container))

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        await asyncio.Event().wait()
        yield LogLines(data=b"", stamps=())


@pytest.mark.looptime
@pytest.mark.parametrize("behind", [timedelta(0), timedelta(minutes=5), timedelta(minutes=-5)], ids=str)
async def test_a_job_has_its_state_in_time_though_its_end_was_seen_late(behind: timedelta) -> None:
    cluster = Endless(behind=behind, late=4.0)
    async with running(choose_fake(settings_from({}), cluster, in_memory=True)) as core:
        job_id = (await core.service.submit({"image": "busybox:1"})).job.id
        job = await core.service.get(job_id, wait=100)
        assert job.finished_at is not None
        assert (job.state, job.attempts[0].log.state) == (JobState.SUCCEEDED, LogState.COLLECTING)
        waited = cluster.clock() - (job.finished_at + behind)
        assert waited.total_seconds() == pytest.approx(EngineSettings().log_grace, abs=0.1)
