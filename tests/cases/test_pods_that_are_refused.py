"""Pods and Jobs that the cluster refuses: by quota, admission, a missing namespace or service account. Reasons and words."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from spark_jobs.domain.reasons import HINTS, Reason
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import case
from tests.fakes.answering import Handler, answers
from tests.fakes.hurry import hurried
from tests.fakes.passing import pass_by
from tests.fakes.seeing import Seen

SOON = 10.0


class Refusal(NamedTuple):
    """What the cluster says, and the reason that it is."""

    code: int
    words: str
    reason: Reason


FOR_GOOD = {
    "no such namespace": Refusal(404, 'namespaces "lab" not found', Reason.NAMESPACE_NOT_FOUND),
    "a namespace on its way out": Refusal(
        403,
        'jobs.batch "spark-x-1" is forbidden: unable to create new content in namespace lab because it is being terminated',
        Reason.NAMESPACE_NOT_FOUND,
    ),
    "not allowed": Refusal(
        403,
        'jobs.batch is forbidden: User "spark" cannot create resource "jobs" in API group "batch" in the namespace "lab"',
        Reason.FORBIDDEN,
    ),
    "a webhook": Refusal(400, 'admission webhook "policy.example.com" denied the request: no', Reason.ADMISSION_DENIED),
    "a policy": Refusal(
        422,
        'jobs.batch "spark-x-1" is forbidden: ValidatingAdmissionPolicy "p" with binding "b" denied request: image',
        Reason.ADMISSION_DENIED,
    ),
    "an invalid field": Refusal(
        422, 'Job.batch "x" is invalid: spec.template.spec.priority: Invalid value', Reason.ADMISSION_DENIED
    ),
    "a priority class that is not there": Refusal(
        403,
        'jobs.batch "x" is forbidden: no PriorityClass with name urgent was found',
        Reason.ADMISSION_DENIED,
    ),
    "too large": Refusal(413, "Request entity too large: limit is 3145728", Reason.ADMISSION_DENIED),
}


@pytest.mark.parametrize("kind", FOR_GOOD)
def test_a_job_that_is_refused_for_good_fails_at_once_with_the_clusters_words(kind: str, tmp_path: Path) -> None:
    refusal = FOR_GOOD[kind]

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            c.api.fault("create", "jobs", answers(refusal.code, refusal.words))
            began = c.now()
            job = await c.ends(await c.submit("run", "1"))
            figures.at_most(f"refused, {kind}: failed after", c.now() - began, SOON)
            assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, refusal.reason, None)
            assert refusal.words in (job.message or "")
            assert job.hint == HINTS[refusal.reason]
            assert job.started_at is None
            assert job.attempts[0].log.complete
            good = await c.ends(await c.submit("run", "1"))
            assert good.state is JobState.SUCCEEDED, "the job behind it is not held back"
            await c.closed()

    run()


PODS = {
    "quota": Refusal(
        0,
        'pods "x-" is forbidden: exceeded quota: small, requested: pods=1, limited: pods=2',
        Reason.QUOTA_EXCEEDED,
    ),
    "service account": Refusal(
        0,
        'pods "x-" is forbidden: error looking up service account lab/robot: serviceaccount "robot" not found',
        Reason.ADMISSION_DENIED,
    ),
    "pod security": Refusal(
        0,
        'pods "x-abc" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        Reason.ADMISSION_DENIED,
    ),
    "limit range": Refusal(
        0,
        'pods "x-abc" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
        Reason.ADMISSION_DENIED,
    ),
}


@pytest.mark.parametrize("kind", PODS)
def test_a_pod_that_is_refused_shows_why_and_is_waited_for(kind: str, tmp_path: Path) -> None:
    """It may pass: a quota when others end, an account when somebody makes it. The controller's own words are shown."""
    refusal = PODS[kind]

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            c.api.refuses_pods = True
            given_up = await c.submit("run", "1", start_timeout=30)
            waits = await c.submit("run", "1", start_timeout=600)
            await c.waits_for(lambda: len(c.api.objects["jobs"]) == 2)
            for number, job_id in enumerate((given_up, waits)):
                about = {"uid": c.api.job_of(job_id)["metadata"]["uid"], "kind": "Job"}
                text = f"Error creating: {refusal.words}"
                c.api.put("events", {"metadata": {"name": f"e{number}"}, "involvedObject": about, "message": text})
            began = c.now()
            job = await c.until(waits, lambda job: job.reason is not None)
            figures.at_most(f"refused pod, {kind}: shown after", c.now() - began, 20)
            assert (job.state, job.reason) == (JobState.STARTING, refusal.reason)
            assert refusal.words in (job.message or "")
            assert job.hint == HINTS[refusal.reason]
            job = await c.ends(given_up)
            assert (job.state, job.reason) == (JobState.FAILED, refusal.reason)
            assert refusal.words in (job.message or "")
            assert len(c.api.of("list", "events")) <= 8, "bounded by time, not by jobs"
            c.api.refuses_pods = False
            c.api.make_pods()
            assert (await c.ends(waits)).state is JobState.SUCCEEDED
            c.api.objects["events"].clear()
            await c.closed()

    run()


