"""The requests about one attempt, against a scripted API server: created once, stopped for sure, nothing else touched."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import Created, CreateRefused, CreateUnknown, PodSeen, Running
from spark_jobs.cluster.kubernetes import KubernetesConfig
from spark_jobs.domain.errors import ClusterError, ClusterForbidden, ClusterUnavailable
from spark_jobs.domain.spec import JobSpec
from tests.fakes.answering import Handler, answers, hang_up, status, streams
from tests.fakes.api_server import ApiServer
from tests.fakes.objects import attempt, ended_pod, job, pod, running_pod
from tests.fakes.watching import PATIENCE, Watched, watching

REF = attempt()
KNOWN = msgspec.structs.replace(REF, uid=f"uid-{REF.name}")
SPEC = JobSpec(image="busybox:1", command=["true"])


async def test_a_create_makes_one_job_with_its_claim(api: ApiServer, watched: Watched) -> None:
    assert await watched.cluster.create(REF, SPEC) == Created(uid=KNOWN.uid or "")
    [made] = api.of("create", "jobs")
    assert made.query == {"timeout": "10s"}
    assert made.body["metadata"]["annotations"]["spark-jobs.dev/claim"] == REF.claim
    assert watched.cluster.observe(REF).job is not None, "it is shown before the watch brings it"


async def test_the_same_create_again_finds_the_first_ones_object(api: ApiServer, watched: Watched) -> None:
    """Invariant 4."""
    first = await watched.cluster.create(REF, SPEC)
    assert await watched.cluster.create(REF, SPEC) == first
    assert len(api.objects["jobs"]) == 1


def stored_and(api: ApiServer, answer: Handler) -> Handler:
    """The server stores the object, and then something happens to its answer."""

    async def handler(request: web.Request) -> web.StreamResponse:
        api.create("jobs", await request.json())
        return await answer(request)

    return handler


@pytest.mark.parametrize(
    "answer",
    [
        hang_up,
        answers(504, "Timeout: request did not complete within the allotted timeout"),
        answers(500, "etcdserver: request timed out"),
    ],
)
async def test_a_lost_answer_is_settled_by_the_same_create_again(
    answer: Handler, api: ApiServer, watched: Watched
) -> None:
    """Invariant 4: never a second object, no create under another name."""
    api.fault("create", "jobs", stored_and(api, answer))
    assert isinstance(await watched.cluster.create(REF, SPEC), CreateUnknown)
    assert await watched.cluster.create(REF, SPEC) == Created(uid=KNOWN.uid or "")
    assert {seen.body["metadata"]["name"] for seen in api.of("create", "jobs")} == {REF.name}
    assert len(api.of("create", "jobs")) == 2, "nothing sends a create again by itself"


async def test_a_foreign_object_under_our_name_is_left_alone(api: ApiServer, watched: Watched) -> None:
    theirs = api.put("jobs", {"metadata": {"name": REF.name, "uid": "theirs"}})
    refused = await watched.cluster.create(REF, SPEC)
    assert isinstance(refused, CreateRefused)
    assert refused.reason == "NameConflict"
    assert (await watched.cluster.look(REF)).foreign
    await watched.cluster.delete(REF, over=False)
    await watched.cluster.delete(KNOWN, over=False)
    assert api.objects["jobs"][REF.name] == theirs


async def test_a_name_that_is_being_given_up_is_asked_for_again(api: ApiServer, watched: Watched) -> None:
    leaving = {"name": REF.name, "uid": "theirs", "deletionTimestamp": "2026-01-02T03:04:05Z"}
    api.put("jobs", {"metadata": leaving})
    unknown = await watched.cluster.create(REF, SPEC)
    assert isinstance(unknown, CreateUnknown)
    assert not unknown.everywhere
    api.remove("jobs", REF.name)
    assert isinstance(await watched.cluster.create(REF, SPEC), Created)


async def test_a_name_that_may_not_be_looked_at_holds_no_other_create_back(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF))
    api.fault("get", "jobs", answers(403, "no"))
    unknown = await watched.cluster.create(REF, SPEC)
    assert isinstance(unknown, CreateUnknown)
    assert not unknown.everywhere


async def test_our_own_object_that_is_being_deleted_is_still_ours(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF, metadata={"deletionTimestamp": "2026-01-02T03:04:05Z"}))
    assert isinstance(await watched.cluster.create(REF, SPEC), Created)
    seen = watched.cluster.observe(REF)
    assert seen.job is not None
    assert seen.job.deleted


RBAC = 'jobs.batch is forbidden: User "spark" cannot create resource "jobs" in API group "batch" in the namespace "default"'


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (404, 'namespaces "default" not found', "NamespaceNotFound"),
        (403, "unable to create new content in namespace default because it is being terminated", "NamespaceNotFound"),
        (403, RBAC, "Forbidden"),
        (403, 'admission webhook "policy" denied the request: no', "AdmissionDenied"),
        (500, 'admission webhook "policy" denied the request: no', "AdmissionDenied"),
        (422, 'Job.batch "x" is invalid: spec.template.spec.containers[0].image: Required value', "AdmissionDenied"),
    ],
)
async def test_what_the_cluster_will_never_take_is_refused(
    code: int, message: str, reason: str, api: ApiServer, watched: Watched
) -> None:
    api.fault("create", "jobs", answers(code, message))
    assert await watched.cluster.create(REF, SPEC) == CreateRefused(reason=reason, message=message)


@pytest.mark.parametrize(
    ("answer", "everywhere", "retry_after"),
    [
        (answers(429, "slow down", Retry_After="1"), True, 1.0),
        (answers(503, "no"), True, None),
        (answers(504, "late"), True, None),
        (answers(500, "boom"), False, None),
        (answers(401, "who?"), True, None),
        (answers(409, "the object has been modified", "Conflict"), False, 1.0),
        (answers(403, 'jobs "x" is forbidden: exceeded quota: count/jobs.batch=5'), False, 5.0),
        (hang_up, True, None),
        (streams(b"no JSON"), True, None),
    ],
)
async def test_what_may_pass_is_unknown(
    answer: Handler, everywhere: bool, retry_after: float | None, api: ApiServer, watched: Watched
) -> None:
    api.fault("create", "jobs", answer)
    unknown = await watched.cluster.create(REF, SPEC)
    assert isinstance(unknown, CreateUnknown)
    assert (unknown.everywhere, unknown.retry_after) == (everywhere, retry_after)


async def test_retry_after_holds_every_request_back(api: ApiServer, watched: Watched) -> None:
    """Invariant 8."""
    for kind in ("jobs", "pods"):
        await asyncio.wait_for(api.seen_again("watch", kind, 1), PATIENCE)
    api.fault("create", "jobs", answers(429, "slow down", Retry_After="1"))
    await watched.cluster.create(REF, SPEC)
    began = asyncio.get_running_loop().time()
    await asyncio.gather(watched.cluster.look(REF), watched.cluster.create(attempt("other"), SPEC))
    assert asyncio.get_running_loop().time() - began > 0.9


async def test_look_asks_the_cluster_itself(api: ApiServer, watched: Watched) -> None:
    await watched.until(REF, lambda seen: seen.current)
    api.put_quietly("jobs", job(REF))
    api.put_quietly("pods", running_pod(REF))
    api.put_quietly("pods", running_pod(attempt("other")))
    assert watched.cluster.observe(REF).job is None
    seen = await watched.cluster.look(REF)
    assert seen.current
    assert seen.job is not None
    assert seen.pod is not None
    assert seen.pod.uid == running_pod(REF)["metadata"]["uid"]
    api.fault("get", "jobs", answers(500, "boom"))
    with pytest.raises(ClusterUnavailable):
        await watched.cluster.look(REF)
    api.fault("get", "jobs", answers(403, "no"))
    with pytest.raises(ClusterForbidden, match="doctor"):
        await watched.cluster.look(REF)


@pytest.mark.parametrize(("over", "policy"), [(False, "Foreground"), (True, "Background")])
async def test_a_delete_names_its_uid_and_what_becomes_of_the_pods(
    over: bool, policy: str, api: ApiServer, watched: Watched
) -> None:
    """Invariant 10."""
    api.put("jobs", job(REF))
    await watched.cluster.delete(KNOWN, over=over)
    [sent] = api.of("delete", "jobs")
    assert sent.body == {"propagationPolicy": policy, "preconditions": {"uid": KNOWN.uid}}
    assert not api.objects["jobs"]


async def test_a_delete_finds_the_uid_by_the_claim(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF))
    await watched.cluster.delete(REF, over=False)
    assert not api.objects["jobs"]


async def test_deleting_what_is_gone_is_no_error(api: ApiServer, watched: Watched) -> None:
    await watched.cluster.delete(KNOWN, over=False)
    await watched.cluster.delete(REF, over=True)
    assert len(api.of("delete", "jobs")) == 1


async def test_a_delete_that_fails_says_so(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF))
    api.fault("delete", "jobs", answers(500, "boom"), answers(503, "no", Retry_After="0"))
    for _ in range(2):
        with pytest.raises(ClusterUnavailable):
            await watched.cluster.delete(KNOWN, over=False)
    await watched.cluster.delete(KNOWN, over=False)
    assert not api.objects["jobs"]


async def test_a_pod_whose_job_was_deleted_alone_is_deleted_too(api: ApiServer, watched: Watched) -> None:
    api.put("pods", running_pod(REF))
    await watched.until(REF, lambda seen: seen.pod is not None)
    await watched.cluster.delete(KNOWN, over=False)
    assert not api.objects["pods"]


async def test_a_halt_gives_the_pod_a_deadline_that_is_over(api: ApiServer, watched: Watched) -> None:
    api.put("pods", running_pod(REF))
    seen = await watched.until(REF, lambda seen: seen.pod is not None)
    assert seen.pod is not None
    assert await watched.cluster.halt(REF, seen.pod)
    [sent] = api.of("patch", "pods")
    assert sent.body == {"metadata": {"uid": seen.pod.uid}, "spec": {"activeDeadlineSeconds": 1}}
    assert sent.headers["Content-Type"] == "application/merge-patch+json"
    for code in (404, 409, 422):
        api.fault("patch", "pods", answers(code, "no"))
        assert not await watched.cluster.halt(REF, seen.pod)
    api.fault("patch", "pods", answers(500, "boom"))
    with pytest.raises(ClusterUnavailable):
        await watched.cluster.halt(REF, seen.pod)


def held_pod() -> dict[str, Any]:
    return pod(REF) | {"spec": {"schedulingGates": [{"name": "spark-jobs.dev/release"}, {"name": "theirs"}]}}


async def test_a_release_takes_our_gate_off_and_no_other(api: ApiServer, watched: Watched) -> None:
    api.put("pods", held_pod())
    seen = await watched.until(REF, lambda seen: seen.pod is not None)
    assert seen.pod is not None
    assert seen.pod.held
    assert await watched.cluster.release(REF, seen.pod)
    [sent] = api.of("patch", "pods")
    gates = [{"$patch": "delete", "name": "spark-jobs.dev/release"}]
    assert sent.body == {"metadata": {"uid": seen.pod.uid}, "spec": {"schedulingGates": gates}}
    assert sent.headers["Content-Type"] == "application/strategic-merge-patch+json"
    shown = watched.cluster.observe(REF).pod
    assert shown is not None
    assert not shown.held, "it is shown before the watch brings it"
    assert api.objects["pods"][seen.pod.name]["spec"]["schedulingGates"] == [{"name": "theirs"}]
    for code in (404, 409):
        api.fault("patch", "pods", answers(code, "no"))
        assert not await watched.cluster.release(REF, seen.pod)
    for code, error in ((500, ClusterUnavailable), (422, ClusterUnavailable), (403, ClusterForbidden)):
        api.fault("patch", "pods", answers(code, "no"))
        with pytest.raises(error):
            await watched.cluster.release(REF, seen.pod)


async def test_many_releases_need_few_connections(api: ApiServer, watched: Watched) -> None:
    """Invariant 12."""
    refs = [attempt(f"job-{number}") for number in range(20)]
    at_once: list[int] = []
    under_way, go_on = 0, asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        nonlocal under_way
        under_way += 1
        at_once.append(under_way)
        await go_on.wait()
        under_way -= 1
        return web.json_response(running_pod(REF))

    api.fault("patch", "pods", *[slow] * len(refs))
    held = PodSeen(name="pod", uid="uid", over=False, held=True)
    releases = asyncio.gather(*(watched.cluster.release(ref, held) for ref in refs))
    await asyncio.wait_for(api.seen_again("patch", "pods", 4), PATIENCE)
    go_on.set()
    assert all(await releases)
    assert max(at_once) == 4


async def test_an_idle_pod_is_deleted_as_it_was_seen_and_then_its_job(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF))
    api.put("pods", pod(REF))
    seen = await watched.until(REF, lambda seen: seen.pod is not None)
    assert seen.pod is not None
    assert await watched.cluster.delete(KNOWN, over=False, idle=seen.pod)
    [sent] = api.of("delete", "pods")
    assert sent.body["preconditions"] == {"uid": seen.pod.uid, "resourceVersion": seen.pod.version}
    assert not api.objects["jobs"]


async def test_a_pod_that_has_started_unseen_is_looked_at_and_not_deleted(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF))
    api.put("pods", pod(REF))
    seen = await watched.until(REF, lambda seen: seen.pod is not None)
    assert seen.pod is not None
    api.put_quietly("pods", running_pod(REF))
    assert not await watched.cluster.delete(KNOWN, over=False, idle=seen.pod)
    shown = watched.cluster.observe(REF).pod
    assert shown is not None
    assert isinstance(shown.container, Running)
    assert api.objects["jobs"]


async def test_where_pods_may_not_be_deleted_the_job_is(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF))
    api.put("pods", pod(REF))
    seen = await watched.until(REF, lambda seen: seen.pod is not None)
    api.fault("delete", "pods", answers(403, "no"))
    assert await watched.cluster.delete(KNOWN, over=False, idle=seen.pod)
    assert not api.objects["jobs"]


async def test_gone_needs_the_job_and_every_pod_that_could_run_to_be_gone(api: ApiServer, watched: Watched) -> None:
    """Invariant 10."""
    api.put("jobs", job(REF))
    assert not await watched.cluster.gone(REF)
    api.remove("jobs", REF.name)
    api.put("pods", pod(REF))
    assert not await watched.cluster.gone(REF)
    api.put("pods", ended_pod(REF))
    assert await watched.cluster.gone(REF)


async def test_many_who_ask_share_one_list(api: ApiServer, watched: Watched) -> None:
    await watched.until(REF, lambda seen: seen.current)
    refs = [attempt(f"job-{number}") for number in range(100)]
    api.put("jobs", job(refs[7]))
    before = len(api.of("list", "jobs"))
    answers_ = await asyncio.gather(*(watched.cluster.gone(ref) for ref in refs))
    assert [ref.job_id for ref, gone in zip(refs, answers_, strict=True) if not gone] == ["job-7"]
    assert len(api.of("list", "jobs")) == before + 1


async def test_who_asks_while_a_list_is_under_way_gets_a_fresher_one(api: ApiServer, watched: Watched) -> None:
    await watched.until(REF, lambda seen: seen.current)
    before = len(api.of("list", "jobs"))
    release = asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return status(500, "boom")

    api.fault("list", "jobs", slow)
    first = asyncio.create_task(watched.cluster.gone(REF))
    await asyncio.wait_for(api.seen_again("list", "jobs", before + 1), PATIENCE)
    second = asyncio.create_task(watched.cluster.gone(REF))
    release.set()
    with pytest.raises(ClusterUnavailable):
        await first
    assert await second


async def test_health_and_the_clocks(api: ApiServer, watched: Watched) -> None:
    await watched.until(REF, lambda seen: seen.current)
    assert watched.cluster.health().reachable
    assert abs(watched.cluster.clock_offset().total_seconds()) <= 1
    api.fault("get", "jobs", hang_up, hang_up)
    with pytest.raises(ClusterUnavailable, match=r"no answer from http://127\.0\.0\.1"):
        await watched.cluster.look(REF)
    health = watched.cluster.health()
    assert not health.reachable
    assert health.problem
    await watched.cluster.look(REF)
    assert watched.cluster.health().reachable


async def test_every_request_carries_the_token_and_asks_for_no_compression(api: ApiServer, watched: Watched) -> None:
    await watched.cluster.look(REF)
    assert {seen.headers["Authorization"] for seen in api.seen} == {"Bearer secret-token"}
    assert {seen.headers["Accept-Encoding"] for seen in api.seen} == {"identity"}


async def test_a_stopped_cluster_shows_nothing_as_gone(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api, tmp_path, KubernetesConfig()) as watched:
        await watched.until(REF, lambda seen: seen.current)
    assert not watched.cluster.observe(REF).current
    with pytest.raises(ClusterUnavailable):
        await watched.cluster.look(REF)


@pytest.mark.parametrize("off", [timedelta(minutes=-7), timedelta(), timedelta(minutes=7)])
async def test_a_date_to_retry_after_is_meant_by_the_servers_clock(
    off: timedelta, api: ApiServer, tmp_path: Path
) -> None:
    async with watching(api, tmp_path, KubernetesConfig()) as watched:
        await watched.until(REF, lambda seen: seen.current)
        then = datetime.now(UTC) + off
        api.clock = lambda: then
        later = format_datetime(then + timedelta(seconds=8), usegmt=True)
        api.fault("get", "jobs", answers(503, "later", Retry_After=later))
        with pytest.raises(ClusterUnavailable) as caught:
            await watched.cluster.look(REF)
        assert caught.value.retry_after == 8
        assert 7 < watched.cluster.limiter_wait() <= 8


POD = f"{REF.name}-pod"
RAN = msgspec.structs.replace(KNOWN, released=f"uid-{POD}", pod=POD)
UNLABELLED = {"labels": dict.fromkeys(marks.own_labels("", REF)), "annotations": {marks.CLAIM: None}}


def by_name(api: ApiServer) -> list[str]:
    """The names that pods were asked for by."""
    return [seen.query["fieldSelector"] for seen in api.of("list", "pods") if "fieldSelector" in seen.query]


async def test_a_pod_without_its_labels_is_found_by_its_name_and_labelled(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF))
    api.put("pods", running_pod(REF))
    before = await watched.until(RAN, lambda seen: seen.pod)
    api.mark("pods", POD, UNLABELLED)
    gone = await watched.until(RAN, lambda seen: seen.pod is None)
    assert gone.last_pod is not None
    seen = await watched.cluster.look(RAN)
    assert seen.pod is not None
    assert seen.pod.container == (before.pod and before.pod.container)
    assert watched.cluster.observe(RAN).pod == seen.pod, "it is shown before the watch brings it"
    assert by_name(api) == [f"metadata.name={POD}"]
    metadata = api.objects["pods"][POD]["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == (job(REF)["metadata"]["labels"], {marks.CLAIM: REF.claim})
    api.put("pods", {**ended_pod(REF, 3), "metadata": metadata})
    await watched.until(RAN, lambda seen: seen.pod and seen.pod.over)
    api.remove("pods", POD)
    gone = await watched.until(RAN, lambda seen: seen.pod is None)
    assert gone.last_pod is not None
    assert gone.last_pod.over, "what it was like without its labels does not count any more"


async def test_a_pod_that_was_let_go_and_has_not_run_yet_is_found_too(api: ApiServer, watched: Watched) -> None:
    unnamed = msgspec.structs.replace(RAN, pod=None)
    api.put("pods", pod(REF))
    await watched.until(unnamed, lambda seen: seen.pod)
    api.mark("pods", POD, UNLABELLED)
    await watched.until(unnamed, lambda seen: seen.pod is None)
    assert (await watched.cluster.look(unnamed)).pod is not None


async def test_what_is_really_gone_is_gone(api: ApiServer, watched: Watched) -> None:
    assert (await watched.cluster.look(RAN)).pod is None
    assert by_name(api) == [f"metadata.name={POD}"]
    assert (await watched.cluster.look(KNOWN)).pod is None
    assert len(by_name(api)) == 1, "no name is known"


async def test_another_pod_of_that_name_is_left_alone(api: ApiServer, watched: Watched) -> None:
    theirs = api.put("pods", {**running_pod(REF), "metadata": {"name": POD, "uid": "theirs"}})
    assert (await watched.cluster.look(RAN)).pod is None
    assert api.objects["pods"][POD] == theirs
    assert api.of("patch", "pods") == []


async def test_a_pod_that_goes_before_it_is_labelled_is_gone(api: ApiServer, watched: Watched) -> None:
    api.put("pods", running_pod(REF))
    api.mark("pods", POD, UNLABELLED)
    api.fault("patch", "pods", answers(404, "pods not found", "NotFound"))
    assert (await watched.cluster.look(RAN)).pod is None


@pytest.mark.parametrize("code", [403, 409, 422, 500])
async def test_a_pod_that_can_not_be_labelled_is_shown_without(code: int, api: ApiServer, watched: Watched) -> None:
    api.put("pods", running_pod(REF))
    api.mark("pods", POD, UNLABELLED)
    await watched.until(RAN, lambda seen: seen.current)
    api.fault("patch", "pods", answers(code, "no"))
    with pytest.raises(ClusterError):
        await watched.cluster.look(RAN)
    assert watched.cluster.observe(RAN).pod is not None


@pytest.mark.parametrize("over", [True, False])
async def test_a_pod_that_is_not_its_jobs_any_more_is_deleted_by_itself(
    over: bool, api: ApiServer, watched: Watched
) -> None:
    """A Job controller lets go of a pod that has lost the controller's labels."""
    api.put("jobs", job(REF))
    left = ended_pod(REF) if over else running_pod(REF)
    api.put("pods", {**left, "metadata": {**left["metadata"], "ownerReferences": []}})
    await watched.until(KNOWN, lambda seen: seen.pod)
    await watched.cluster.delete(KNOWN, over=over)
    assert (api.objects["jobs"], api.objects["pods"]) == ({}, {})


async def test_a_pod_that_is_its_jobs_is_left_to_go_with_it(api: ApiServer, watched: Watched) -> None:
    api.put("jobs", job(REF))
    api.put("pods", ended_pod(REF))
    await watched.until(KNOWN, lambda seen: seen.pod)
    await watched.cluster.delete(KNOWN, over=True)
    assert api.of("delete", "pods") == []
