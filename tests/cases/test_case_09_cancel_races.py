"""Case 9: cancel, in every unlucky moment. Invariants 4, 5 and 10."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from pathlib import Path

import msgspec
from aiohttp import web

from spark_jobs.domain.errors import NotCancellable
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import case, stage
from tests.fakes.answering import answers
from tests.fakes.hurry import hurried

RUNS = 300
SEED = 9


@hurried()
async def test_a_cancel_while_the_create_is_on_its_way(tmp_path: Path) -> None:
    """The create takes 3 s, cancel at 1 s: deleted, CANCELLED, never RUNNING."""
    async with case(tmp_path) as c:
        states: list[JobState] = []
        c.core.store.listen(lambda commit: states.extend(event.target for event in commit.events))

        async def slow(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(3)
            return c.api.create("jobs", await request.json())

        c.api.fault("create", "jobs", slow)
        job_id = await c.submit("run", "60")
        await asyncio.sleep(1)
        await c.service.cancel(job_id)
        job = await c.ends(job_id)
        assert job.state is JobState.CANCELLED
        assert JobState.RUNNING not in states
        printed = [life.text for life in c.api.lives.values()]
        assert [await c.log(job_id)] == (printed or [""]), "what it printed is kept"
        await c.closed()
        figures.note("case 9 a: pods ever", len(c.api.pods_ever), "at most 1, and gone")
        assert len(c.api.pods_ever) <= 1


@hurried()
async def test_a_cancel_while_the_creates_answer_is_lost(tmp_path: Path) -> None:
    async with case(tmp_path) as c:

        async def lost(request: web.Request) -> web.StreamResponse:
            c.api.create("jobs", await request.json())
            await asyncio.sleep(3)
            return await answers(500, "etcdserver: request timed out")(request)

        c.api.fault("create", "jobs", lost)
        job_id = await c.submit("run", "60")
        await asyncio.sleep(1)
        await c.service.cancel(job_id)
        assert (await c.ends(job_id)).state is JobState.CANCELLED
        await c.closed()
        figures.exactly("case 9 a, lost answer: pods ever", len(c.api.pods_ever), 1)


@hurried()
async def test_b_a_cancelled_queued_job_is_never_created(tmp_path: Path) -> None:
    async with case(tmp_path, slots=1) as c:
        first, second, third = [await c.submit("run", "3") for _ in range(3)]
        await c.service.cancel(second)
        assert (await c.service.get(second)).state is JobState.CANCELLED
        await c.ends(first)
        await c.ends(third)
        await c.closed()
        created = [seen.body["metadata"]["annotations"]["spark-jobs.dev/job-id"] for seen in c.api.of("create", "jobs")]
        assert created == [first, third]


@hurried()
async def test_c_the_pod_appears_after_its_jobs_delete(tmp_path: Path) -> None:
    """Kubernetes' own collector of orphans is slow: nobody but Spark takes the pod away."""
    async with case(tmp_path) as c:
        c.api.quiet = {"pods"}
        job_id = await c.submit("never")
        await c.waits_for(lambda: c.api.lives)
        life = c.api.life_of(job_id)
        hidden = c.api.objects["pods"].pop(life.name)
        c.api.quiet = set()
        c.api.orphans_stay = True
        await c.service.cancel(job_id)
        await c.waits_for(lambda: not c.api.objects["jobs"] or "deletionTimestamp" in c.api.job_of(job_id)["metadata"])
        await c.waits_for(lambda: not c.api.objects["jobs"])
        await asyncio.sleep(0.5)
        c.api.put("pods", hidden)
        began = c.now()
        await life.over.wait()
        figures.at_most("case 9 c: until the late pod was stopped", c.now() - began, 12)
        assert (await c.ends(job_id)).state is JobState.CANCELLED
        assert c.api.alive() == 0
        await c.closed()


@hurried()
async def test_d_the_server_dies_between_the_accepted_cancel_and_the_delete(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        async with made.core() as c:
            waits, runs = await c.submit("never"), await c.submit("run", "600")
            await c.running(runs)
            await c.waits_for(lambda: len(c.api.lives) == 2)
            c.api.gate = lambda seen: answers(503, "down") if seen.verb in ("delete", "patch") else None
            for job_id in (waits, runs):
                await c.service.cancel(job_id)
            await asyncio.sleep(0.5)
        c.api.gate = lambda _seen: None
        async with made.core() as c:
            began = c.now()
            for job_id in (waits, runs):
                assert (await c.ends(job_id)).state is JobState.CANCELLED
            figures.at_most("case 9 d: cancelled after the start", c.now() - began, 15)
            assert c.api.alive() == 0
            await c.closed()


@hurried(5)
async def test_f_the_node_tells_of_an_end_after_the_stop_was_sent(tmp_path: Path) -> None:
    """Then the pod's own end is that of a halted one; its container had ended by itself all the same."""
    async with stage(tmp_path) as made:
        made.api.tells_after = 0.8
        async with made.core() as c:
            cancelled = await c.submit("run", "1", "3", timeout=60)
            await c.running(cancelled)
            life = c.api.life_of(cancelled)
            await c.waits_for(lambda: life.text.endswith("end\n"))
            await c.service.cancel(cancelled)
            limited = await c.submit("run", "1.9", "4", timeout=2)
            ends = [await c.ends(job_id) for job_id in (cancelled, limited)]
            assert [(job.state, job.reason, job.exit_code) for job in ends] == [
                (JobState.FAILED, "NonZeroExit", 3),
                (JobState.FAILED, "NonZeroExit", 4),
            ]
            await c.closed()
            halted = sum("activeDeadlineSeconds" in seen.body["spec"] for seen in c.api.of("patch", "pods"))
            figures.note("case 9 f: halted after their end", halted, "2, each with its own end")
            assert halted == 2


async def test_e_300_cancels_around_the_end(tmp_path: Path) -> None:
    """Each has one end, and it is the true one: SUCCEEDED exactly where the program came to its own end."""
    moments = random.Random(SEED)
    async with stage(tmp_path) as made:
        made.config = msgspec.structs.replace(made.config, qps=0)
        async with made.core(slots=60) as c:

            async def one() -> JobState:
                job_id = await c.submit("run", "1", termination_grace=1)
                await c.waits_for(lambda: any(life.job_id == job_id for life in c.api.lives.values()))
                await c.api.life_of(job_id).started.wait()
                await asyncio.sleep(moments.uniform(0.0, 1.4))
                with contextlib.suppress(NotCancellable):  # it may well be too late
                    await c.service.cancel(job_id)
                job = await c.ends(job_id)
                life = c.api.life_of(job_id)
                by_itself = life.lines[-1].endswith(b"end\n")
                assert (job.state is JobState.SUCCEEDED) == by_itself, (job, life.lines)
                assert (await c.log(job_id)).splitlines()[-1] == ("end" if by_itself else "begin")
                return job.state

            ends = Counter(await asyncio.gather(*(one() for _ in range(RUNS))))
            await c.closed()
            figures.note("case 9 e: 300 runs", dict(sorted(ends.items())), "one true end each")
            assert ends.total() == RUNS
            assert set(ends) == {JobState.SUCCEEDED, JobState.CANCELLED}
