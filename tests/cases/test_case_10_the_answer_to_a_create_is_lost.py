"""Case 10: the cluster stores the Job, and the answer to its create is lost or odd. Invariant 4."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case, stage
from tests.fakes.answering import Handler, Json, answers, hang_up, late
from tests.fakes.control_plane import Kubernetes
from tests.fakes.hurry import hurried

OTHER = {"spark-jobs.dev/claim": "f" * 32}


def stored_and(api: Kubernetes, answer: Handler) -> Handler:
    """The Job is stored, and then something happens to the answer."""

    async def handler(request: web.Request) -> web.StreamResponse:
        api.create("jobs", await request.json())
        return await answer(request)

    return handler


LOST: dict[str, Handler] = {
    "a: the socket closes": hang_up,
    "b: 504": answers(504, "Timeout: request did not complete within the allotted timeout", "Timeout"),
    "c: 500 etcd timeout": answers(500, "etcdserver: request timed out"),
    "d: it comes too late": late(20, answers(500, "late")),
    "500 without a word": answers(500, ""),
    "429 after all": answers(429, "too many requests", Retry_After="1"),
    "401 after all": answers(401, "Unauthorized", "Unauthorized"),
    "408": answers(408, "request timeout"),
    "a redirect": answers(302, "", Location="http://127.0.0.1:1/"),
    "a success that can't be read": answers(201, "[]"),
}


async def check_one_job(c: Case, job_id: str, what: str) -> None:
    """It ended well, with one Job and one pod ever."""
    job = await c.ends(job_id)
    assert (job.state, len(job.attempts)) == (JobState.SUCCEEDED, 1)
    creates = c.api.of("create", "jobs")
    assert len({seen.body["metadata"]["name"] for seen in creates}) == 1
    await c.closed()
    figures.exactly(f"case 10 {what}: pods ever", len(c.api.pods_ever), 1)


@pytest.mark.parametrize("trouble", LOST)
def test_a_to_d_the_answer_is_lost(trouble: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            c.api.fault("create", "jobs", stored_and(c.api, LOST[trouble]))
            await check_one_job(c, await c.submit("run", "1"), trouble)

    run()


@hurried()
async def test_several_answers_are_lost_one_after_the_other(tmp_path: Path) -> None:
    """Then the look at whose object it is fails as well, and one finds it already over."""
    async with case(tmp_path) as c:
        c.api.fault("create", "jobs", stored_and(c.api, hang_up), *[hang_up, LOST["b: 504"]] * 2)
        c.api.fault("get", "jobs", hang_up, hang_up, answers(503, "no"), answers(403, "not now"))
        await check_one_job(c, await c.submit("run", "1"), "many lost")


@hurried()
async def test_d_the_job_is_stored_only_after_our_time_out(tmp_path: Path) -> None:
    """The create was on its way all the time; the one that was sent again meets it."""

    async with case(tmp_path) as c:

        async def slow(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            await asyncio.sleep(14.5)
            c.api.create("jobs", body)
            await asyncio.sleep(10)
            return web.Response()

        c.api.fault("create", "jobs", slow)
        await check_one_job(c, await c.submit("run", "1"), "d: stored late")


@hurried()
async def test_e_the_server_dies_before_the_answer_and_finds_its_object(tmp_path: Path) -> None:
    async with stage(tmp_path) as made:
        async with made.core() as c:
            c.api.fault("create", "jobs", stored_and(c.api, late(60, hang_up)))
            job_id = await c.submit("run", "30")
            await c.waits_for(lambda: c.api.pods_ever)
        async with made.core() as c:
            await check_one_job(c, job_id, "e: ours, after a restart")


@hurried()
async def test_f_a_foreign_job_has_the_name(tmp_path: Path) -> None:
    async with case(tmp_path) as c:

        async def taken(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            body["metadata"]["annotations"] = body["metadata"]["annotations"] | OTHER
            c.api.put("jobs", body)
            return c.api.create("jobs", body)

        c.api.fault("create", "jobs", taken)
        job = await c.ends(await c.submit("run", "1"))
        figures.exactly("case 10 f: reason", job.reason, "NameConflict")
        assert job.state is JobState.FAILED
        assert str(job.attempts[0].kubernetes_job) in (job.message or "")
        [theirs] = c.api.objects["jobs"].values()
        assert theirs["metadata"]["annotations"] == theirs["metadata"]["annotations"] | OTHER
        figures.exactly("case 10 f: deletes of what is not ours", len(c.api.of("delete", "jobs")), 0)
        c.api.remove("jobs", theirs["metadata"]["name"])
        await c.closed()


REFUSALS: dict[str, Handler] = {
    "403": answers(403, 'jobs.batch is forbidden: User "spark" cannot create resource "jobs"'),
    "403 quota": answers(403, "jobs.batch is forbidden: exceeded quota: small, requested: count/jobs.batch=1"),
    "404": answers(404, 'namespaces "default" not found', "NotFound"),
    "422": answers(422, "Job.batch is invalid", "Invalid"),
    "a webhook": answers(400, 'admission webhook "policy" denied the request: no'),
}


NEVER, AT_ONCE, LATER = None, 0.0, 8.0


@pytest.mark.parametrize(
    ("refusal", "stored_after"),
    [*((each, AT_ONCE) for each in REFUSALS), ("403", NEVER), ("403", LATER), ("403 quota", NEVER)],
)
def test_a_refusal_after_a_lost_answer_proves_nothing(refusal: str, stored_after: float | None, tmp_path: Path) -> None:
    """The first create may have made the Job, or may be about to: no slot is free while a container may run."""

    @hurried(20)
    async def run() -> None:
        async with stage(tmp_path) as made:
            made.config = msgspec.structs.replace(made.config, stall_bound=20.0)
            async with made.core(slots=1) as c:
                await refused(c)

    async def refused(c: Case) -> None:
        async def lost(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            if stored_after is not None:
                c.api.soon(store(stored_after, body))
            return await hang_up(request)

        async def store(after: float, body: Json) -> None:
            await asyncio.sleep(after)
            c.api.create("jobs", body)

        c.api.quiet = {"jobs", "pods"}  # no watch shows what was made
        c.api.fault("create", "jobs", lost, REFUSALS[refusal])
        passes = refusal == "403 quota"
        first, second = await c.submit("run", "5" if passes else "600"), await c.submit("run", "1")
        job = await c.ends(first)
        assert job.state is (JobState.SUCCEEDED if passes else JobState.FAILED)
        assert job.reason in {None, "Forbidden", "NamespaceNotFound", "AdmissionDenied"}
        assert c.api.most_alive <= 1
        await c.ends(second)
        await c.closed()

    run()


@hurried()
async def test_g_the_name_is_just_being_given_up(tmp_path: Path) -> None:
    async with case(tmp_path) as c:

        async def leaving(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            name = body["metadata"]["name"]
            gone = {"name": name, "uid": "theirs", "deletionTimestamp": "2026-01-02T03:04:05Z"}
            c.api.put("jobs", {"metadata": gone})
            answer = c.api.create("jobs", body)
            c.api.soon(give_up(name))
            return answer

        async def give_up(name: str) -> None:
            await asyncio.sleep(5)
            c.api.remove("jobs", name)

        c.api.fault("create", "jobs", leaving)
        second = await c.submit("run", "1")
        third = await c.submit("run", "1")
        await c.ends(third)
        job = await c.ends(second)
        assert (job.state, len(job.attempts)) == (JobState.SUCCEEDED, 1)
        await c.closed()
        figures.exactly("case 10 g: pods ever, for two jobs", len(c.api.pods_ever), 2)


@hurried()
async def test_h_twenty_submissions_with_one_idempotency_key(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        c.api.fault("create", "jobs", stored_and(c.api, hang_up))
        body = {"image": "busybox:1", "command": ["run", "1"]}
        made = await asyncio.gather(*(c.service.submit(body, idempotency_key="once") for _ in range(20)))
        figures.exactly("case 10 h: ids of 20 submissions", len({each.job.id for each in made}), 1)
        await check_one_job(c, made[0].job.id, "h")
