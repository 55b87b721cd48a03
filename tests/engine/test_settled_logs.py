"""A log that is settled stays as it is, whatever is seen of its pod after a restart (invariant 6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from spark_jobs.cluster.base import AttemptRef, LogLines, PodSeen
from spark_jobs.cluster.fake import Accident, FakeCluster, Script
from spark_jobs.domain.errors import LogUnavailable
from spark_jobs.domain.job import LogState
from tests.engine.bench import bench


class Forgetful(FakeCluster):
    """Its logs can be read until it forgets them."""

    forgot = False

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        if self.forgot:
            raise LogUnavailable("404: not found", gone=True)
        async for lines in super().logs(ref, pod, since_ns=since_ns, follow=follow):
            yield lines


@pytest.mark.parametrize("meanwhile", [None, Accident.VANISH])
async def test_a_log_that_was_settled_before_the_slot_was_free(tmp_path: Path, meanwhile: Accident | None) -> None:
    """A container's end shows before its pod is over; the server may be killed in between."""
    cluster = Forgetful(lambda _spec: Script(lines=("a", "b"), runs=0.1, over_after=0.6))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        job = await on.until(job_id, lambda job: job.attempts != [] and job.attempts[0].log.state is LogState.COMPLETE)
        assert not job.state.is_terminal
    cluster.forgot = True
    if meanwhile is not None:
        cluster.happen(job_id, meanwhile)
    async with bench(tmp_path, cluster) as on:
        await on.ends(job_id)
        await on.closed()
        job = await on.service.get(job_id)
        assert (job.attempts[0].log.state, job.attempts[0].log.problem) == (LogState.COMPLETE, None)
        assert await on.log(job_id) == b"a\nb\n"
