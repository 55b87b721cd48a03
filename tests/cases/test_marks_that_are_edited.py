"""Somebody edits by hand what marks a job's objects as ours. They are known by their uids, too: nothing is misled."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.cluster import marks
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case, stage
from tests.fakes.answering import Json
from tests.fakes.hurry import hurried

CLAIMS: dict[str, Json] = {
    "taken off": {"annotations": {marks.CLAIM: None}},
    "changed": {"annotations": {marks.CLAIM: "another"}},
}


async def check_own_end(c: Case, job_id: str, what: str) -> None:
    """It ends when its program does, with all that belongs to that."""
    job, took = await c.ends_after_its_container(job_id, 7)
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "NonZeroExit", 7)
    figures.at_most(f"marks, {what}: from the container's end to the job's", took, 5)
    assert await c.log(job_id) == "begin\nend\n"
    assert job.attempts[0].log.complete
    await c.closed()
    figures.exactly(f"marks, {what}: pods ever", len(c.api.pods_ever), 1)


def edit(c: Case, job_id: str, change: Json) -> None:
    """The Job and its pod."""
    c.api.mark("jobs", c.api.job_of(job_id)["metadata"]["name"], change)
    c.api.mark("pods", c.api.life_of(job_id).name, change)


@pytest.mark.parametrize("how", CLAIMS)
def test_a_claim_is_edited_while_the_container_runs(how: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await c.submit("run", "3600")
            await c.running(job_id)
            edit(c, job_id, CLAIMS[how])
            await check_own_end(c, job_id, f"claim {how}")

    run()


@pytest.mark.parametrize("how", CLAIMS)
def test_a_claim_is_edited_while_no_server_runs(how: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with stage(tmp_path) as made:
            async with made.core() as c:
                job_id = await c.submit("run", "3600")
                await c.running(job_id)
            edit(c, job_id, CLAIMS[how])
            async with made.core() as c:
                await check_own_end(c, job_id, f"claim {how} while no server runs")

    run()


@hurried()
async def test_a_job_whose_claim_was_taken_off_can_be_cancelled(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await c.submit("run", "3600")
        await c.running(job_id)
        edit(c, job_id, CLAIMS["taken off"])
        await c.service.cancel(job_id)
        job = await c.ends(job_id)
        assert (job.state, job.exit_code) == (JobState.CANCELLED, 143)
        assert job.attempts[0].log.complete
        await c.closed()
