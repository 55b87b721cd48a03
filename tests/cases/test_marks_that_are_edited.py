"""Somebody edits by hand what marks a job's objects as ours. They are known by their uids, too: nothing is misled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from spark_jobs.cluster import marks
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case, stage
from tests.fakes.answering import Json, answers
from tests.fakes.hurry import hurried

CLAIMS: dict[str, Json] = {
    "taken off": {"annotations": {marks.CLAIM: None}},
    "changed": {"annotations": {marks.CLAIM: "another"}},
}
_UNLABELLED = dict.fromkeys([marks.MANAGED_BY, marks.INSTANCE, marks.JOB, marks.ATTEMPT])

LABELS: dict[str, Json] = {
    "one taken off": {"labels": {marks.INSTANCE: None}},
    "changed": {"labels": {marks.INSTANCE: "another"}},
    "taken off": {"labels": _UNLABELLED},
    "all marks taken off": {"labels": _UNLABELLED, "annotations": {marks.CLAIM: None}},
}


async def begun(c: Case, *words: str, **spec: object) -> str:
    """A job whose container runs."""
    job_id = await c.submit(*words, **spec)
    await c.running(job_id)
    return job_id


async def check_own_end(c: Case, job_id: str, what: str) -> None:
    """It ends when its program does, with all that belongs to that."""
    job, took = await c.ends_after_its_container(job_id, 7)
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "NonZeroExit", 7)
    figures.at_most(f"marks, {what}: from the container's end to the job's", took, 5)
    assert await c.log(job_id) == "begin\nend\n"
    assert job.attempts[0].log.complete
    await c.closed()
    figures.exactly(f"marks, {what}: pods ever", len(c.api.pods_ever), 1)


def edit(c: Case, job_id: str, change: Json, *, jobs: bool = True) -> None:
    """Of the pod, and of its Job."""
    if jobs:
        c.api.mark("jobs", c.api.job_of(job_id)["metadata"]["name"], change)
    c.api.mark("pods", c.api.life_of(job_id).name, change)


@pytest.mark.parametrize("how", CLAIMS)
def test_a_claim_is_edited_while_the_container_runs(how: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await begun(c, "run", "3600")
            edit(c, job_id, CLAIMS[how])
            await check_own_end(c, job_id, f"claim {how}")

    run()


@pytest.mark.parametrize("how", CLAIMS)
def test_a_claim_is_edited_while_no_server_runs(how: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with stage(tmp_path) as made:
            async with made.core() as c:
                job_id = await begun(c, "run", "3600")
            edit(c, job_id, CLAIMS[how])
            async with made.core() as c:
                await check_own_end(c, job_id, f"claim {how} while no server runs")

    run()


@hurried()
async def test_a_job_whose_claim_was_taken_off_can_be_cancelled(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await begun(c, "run", "3600")
        edit(c, job_id, CLAIMS["taken off"])
        await c.service.cancel(job_id)
        job = await c.ends(job_id)
        assert (job.state, job.exit_code) == (JobState.CANCELLED, 143)
        assert job.attempts[0].log.complete
        await c.closed()


@pytest.mark.parametrize("how", LABELS)
@pytest.mark.parametrize("what", ["pod", "both"])
def test_labels_are_taken_off_while_the_container_runs(how: str, what: str, tmp_path: Path) -> None:
    """To the watch the pod is deleted; it runs on, and nothing runs beside it."""

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await begun(c, "run", "3600", retries=1, retry_on=["DeletedExternally"])
            edit(c, job_id, LABELS[how], jobs=what == "both")
            await asyncio.sleep(20)
            assert (await c.service.get(job_id)).state is JobState.RUNNING
            await check_own_end(c, job_id, f"labels of {what}, {how}")

    run()


@pytest.mark.parametrize("how", LABELS)
def test_labels_are_taken_off_while_no_server_runs(how: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with stage(tmp_path) as made:
            async with made.core() as c:
                job_id = await begun(c, "run", "3600", retries=1, retry_on=["Lost"])
            edit(c, job_id, LABELS[how])
            async with made.core() as c:
                await asyncio.sleep(20)
                await check_own_end(c, job_id, f"labels, {how}, while no server runs")

    run()


@pytest.mark.parametrize("how", LABELS)
def test_labels_are_taken_off_before_the_container_starts_and_while_no_server_runs(how: str, tmp_path: Path) -> None:
    """Nothing but the release knows of the pod."""

    @hurried()
    async def run() -> None:
        async with stage(tmp_path) as made:
            async with made.core() as c:
                job_id = await c.submit("later", "3600", retries=1, retry_on=["Lost"])
                await c.waits_for(lambda: made.api.lives and made.api.life_of(job_id).placed.is_set())
            edit(c, job_id, LABELS[how])
            made.api.life_of(job_id).may_start.set()
            async with made.core() as c:
                await asyncio.sleep(20)
                await check_own_end(c, job_id, f"labels, {how}, before the start")

    run()


@hurried()
async def test_labels_are_taken_off_behind_the_watch(tmp_path: Path) -> None:
    """No event tells of it; the next list does not show the pod."""
    async with case(tmp_path) as c:
        job_id = await begun(c, "run", "3600")
        c.api.quiet = {"jobs", "pods"}
        edit(c, job_id, LABELS["taken off"])
        c.api.quiet = set()
        await c.api.seen_again("list", "pods", len(c.api.of("list", "pods")) + 2)
        await check_own_end(c, job_id, "labels, behind the watch")


@hurried()
async def test_labels_that_may_not_be_put_back(tmp_path: Path) -> None:
    """What is listed by name is shown, as often as the watches' view is compared with a list."""
    async with case(tmp_path) as c:
        job_id = await begun(c, "run", "3600", retries=1, retry_on=["DeletedExternally"])
        c.api.gate = lambda seen: answers(403, "no") if seen.verb == "patch" else None
        edit(c, job_id, LABELS["taken off"])
        await asyncio.sleep(200)
        asked = len([seen for seen in c.api.of("list", "pods") if "fieldSelector" in seen.query])
        figures.at_most("marks, labels that may not be put back: lists by name in 200 s", asked, 10, "lists")
        job, took = await c.ends_after_its_container(job_id, 7)
        assert (job.reason, job.exit_code, job.attempts[0].log.complete) == ("NonZeroExit", 7, True)
        figures.at_most("marks, labels that may not be put back: from the container's end to the job's", took, 70)
        await c.closed()


