"""A disk that is full while logs are captured: the jobs end as they do, no log has a hole, and all goes on once there is
space again."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from spark_jobs.cluster.fake import Accident, FakeCluster, Script
from spark_jobs.domain.attempt import AttemptKey, AttemptRecord
from spark_jobs.domain.job import LogState
from spark_jobs.domain.state import JobState
from spark_jobs.engine.attempts import ref_of
from spark_jobs.store.base import LogChunk, LogPoint
from spark_jobs.store.sql.store import SqlStore
from tests.engine.bench import Bench, bench, eventually
from tests.fakes.full_disk import files_end_at

CHANCE = random.Random(1)
LINES = tuple(CHANCE.randbytes(500).hex() for _ in range(1500))
TEXT = "".join(f"{line}\n" for line in LINES).encode()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[str], int]:
    """How often the service's log has said something."""
    return lambda text: sum(text in record.getMessage() for record in caplog.records)


async def begun(on: Bench) -> str:
    """A job that writes on while it runs."""
    job_id = await on.submit()
    await on.until(job_id, lambda job: job.started_at is not None)
    return job_id


def _over(cluster: FakeCluster, record: AttemptRecord) -> bool:
    pod = cluster.observe(ref_of(record)).pod
    return pod is not None and pod.over


async def test_a_log_is_whole_when_there_is_space_in_time(tmp_path: Path, said: Callable[[str], int]) -> None:
    cluster = FakeCluster(lambda _spec: Script(lines=LINES, line_every=0.001, runs=1.7, exit_code=3))
    async with bench(tmp_path, cluster, log_grace=1.0) as on:
        job_id = await begun(on)
        with files_end_at(450_000):
            await eventually(lambda: said("can't store a log now") > 1)
            job = await on.ends(job_id)
            assert (job.state, job.exit_code) == (JobState.FAILED, 3)
            assert job.attempts[0].log.state is LogState.COLLECTING
        await on.closed()
        log = (await on.service.get(job_id)).attempts[0].log
        assert (log.state, log.problem, log.bytes) == (LogState.COMPLETE, None, len(TEXT))
        assert await on.log(job_id) == TEXT
    assert said("collecting a log failed") == 0


async def test_a_fault_of_ours_in_storing_leaves_no_hole_and_no_follow_that_stores_nothing(
    tmp_path: Path, said: Callable[[str], int]
) -> None:
    class Faulty(SqlStore):
        """Fails once with what no store should."""

        appends_since = -1

        async def log_append(self, key: AttemptKey, chunks: Sequence[LogChunk], point: LogPoint) -> None:
            if self.appends_since < 0 and point.lines > 3:
                Faulty.appends_since = 0
                raise RuntimeError("a fault in storing")
            await super().log_append(key, chunks, point)
            Faulty.appends_since += self.appends_since >= 0

    lines = LINES[:40]
    async with bench(
        tmp_path, FakeCluster(lambda _spec: Script(lines=lines, line_every=0.1, runs=4.1)), kind=Faulty
    ) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
        log = (await on.service.get(job_id)).attempts[0].log
        assert (log.state, log.problem) == (LogState.COMPLETE, None)
        assert await on.log(job_id) == "".join(f"{line}\n" for line in lines).encode()
    assert Faulty.appends_since > 3, "it was stored while the container ran"
    assert said("storing a log failed") == 1


async def test_nothing_can_be_written_at_all(tmp_path: Path, said: Callable[[str], int]) -> None:
    """The end of the job can't be stored either: it is once there is space, with the cluster's own time."""
    cluster = FakeCluster(lambda _spec: Script(lines=LINES, line_every=0.001, runs=1.7, exit_code=3))
    async with bench(tmp_path, cluster, log_grace=1.0) as on:
        job_id = await begun(on)
        with files_end_at(1):
            [record] = await on.core.store.open_attempts()
            await eventually(lambda: said("can't store a log now") > 0 and _over(cluster, record))
            assert (await on.service.get(job_id)).state is JobState.RUNNING
        job = await on.ends(job_id)
        await on.closed()
        assert (job.state, job.exit_code) == (JobState.FAILED, 3)
        assert (await on.service.get(job_id)).attempts[0].log.state is LogState.COMPLETE
        assert await on.log(job_id) == TEXT
        assert (await on.ends(await on.submit())).state is JobState.FAILED
    assert said("collecting a log failed") == 0


async def test_a_log_that_goes_away_meanwhile_is_incomplete_with_its_place(
    tmp_path: Path, said: Callable[[str], int]
) -> None:
    cluster = FakeCluster(lambda _spec: Script(lines=LINES, line_every=0.001, runs=1.7))
    async with bench(tmp_path, cluster, log_grace=1.0) as on:
        job_id = await begun(on)
        with files_end_at(450_000):
            await eventually(lambda: said("can't store a log now") > 1)
            await on.ends(job_id)
            cluster.happen(job_id, Accident.VANISH)
        await on.closed()
        log = (await on.service.get(job_id)).attempts[0].log
        assert (await on.service.get(job_id)).state is JobState.SUCCEEDED
        assert log.state is LogState.INCOMPLETE
        stored = await on.log(job_id)
        assert TEXT.startswith(stored)
        assert (log.bytes, log.problem) == (len(stored), f"after byte {len(stored)}: the pod is gone")
    assert said("collecting a log failed") == 0


async def test_a_server_that_is_stopped_while_its_disk_is_full_goes_on_later(
    tmp_path: Path, said: Callable[[str], int]
) -> None:
    cluster = FakeCluster(lambda _spec: Script(lines=LINES, line_every=0.001, runs=1.7))
    with files_end_at(10**9):
        async with bench(tmp_path, cluster, log_grace=10.0) as on:
            job_id = await begun(on)
            resource.setrlimit(resource.RLIMIT_FSIZE, (450_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
            await eventually(lambda: said("can't store a log now") > 1)
    async with bench(tmp_path, cluster, log_grace=10.0) as on:
        await on.ends(job_id)
        await on.closed()
        assert (await on.service.get(job_id)).attempts[0].log.state is LogState.COMPLETE
        assert await on.log(job_id) == TEXT
    assert said("collecting a log failed") == 0
