"""Neighbours of case 1: histories that are not what they were, lists that fail half way, objects of others, ends that come
and go between two looks."""

from __future__ import annotations

import asyncio
import copy
import random
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case, stage
from tests.fakes.answering import Handler, Json, answers, event, hang_up, late, streams
from tests.fakes.control_plane import stamp
from tests.fakes.hurry import hurried
from tests.fakes.seeing import Seen

SOON = 5.0
SEED = 1


async def started(c: Case, *more: str) -> str:
    """A job whose container runs until it is told to end."""
    job_id = await c.submit(*(more or ("run", "3600")))
    await c.running(job_id)
    return job_id


async def check_end(c: Case, job_id: str, what: str, bound: float = SOON) -> None:
    """Its program ends with 0: so does the job, in time."""
    job, took = await c.ends_after_its_container(job_id)
    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
    figures.at_most(f"watches, {what}: from the container's end to the job's", took, bound)


@hurried()
async def test_a_backup_of_the_clusters_store_is_put_back(tmp_path: Path) -> None:
    """All versions are older than those that were seen; one job's objects are from before the backup, one's are not."""
    async with case(tmp_path) as c:
        old = await started(c)
        backup = copy.deepcopy(dict(c.api.objects))
        version = max(int(item["metadata"]["resourceVersion"]) for kind in backup.values() for item in kind.values())
        young = await started(c)
        for _ in range(50):
            c.api.put("pods", c.api.objects["pods"][c.api.life_of(old).name])
        c.api.restore(backup, version)
        job = await c.ends(young)
        assert (job.state, job.reason) == (JobState.FAILED, "Lost")
        await check_end(c, old, "backup put back")


@hurried()
async def test_pages_of_a_list_that_expire(tmp_path: Path) -> None:
    """``continue`` is answered with 410: the list is asked for whole."""
    async with case(tmp_path) as c:
        job_id = await started(c)
        page = {"metadata": {"resourceVersion": "1", "continue": "next"}, "items": []}
        half = streams(b"%s" % event("", page).split(b'"object": ')[1].rstrip()[:-1])
        c.api.fault("list", "pods", half, answers(410, "The provided continue parameter is too old", "Expired"))
        c.api.compact()
        c.api.fault("watch", "pods", answers(410, "too old resource version", "Expired"))
        c.api.cut()
        lists = len(c.api.of("list", "pods"))
        await c.api.seen_again("list", "pods", lists + 3)
        asked = c.api.of("list", "pods")[lists:]
        assert [("continue" in seen.query, "limit" in seen.query) for seen in asked[:3]] == [
            (False, True),
            (True, True),
            (False, False),
        ]
        assert (await c.service.get(job_id)).state is JobState.RUNNING
        await check_end(c, job_id, "pages that expire")


@hurried()
async def test_versions_expire_while_the_list_is_read(tmp_path: Path) -> None:
    """Between a list and its watch the history is compacted, three times."""
    async with case(tmp_path) as c:
        job_id = await started(c)
        left = 3

        def gate(seen: Seen) -> Handler | None:
            nonlocal left
            if seen.verb == "watch" and left:
                left -= 1
                c.api.put("pods", c.api.objects["pods"][c.api.life_of(job_id).name])
                c.api.compact()
            return None

        c.api.gate = gate
        c.api.cut()
        await check_end(c, job_id, "expiry during the list", 7)


@hurried(5)
async def test_a_connection_that_flaps(tmp_path: Path) -> None:
    """For 40 s everything is cut about every second, with jobs that come and go."""
    moments = random.Random(SEED)
    async with case(tmp_path) as c:
        ids = [await c.submit("run", str(1 + number % 5), str(number % 3)) for number in range(20)]
        until = c.now() + 40
        while c.now() < until:
            await asyncio.sleep(moments.uniform(0.1, 2))
            c.api.cut()
        jobs = [await c.ends(job_id) for job_id in ids]
        figures.at_most("watches, flapping: all settled after it", c.now() - until, 20)
        expected = [JobState.FAILED if number % 3 else JobState.SUCCEEDED for number in range(20)]
        assert [job.state for job in jobs] == expected
        assert [job.exit_code for job in jobs] == [number % 3 for number in range(20)]
        for job_id in ids:
            await c.until(job_id, lambda job: job.attempts[0].log.complete)
            assert await c.log(job_id) == "begin\nend\n"
        await c.closed()
        figures.exactly("watches, flapping: pods ever, for 20 jobs", len(c.api.pods_ever), 20)


