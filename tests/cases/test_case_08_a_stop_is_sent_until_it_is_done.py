"""Case 8: cancel, against a server that does not do at once what it is asked. Invariant 10."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from spark_jobs.domain.errors import NotCancellable
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case
from tests.fakes.answering import Handler, answers, hang_up
from tests.fakes.hurry import hurried
from tests.fakes.seeing import Seen

FOREGROUND, BACKGROUND = "Foreground", "Background"
AWAY = 60.0


async def waiting(c: Case) -> str:
    """A job whose container does not start."""
    job_id = await c.submit("never", start_timeout=600)
    await c.waits_for(lambda: c.api.pods_ever)
    return job_id


async def check_cancelled(c: Case, job_id: str) -> None:
    """It is over, and nothing of it is left."""
    job = await c.ends(job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, "Cancelled")
    assert c.api.alive() == 0, "the slot is free before the container is gone"
    await c.closed()


def deletes(c: Case) -> list[Seen]:
    return c.api.of("delete", "jobs")


@hurried()
async def test_every_delete_has_a_policy_and_a_uid(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        pending, runs, ends = await waiting(c), await c.submit("run", "60"), await c.submit("run", "1")
        await c.running(runs)
        await c.ends(ends)
        for job_id in (pending, runs):
            began = c.now()
            await c.service.cancel(job_id)
            figures.at_most("case 8: cancel accepted", c.now() - began, 1.0)
            await c.ends(job_id)
        await c.closed()
        policies = {}
        for seen in deletes(c):
            assert seen.body["preconditions"]["uid"] == f"uid-{seen.name}"
            policies[seen.name] = seen.body["propagationPolicy"]
        assert sorted(policies.values()) == [BACKGROUND, BACKGROUND, FOREGROUND]


TROUBLE: dict[str, list[Handler]] = {
    "500, 500, 200": [answers(500, "etcdserver: leader changed")] * 2,
    "cut, cut": [hang_up, hang_up],
    "429 with Retry-After": [answers(429, "slow down", Retry_After="2")],
    "403 for a while": [answers(403, "jobs.batch is forbidden")] * 3,
    "401 for a while": [answers(401, "Unauthorized")] * 3,
    "409 of another kind": [answers(409, "the object has been modified; please apply your changes", "Conflict")],
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_delete_that_fails_is_sent_again(trouble: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await waiting(c)
            c.api.fault("delete", "jobs", *TROUBLE[trouble])
            await c.service.cancel(job_id)
            began = c.now()
            await check_cancelled(c, job_id)
            figures.at_most(f"case 8, delete, {trouble}", c.now() - began, 20)

    run()


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_halt_that_fails_is_sent_again_or_a_delete_in_its_place(trouble: str, tmp_path: Path) -> None:
    """The container is stopped soon, whichever way."""

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await c.submit("run", "600")
            await c.running(job_id)
            c.api.fault("patch", "pods", *TROUBLE[trouble])
            c.api.fault("delete", "jobs", *TROUBLE[trouble])
            await c.service.cancel(job_id)
            began = c.now()
            await c.api.life_of(job_id).over.wait()
            figures.at_most(f"case 8, halt, {trouble}: until the container is stopped", c.now() - began, 20)
            await check_cancelled(c, job_id)

    run()


@hurried()
async def test_404_means_that_it_is_gone(tmp_path: Path) -> None:
    """Somebody was faster; only the pod is left, and goes as well."""
    async with case(tmp_path) as c:
        job_id = await waiting(c)
        c.api.orphans_stay = True
        c.api.quiet = {"jobs"}
        c.api.remove("jobs", c.api.job_of(job_id)["metadata"]["name"])
        c.api.quiet = set()
        await c.service.cancel(job_id)
        await check_cancelled(c, job_id)


@pytest.mark.parametrize("phase", ["waiting", "running"])
def test_after_an_outage_of_a_minute_it_is_done(phase: str, tmp_path: Path) -> None:
    @hurried(20)
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await (waiting(c) if phase == "waiting" else c.submit("run", "600"))
            if phase == "running":
                await c.running(job_id)
            c.api.gate = lambda _seen: answers(503, "down")
            c.api.cut()
            await c.service.cancel(job_id)
            await asyncio.sleep(AWAY)
            assert not (await c.service.get(job_id)).state.is_terminal
            c.api.gate = lambda _seen: None
            began = c.now()
            await check_cancelled(c, job_id)
            figures.at_most(f"case 8, {phase}: done after an outage of {AWAY:g} s", c.now() - began, 20)

    run()


@hurried()
async def test_cancelling_twice_and_too_late(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await c.submit("stubborn", "600")
        await c.running(job_id)
        first = await c.service.cancel(job_id)
        second = await c.service.cancel(job_id)
        assert (first.state, first.cancel_requested_at) == (second.state, second.cancel_requested_at)
        assert first.cancel_requested_at is not None
        began = c.now()
        await c.api.life_of(job_id).over.wait()
        figures.at_most("case 8: a program that ignores TERM, grace 5 s", c.now() - began, 12)
        await check_cancelled(c, job_id)
        assert (await c.service.get(job_id)).exit_code == 137
        assert await c.log(job_id) == "begin\n"
        again = await c.service.cancel(job_id)
        assert again.state is JobState.CANCELLED
        ended = await c.submit("run", "0.1")
        await c.ends(ended)
        with pytest.raises(NotCancellable):
            await c.service.cancel(ended)


@hurried(20)
async def test_a_pod_that_takes_long_to_go_is_waited_for_without_haste(tmp_path: Path) -> None:
    """A program that ignores TERM, on a cluster where a halt is not possible: requests stay few while it lives."""
    async with case(tmp_path) as c:
        job_id = await c.submit("stubborn", "600", termination_grace=60)
        await c.running(job_id)
        c.api.fault("patch", "pods", *(answers(422, "immutable") for _ in range(100)))
        before = len(c.api.seen)
        await c.service.cancel(job_id)
        await c.api.life_of(job_id).over.wait()
        figures.at_most("case 8: requests in the minute of grace", len(c.api.seen) - before, 30, "requests")
        await check_cancelled(c, job_id)
