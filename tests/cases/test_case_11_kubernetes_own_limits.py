"""Case 11 on the scripted server: the nets below Spark's own limits end a job, in every order of what is to be seen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case, stage
from tests.fakes.answering import Json
from tests.fakes.control_plane import stamp
from tests.fakes.hurry import hurried

TARGET: Json = {
    "type": "FailureTarget",
    "status": "True",
    "reason": "DeadlineExceeded",
    "message": "Job was active longer",
}
FAILED: Json = {**TARGET, "type": "Failed"}

ORDERS = {
    "target, pod, failed": ["target", "pod", "failed"],
    "target and failed, pod": ["target", "failed", "pod"],
    "failed before target, pod": ["failed", "both", "pod"],
    "failed alone, pod": ["failed", "pod"],
    "pod, failed": ["pod", "failed"],
    "pod in two steps, failed": ["deleting", "pod", "failed"],
    "target, pod in two steps, failed": ["target", "deleting", "pod", "failed"],
}
CONDITIONS = {"target": [TARGET], "failed": [TARGET, FAILED], "both": [FAILED, TARGET]}


async def happen(c: Case, job_id: str, step: str) -> None:
    """One step of what the Job controller does when a Job's deadline is over."""
    name = c.api.life_of(job_id).name
    if step == "deleting":
        pod = c.api.objects["pods"][name]
        c.api.put("pods", {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": stamp(c.api.now())}})
    elif step == "pod":
        c.api.remove("pods", name)
    elif c.api.objects["jobs"]:  # Spark may have understood already, and cleaned up
        c.api.put("jobs", {**c.api.job_of(job_id), "status": {"conditions": CONDITIONS[step]}})


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("apart", [0.0, 1.5], ids=["at once", "apart"])
def test_the_jobs_own_deadline_takes_the_pod_away(order: str, apart: float, tmp_path: Path) -> None:
    """Nobody but Kubernetes ended it, by the limit that the job was given: it timed out, whatever came first."""

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await c.submit("run", "3600", timeout=5000)
            await c.running(job_id)
            for step in ORDERS[order]:
                await happen(c, job_id, step)
                await asyncio.sleep(apart)
            job = await c.ends(job_id)
            figures.exactly(f"case 11, {order}", f"{job.state.value} {job.reason}", "TIMED_OUT DeadlineExceeded")
            assert job.exit_code is None
            await c.closed()

    run()


@pytest.mark.parametrize("order", ORDERS)
def test_the_same_while_no_server_runs(order: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with stage(tmp_path) as made:
            async with made.core() as c:
                job_id = await c.submit("run", "3600", timeout=5000)
                await c.running(job_id)
            for step in ORDERS[order]:
                await happen(c, job_id, step)
            async with made.core() as c:
                job = await c.ends(job_id)
                assert (job.state, job.reason) == (JobState.TIMED_OUT, "DeadlineExceeded")
                assert not job.attempts[0].log.complete
                await c.closed()

    run()


@hurried()
async def test_the_pods_own_deadline_keeps_pod_log_and_exit_code(tmp_path: Path) -> None:
    """The net of the pod, while no server runs."""
    async with stage(tmp_path) as made:
        async with made.core() as c:
            job_id = await c.submit("run", "3600", timeout=5)
            await c.running(job_id)
        made.api.life_of(job_id).halt()
        await made.api.life_of(job_id).over.wait()
        async with made.core() as c:
            job = await c.ends(job_id)
            assert (job.state, job.reason, job.exit_code) == (JobState.TIMED_OUT, "DeadlineExceeded", 143)
            assert await c.log(job_id) == "begin\n"
            await c.closed()


@hurried()
async def test_a_pod_that_somebody_deletes_is_not_a_time_limit(tmp_path: Path) -> None:
    """Its Job fails as well, a moment later, for another reason."""
    async with case(tmp_path) as c:
        job_id = await c.submit("run", "3600")
        await c.running(job_id)
        await happen(c, job_id, "pod")
        lost = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
        await asyncio.sleep(1)
        c.api.put("jobs", {**c.api.job_of(job_id), "status": {"conditions": [lost]}})
        job = await c.ends(job_id)
        assert (job.state, job.exit_code) == (JobState.FAILED, None)
        assert job.reason in {"DeletedExternally", "Lost"}
        await c.closed()


@hurried()
async def test_our_own_limit_while_its_job_is_deleted_by_somebody(tmp_path: Path) -> None:
    """The wish was first: the job timed out."""
    async with case(tmp_path) as c:
        job_id = await c.submit("stubborn", "3600", timeout=5, termination_grace=3)
        job = await c.until(job_id, lambda job: job.activity == "stopping")
        await happen(c, job_id, "deleting")
        job = await c.ends(job_id)
        assert (job.state, job.reason, job.exit_code) == (JobState.TIMED_OUT, "DeadlineExceeded", 137)
