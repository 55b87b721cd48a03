"""The Job controller starts anew, with an old view, and makes a second pod for a Job: it never runs. Invariant 4.

And the one pod that may run is released once, whatever becomes of the request that does it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from spark_jobs.domain.job import Activity, Job
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case, stage
from tests.fakes.answering import Handler, answers, hang_up, status
from tests.fakes.control_plane import Life
from tests.fakes.hurry import hurried
from tests.fakes.seeing import name_in


def applied_and(c: Case, answer: Handler) -> Handler:
    """The patch is carried out, and then something happens to its answer."""

    async def handler(request: web.Request) -> web.StreamResponse:
        name, patch = name_in(request.path), await request.json()
        item = c.api.objects["pods"][name]
        item = c.api.put("pods", item | {"spec": {"nodeName": "node-1"}})
        c.api.patched("pods", item, patch)
        return await answer(request)

    return handler


async def check_it_never_ran(c: Case, second: Life, what: str) -> None:
    """It was held until it was deleted."""
    await c.closed()
    figures.exactly(f"second pod, {what}: placed", second.placed.is_set(), False)
    assert not second.started.is_set()


@hurried()
async def test_while_the_first_one_runs(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await c.submit("run", "5")
        await c.running(job_id)
        first, second = c.api.life_of(job_id), c.api.make_another_pod(job_id)
        job = await c.ends(job_id)
        assert (job.state, job.exit_code, job.attempts[0].pod) == (JobState.SUCCEEDED, 0, first.name)
        assert await c.log(job_id) == first.text == "begin\nend\n"
        await check_it_never_ran(c, second, "while the first one runs")


@hurried()
async def test_after_a_stop_has_ended_the_first_one(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await c.submit("run", "600")
        await c.running(job_id)
        first = c.api.life_of(job_id)
        await c.service.cancel(job_id)
        await first.over.wait()
        second = c.api.make_another_pod(job_id)
        job = await c.ends(job_id)
        assert (job.state, job.exit_code, job.attempts[0].pod) == (JobState.CANCELLED, 143, first.name)
        assert job.attempts[0].log.complete
        await check_it_never_ran(c, second, "after a stop")


@hurried()
async def test_in_place_of_one_that_was_deleted(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await c.submit("run", "600")
        await c.running(job_id)
        first = c.api.life_of(job_id)
        first.delete()
        second = c.api.make_another_pod(job_id)
        job = await c.ends(job_id)
        assert (job.state, job.reason, job.attempts[0].pod) == (JobState.FAILED, "DeletedExternally", first.name)
        await check_it_never_ran(c, second, "in place of one that was deleted")


@hurried()
async def test_in_place_of_one_that_vanished_while_nobody_looked(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        async with made.core() as c:
            job_id = await c.submit("run", "600")
            await c.running(job_id)
        made.api.life_of(job_id).delete()
        await made.api.life_of(job_id).gone.wait()
        second = made.api.make_another_pod(job_id)
        async with made.core() as c:
            job = await c.ends(job_id)
            assert (job.state, job.reason) == (JobState.FAILED, "Lost")
            await check_it_never_ran(c, second, "in place of one that vanished")


ANSWERS: dict[str, Callable[[Case], Handler]] = {
    "the release is lost": lambda _c: hang_up,
    "its answer is lost": lambda c: applied_and(c, hang_up),
    "500 after all": lambda c: applied_and(c, answers(500, "etcdserver: request timed out")),
    "409": lambda _c: answers(409, "the object has been modified", "Conflict"),
    "429": lambda _c: answers(429, "slow down", Retry_After="1"),
    "403": lambda _c: answers(403, "pods is forbidden: no patch"),
}


@pytest.mark.parametrize("trouble", ANSWERS)
def test_a_release_is_asked_for_until_it_is_seen(trouble: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            c.api.fault("patch", "pods", *[ANSWERS[trouble](c)] * 2)
            job_id = await c.submit("run", "1")
            job = await c.ends(job_id)
            assert (job.state, len(job.attempts)) == (JobState.SUCCEEDED, 1)
            await c.closed()
            figures.exactly(f"release, {trouble}: pods ever", len(c.api.pods_ever), 1)

    run()


@hurried()
async def test_the_server_dies_between_its_decision_and_the_release(tmp_path: Path) -> None:
    """And meanwhile there is a second pod, which is not released in place of the first."""
    async with stage(tmp_path) as made:
        async with made.core() as c:
            c.api.fault("patch", "pods", *[hang_up] * 100)
            job_id = await c.submit("run", "1")
            await c.api.seen_again("patch", "pods", 1)
            first = c.api.life_of(job_id)
        second = made.api.make_another_pod(job_id)
        made.api.no_more_faults()
        async with made.core() as c:
            job = await c.ends(job_id)
            assert (job.state, job.attempts[0].pod) == (JobState.SUCCEEDED, first.name)
            await check_it_never_ran(c, second, "made while the server was away")


@hurried()
async def test_a_job_whose_pods_may_not_be_released_says_so_and_gives_up(tmp_path: Path) -> None:
    async with case(tmp_path) as c:

        async def forbidden(_request: web.Request) -> web.StreamResponse:
            return status(403, 'pods "x" is forbidden: User "spark" cannot patch resource "pods"', "Forbidden")

        c.api.gate = lambda seen: forbidden if (seen.verb, seen.resource) == ("patch", "pods") else None
        job_id = await c.submit("run", "1", start_timeout=20)

        def told(job: Job) -> bool:
            return job.reason == "Forbidden" and not job.state.is_terminal

        waiting = await c.until(job_id, told)
        assert "cannot patch" in (waiting.message or "")
        job = await c.ends(job_id)
        assert (job.state, job.reason) == (JobState.FAILED, "Forbidden")
        c.api.gate = lambda _seen: None
        await c.closed()
        assert not c.api.life_of(job_id).started.is_set()


@hurried()
async def test_a_stop_of_a_job_whose_pod_was_never_released_starts_nothing(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        c.api.fault("patch", "pods", *[answers(409, "not now", "Conflict")] * 50)
        job_id = await c.submit("run", "1")
        await c.api.seen_again("patch", "pods", 2)
        await c.service.cancel(job_id)
        job = await c.ends(job_id)
        assert (job.state, job.started_at) == (JobState.CANCELLED, None)
        await check_it_never_ran(c, c.api.life_of(job_id), "the first one, cancelled before it was released")


@hurried()
async def test_a_stop_finds_what_has_started_behind_a_frozen_view(tmp_path: Path) -> None:
    """Its watch shows the pod as it was before: it is halted all the same, so that its log stays. Invariant 6."""
    async with case(tmp_path) as c:
        job_id = await c.submit("later", "600")
        await c.until(job_id, lambda job: job.activity is Activity.PULLING)
        c.api.quiet = {"pods"}
        c.api.life_of(job_id).may_start.set()
        await c.api.life_of(job_id).started.wait()
        await c.service.cancel(job_id)
        await c.api.life_of(job_id).over.wait()
        c.api.quiet = set()
        job = await c.ends(job_id)
        assert (job.state, job.exit_code) == (JobState.CANCELLED, 143)
        assert await c.log(job_id) == "begin\n"
        assert job.attempts[0].log.complete
        await c.closed()