@hurried()
async def test_one_that_is_given_up_soon_after_another_says_why_as_well(tmp_path: Path) -> None:
    """Events are listed now and then; whoever is given up in between has one list more, together with its neighbours."""
    async with case(tmp_path) as c:
        c.api.refuses_pods = True
        began = c.now()
        ids = [await c.submit("run", "1", start_timeout=8)]
        await pass_by(1.5)
        ids += [await c.submit("run", "1", start_timeout=8) for _ in range(4)]
        await c.waits_for(lambda: len(c.api.objects["jobs"]) == 5)
        for number, job_id in enumerate(ids):
            about = {"uid": c.api.job_of(job_id)["metadata"]["uid"], "kind": "Job"}
            text = f"Error creating: {PODS['quota'].words}"
            c.api.put("events", {"metadata": {"name": f"e{number}"}, "involvedObject": about, "message": text})
        for job_id in ids:
            job = await c.ends(job_id)
            assert (job.state, job.reason) == (JobState.FAILED, Reason.QUOTA_EXCEEDED), job.message
        figures.at_most("given up one after the other, limit 8 s: the last one's end after", c.now() - began, 15)
        assert len(c.api.of("list", "events")) <= 6, "bounded by time, not by jobs"
        await c.closed()


@hurried()
async def test_an_account_that_may_not_see_events_gives_up_all_the_same(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        c.api.refuses_pods = True
        denied = answers(403, "events is forbidden")
        c.api.gate = lambda seen: denied if seen.resource == "events" else None
        began = c.now()
        job = await c.ends(await c.submit("run", "1", start_timeout=5))
        assert (job.state, job.reason) == (JobState.FAILED, Reason.START_TIMEOUT)
        figures.at_most("given up without events, limit 5 s: after", c.now() - began, 12)
        await c.closed()


@hurried()
async def test_a_quota_of_jobs_is_waited_for_and_holds_nobody_else_back(tmp_path: Path) -> None:
    words = "jobs.batch is forbidden: exceeded quota: few, requested: count/jobs.batch=1, used: count/jobs.batch=3"
    async with case(tmp_path) as c:
        names: list[str] = []

        def gate(seen: Seen) -> Handler | None:
            if seen.verb != "create":
                return None
            names.append(seen.body["metadata"]["name"])
            return answers(403, words) if names[-1] == names[0] and c.now() - began < 40 else None

        began = c.now()
        c.api.gate = gate
        waits, good = await c.submit("run", "1", start_timeout=600), await c.submit("run", "1")
        assert (await c.ends(good)).state is JobState.SUCCEEDED
        figures.at_most("refused by a quota of jobs: the job behind it is over after", c.now() - began, SOON)
        job = await c.service.get(waits)
        assert (job.state, job.reason) == (JobState.STARTING, Reason.QUOTA_EXCEEDED)
        assert words in (job.message or "")
        assert (await c.ends(waits)).state is JobState.SUCCEEDED
        await c.closed()