@pytest.mark.parametrize("code", [0, 7])
@pytest.mark.parametrize("seen", ["both at once", "the delete alone"])
def test_an_end_that_is_deleted_in_the_same_breath(code: int, seen: str, tmp_path: Path) -> None:
    """Something cleans up ended pods at once. The last that was to be seen of the pod is its true end."""

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await started(c)
            life = c.api.life_of(job_id)
            if seen == "the delete alone":
                c.api.quiet = {"pods"}
            life.finish(code)
            await life.over.wait()
            c.api.quiet = set()
            c.api.remove("jobs", c.api.job_of(job_id)["metadata"]["name"])
            c.api.remove("pods", life.name)
            job = await c.ends(job_id)
            expected = JobState.FAILED if code else JobState.SUCCEEDED
            figures.exactly(f"watches, ended {code} and deleted, {seen}", job.state.value, expected.value)
            assert job.exit_code == code
            assert not job.attempts[0].log.complete
            await c.closed()

    run()


@pytest.mark.parametrize("what", ["pod", "job", "both"])
@pytest.mark.parametrize("state", ["waiting", "running"])
def test_deleted_by_somebody(what: str, state: str, tmp_path: Path) -> None:
    """A container that was stopped so did not end by itself, and there is no second one."""

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await c.submit(*(("never",) if state == "waiting" else ("polite", "3600")))
            await (c.running(job_id) if state == "running" else c.waits_for(lambda: c.api.lives))
            await asyncio.sleep(1)
            item = c.api.job_of(job_id)
            if what != "pod":
                c.api.deleted("jobs", item, {})
            if what != "job":
                c.api.life_of(job_id).delete()
            job = await c.ends(job_id)
            assert (job.state, job.reason) == (JobState.FAILED, "DeletedExternally")
            await c.closed()
            figures.exactly(f"watches, {what} deleted while {state}: pods ever", len(c.api.pods_ever), 1)

    run()


@hurried()
async def test_jobs_whose_time_to_live_is_over_when_the_server_comes_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        async with made.core() as c:
            job_id = await started(c)
        life = made.api.life_of(job_id)
        life.finish()
        await life.over.wait()
        made.api.remove("jobs", made.api.job_of(job_id)["metadata"]["name"])
        made.api.remove("pods", life.name)
        async with made.core() as c:
            job = await c.ends(job_id)
            assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "Lost", None)
            assert not job.attempts[0].log.complete
            await c.closed()


@hurried()
async def test_objects_of_others_are_left_alone(tmp_path: Path) -> None:
    """Same labels, another claim; the same claim of another installation; no labels; one that takes the name of a job of
    ours that somebody deleted."""
    async with case(tmp_path) as c:
        job_id = await started(c)
        ours = c.api.job_of(job_id)
        others: list[Json] = []
        changes: tuple[Json, ...] = (
            {"annotations": {"spark-jobs.dev/claim": "f" * 32}},
            {"labels": {**ours["metadata"]["labels"], "spark-jobs.dev/instance": "other"}},
            {"labels": {}, "annotations": {}},
            {"annotations": None},
        )
        for number, change in enumerate(changes):
            metadata = {**ours["metadata"], "name": f"other-{number}", "uid": f"other-{number}", **change}
            others.append(c.api.put("jobs", {**ours, "metadata": metadata}))
        c.api.life_of(job_id).delete()
        c.api.remove("jobs", ours["metadata"]["name"])
        theirs = {**ours["metadata"], "uid": "theirs", "annotations": {"spark-jobs.dev/claim": "e" * 32}}
        others.append(c.api.put("jobs", {**ours, "metadata": theirs}))
        job = await c.ends(job_id)
        assert (job.state, job.reason) == (JobState.FAILED, "DeletedExternally")
        await c.waits_for(lambda: not c.core.engine.open_attempts)
        left = [c.api.objects["jobs"][item["metadata"]["name"]] for item in others]
        assert left == others
        c.api.objects["jobs"].clear()


