"""What a restart must not do to a log: read a settled one again, or take one away with its pod (invariant 6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from spark_jobs.cluster.base import AttemptRef, LogLines, PodSeen, Running, Waiting
from spark_jobs.cluster.fake import Accident, FakeCluster, Script
from spark_jobs.domain.attempt import AttemptChanges, AttemptKey, AttemptRecord, Phase, StopCause
from spark_jobs.domain.errors import LogUnavailable
from spark_jobs.domain.job import LogState
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.engine.steps import Halt, Memo, Wait
from spark_jobs.engine.tracker import decide
from spark_jobs.store.sql.store import SqlStore
from tests.engine.bench import bench
from tests.engine.records import after, pod, record, shows


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


@pytest.mark.parametrize(
    ("problem", "state"),
    [
        ("after byte 2: 2 bytes are lost, as the database of logs was damaged", LogState.INCOMPLETE),
        ("read once more, as the database of logs was damaged", LogState.UNVERIFIED),
    ],
)
async def test_a_log_of_which_the_store_has_lost_some_is_not_complete(
    problem: str, state: LogState, tmp_path: Path
) -> None:
    """Who reads it on does not know of that."""
    cluster = FakeCluster(lambda _spec: Script(lines=("a", "b"), runs=None))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.started_at is not None)
        await on.core.store.note(AttemptKey(job_id, 1), AttemptChanges(log_problem=problem))
        cluster.finish(job_id)
        log = (await on.ends(job_id)).attempts[0].log
        assert (log.state, log.problem) == (state, problem)
        await on.closed()


@pytest.mark.parametrize("known", [{"running_at": after(2), "pod": "pod-1"}, {}], ids=["ran", "may have begun to run"])
def test_a_stop_of_what_is_out_of_sight_waits_until_it_is_seen(known: dict[str, Any]) -> None:
    """Deleted unseen, a container that runs would take its log along; halted, it leaves it. It may have begun to run while
    the server was down."""
    stopped = record(Phase.STOPPING, stop_cause=StopCause.CANCEL, **known)
    unseen = decide(stopped, shows(None, current=False, job=None), Memo(), after(5), EngineSettings())
    assert unseen == Wait()
    seen = decide(stopped, shows(pod(Running(started_at=after(1)))), Memo(), after(5), EngineSettings())
    assert isinstance(seen, Halt)


class Unsettled(SqlStore):
    """The server is killed before it can write down that a log is settled."""

    async def note(self, key: AttemptKey, changes: AttemptChanges) -> AttemptRecord:
        if isinstance(changes.settled_at, datetime):
            await asyncio.Event().wait()
        return await super().note(key, changes)


@pytest.mark.parametrize(
    ("script", "state", "problem"),
    [
        (Script(pending=None, waiting=Waiting(reason="InvalidImageName")), LogState.COMPLETE, None),
        (Script(lines=("a",), runs=0.1), LogState.INCOMPLETE, "the pod is gone"),
    ],
    ids=["never ran", "ran"],
)
async def test_a_pod_that_went_while_the_server_was_down_leaves_a_whole_log_only_if_nothing_ran(
    tmp_path: Path, script: Script, state: LogState, problem: str | None
) -> None:
    cluster = Forgetful(lambda _spec: script)
    cluster.forgot = True
    async with bench(tmp_path, cluster, kind=Unsettled) as on:
        job_id = await on.submit()
        await on.ends(job_id)
    if problem is not None:  # the other pod was deleted, since it could never run
        cluster.happen(job_id, Accident.VANISH)
    async with bench(tmp_path, cluster) as on:
        job = await on.until(job_id, lambda job: job.attempts[0].log.state is not LogState.COLLECTING)
        assert (job.attempts[0].log.state, job.attempts[0].log.problem) == (state, problem)