@hurried()
async def test_a_pod_that_lost_its_labels_and_is_deleted_then_is_gone(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await begun(c, "polite", "3600")
        edit(c, job_id, LABELS["taken off"])
        await asyncio.sleep(5)
        c.api.life_of(job_id).delete()
        job = await c.ends(job_id)
        assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "DeletedExternally", 0)
        await c.closed()


@hurried()
async def test_a_job_whose_labels_were_taken_off_can_be_cancelled(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await begun(c, "run", "3600")
        edit(c, job_id, LABELS["all marks taken off"])
        await c.service.cancel(job_id)
        job = await c.ends(job_id)
        assert (job.state, job.exit_code) == (JobState.CANCELLED, 143)
        await c.closed()


@hurried()
async def test_a_pod_that_the_job_controller_has_let_go_is_cleaned_up(tmp_path: Path) -> None:
    """Without a single label it is not its Job's any more, which gets another pod: that one stays held."""
    async with case(tmp_path) as c:
        job_id = await begun(c, "run", "3600")
        first = c.api.life_of(job_id)
        pod = c.api.objects["pods"][first.name]
        stripped = {**pod["metadata"], "labels": {}, "annotations": {}, "ownerReferences": []}
        c.api.put("pods", {**pod, "metadata": stripped})
        second = c.api.make_another_pod(job_id)
        await asyncio.sleep(20)
        first.finish(7)
        job = await c.ends(job_id)
        assert (job.reason, job.exit_code, job.attempts[0].log.complete) == ("NonZeroExit", 7, True)
        await c.closed()
        figures.exactly("marks, a pod without any label: the second one was placed", second.placed.is_set(), False)