@hurried()
async def test_half_an_event_then_silence(tmp_path: Path) -> None:
    """The rest of the line comes 20 s later, in the middle of a character."""
    async with case(tmp_path) as c:
        job_id = await started(c)
        pod = c.api.objects["pods"][c.api.life_of(job_id).name]
        note = {**pod["metadata"], "annotations": {**pod["metadata"]["annotations"], "note": "ü" * 10}}
        line = event("MODIFIED", {**pod, "metadata": note})
        cut = line.index("ü".encode()) + 1

        async def halves(request: web.Request) -> web.StreamResponse:
            response = await streams(line[:cut], hold=waited)(request)
            await response.write(line[cut:])
            return response

        waited = asyncio.Event()
        c.api.fault("watch", "pods", halves)
        c.api.cut()
        await c.api.seen_again("watch", "pods", len(c.api.of("watch", "pods")) + 1)
        await asyncio.sleep(20)
        waited.set()
        await check_end(c, job_id, "half an event")


@hurried()
async def test_events_come_twice_late_and_out_of_order(tmp_path: Path) -> None:
    """Old states of a pod after new ones: what is newer stays."""
    async with case(tmp_path) as c:
        job_id = await started(c)
        name = c.api.life_of(job_id).name
        running = c.api.objects["pods"][name]
        states: Counter[JobState] = Counter()
        c.core.store.listen(lambda commit: states.update(each.target for each in commit.events))
        pending = {**running, "status": {"phase": "Pending"}}
        old = {**pending, "metadata": {**running["metadata"], "resourceVersion": "1"}}
        again = [event("MODIFIED", running), event("MODIFIED", old), event("ADDED", old), event("MODIFIED", running)]
        c.api.fault("watch", "pods", streams(*again, hold=asyncio.Event()))
        c.api.cut()
        await asyncio.sleep(3)
        job = await c.service.get(job_id)
        assert (job.state, str(job.activity)) == (JobState.RUNNING, "running")
        c.api.cut()
        await check_end(c, job_id, "twice and out of order")
        assert states == {JobState.SUCCEEDED: 1}


@hurried()
async def test_a_cleaning_that_fails_is_done_in_the_end(tmp_path: Path) -> None:
    """Deletes of what is over: each kind of failure, then an object that somebody holds with a finalizer for a minute."""
    async with case(tmp_path) as c:
        trouble: list[Handler] = [
            answers(500, "etcdserver: request timed out"),
            hang_up,
            answers(403, "no"),
            answers(401, "who?"),
            answers(429, "slow", Retry_After="1"),
            answers(409, "the object has been modified", "Conflict"),
            late(20, answers(504, "Timeout")),
        ]
        c.api.fault("delete", "jobs", *trouble)
        job_id = await c.submit("run", "1")
        assert (await c.ends(job_id)).state is JobState.SUCCEEDED
        began = c.now()
        await c.closed()
        figures.at_most("deletes that fail in seven ways: cleaned after", c.now() - began, 90)

        async def held(_request: web.Request) -> web.StreamResponse:
            item = c.api.job_of(second)
            c.api.put("jobs", {**item, "metadata": {**item["metadata"], "deletionTimestamp": stamp(c.api.now())}})
            c.api.soon(release(item["metadata"]["name"]))
            return web.json_response({"status": "Success"})

        async def release(name: str) -> None:
            await asyncio.sleep(60)
            c.api.remove("jobs", name)
            c.api.life_of(second).delete()

        c.api.fault("delete", "jobs", held)
        second = await c.submit("run", "1")
        await c.ends(second)
        before = len(c.api.of("delete", "jobs"))
        await c.closed()
        figures.at_most(
            "a finalizer that takes a minute: deletes sent", len(c.api.of("delete", "jobs")) - before, 2, "deletes"
        )
