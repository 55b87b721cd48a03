"""Case 6, its neighbours: pods that no node takes, that the cluster refuses, or that wait for what is not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import at_age, end, shell, submit, took
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

LIMIT = 24
SHOWN_BY = 20


class Wait(NamedTuple):
    """A spec that waits in vain in a namespace, and what is said of it."""

    where: str
    spec: dict[str, Any]
    reason: str
    word: str


def volume(**source: object) -> dict[str, Any]:
    return {"volumes": [{"mount": "/data", **source}]}


WAITS = {
    "claim that is missing": Wait("plain", volume(pvc="no-such-claim"), "Unschedulable", "no-such-claim"),
    "claim that is not bound": Wait("plain", volume(pvc="unbound"), "Unschedulable", "unbound"),
    "selector that no node has": Wait("plain", {"node_selector": {"disk": "nowhere"}}, "Unschedulable", "selector"),
    "too much cpu": Wait("plain", {"cpu": "4000"}, "Unschedulable", "Insufficient cpu"),
    "service account": Wait("plain", {"service_account": "no-such-account"}, "AdmissionDenied", "no-such-account"),
    "priority class": Wait("plain", {"priority_class": "no-such-class"}, "AdmissionDenied", "no-such-class"),
    "runtime class": Wait("plain", {"runtime_class": "no-such-runtime"}, "AdmissionDenied", "no-such-runtime"),
    "quota on pods": Wait("quota", {}, "QuotaExceeded", "exceeded quota"),
    "quota on jobs": Wait("jobquota", {}, "QuotaExceeded", "exceeded quota"),
    "limit range": Wait("limits", {"memory": "128Mi"}, "AdmissionDenied", "maximum memory usage"),
    "pod security": Wait("restricted", {}, "AdmissionDenied", "violates PodSecurity"),
    "secret of a volume": Wait("plain", volume(secret="no-such-secret"), "FailedMount", "no-such-secret"),
    "config map of a volume": Wait("plain", volume(config_map="no-such-map"), "FailedMount", "no-such-map"),
}
PLACES = ("plain", "quota", "jobquota", "limits", "restricted")


def prepare(places: dict[str, str]) -> None:
    """Put into the namespaces what makes them what they are called."""
    objects: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "unbound", "namespace": places["plain"]},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "no-such-storage",
                "resources": {"requests": {"storage": "1Mi"}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "small", "namespace": places["limits"]},
            "spec": {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]},
        },
    ]
    kube.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    kube.kubectl("create", "quota", "none", "--hard=pods=0", "-n", places["quota"])
    kube.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0", "-n", places["jobquota"])
    strict = "pod-security.kubernetes.io/enforce=restricted"
    kube.kubectl("label", "namespace", places["restricted"], strict)
    for place in ("quota", "jobquota"):
        kube.kubectl("wait", "--for=jsonpath={.status.hard}", "quota/none", "-n", places[place], "--timeout=30s")


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, str]]:
    """Namespaces by what is special about them."""
    with (
        kube.namespace() as plain,
        kube.namespace() as quota,
        kube.namespace() as jobquota,
        kube.namespace() as limits,
        kube.namespace() as restricted,
    ):
        found = dict(zip(PLACES, (plain, quota, jobquota, limits, restricted), strict=True))
        prepare(found)
        yield found


@pytest.fixture(scope="module")
def server(places: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on all of them, and on one that is not there, with room for all jobs at once."""
    others = [word for place in PLACES[1:] for word in ("--namespace", places[place])]
    flags = on_kubernetes(places["plain"], *others, "--namespace", "no-such-place", "--max-concurrent-jobs", "20")
    with serving(tmp_path_factory.mktemp("home"), *flags) as running:
        yield running


@pytest.fixture(scope="module")
def ids(server: Server, places: dict[str, str]) -> dict[str, str]:
    """Every waiting job, submitted at once."""
    specs = [
        {**shell("echo no"), **wait.spec, "namespace": places[wait.where], "start_timeout": LIMIT}
        for wait in WAITS.values()
    ]
    return dict(zip(WAITS, asyncio.run(submit(server, *specs)), strict=True))


def check(job: Job, wait: Wait) -> None:
    assert (job.reason, wait.word in str(job.message)) == (wait.reason, True), job.message
    assert job.hint


@pytest.mark.parametrize("name", WAITS)
async def test_it_says_what_it_waits_for_and_ends_with_that_at_the_start_limit(
    server: Server, ids: dict[str, str], name: str
) -> None:
    shown = await at_age(server, ids[name], SHOWN_BY)
    if not shown.state.is_terminal:  # a later test finds it over
        assert shown.state is JobState.STARTING
    check(shown, WAITS[name])
    job = await end(server, ids[name])
    assert (job.state, job.exit_code, job.started_at) == (JobState.FAILED, None, None)
    check(job, WAITS[name])
    assert job.attempts[0].log.complete
    figures.at_most(f"case 6 {name}: end after submission, limit {LIMIT} s", took(job), LIMIT + 15)


async def test_what_waits_for_a_quota_runs_once_there_is_room(server: Server, places: dict[str, str]) -> None:
    where = places["quota"]
    [job_id] = await submit(server, shell("echo room", namespace=where, start_timeout=120))
    await at_age(server, job_id, 5)
    kube.kubectl("delete", "quota", "none", "-n", where)
    try:
        job = await end(server, job_id)
        assert (job.state, job.reason) == (JobState.SUCCEEDED, None)
    finally:
        kube.kubectl("create", "quota", "none", "--hard=pods=0", "-n", where)


async def test_a_namespace_that_is_not_there_ends_the_job_at_once(server: Server) -> None:
    [job_id] = await submit(server, shell("echo no", namespace="no-such-place"))
    job = await end(server, job_id)
    assert (job.state, job.reason) == (JobState.FAILED, "NamespaceNotFound")
    assert "no-such-place" in str(job.message)
    figures.at_most("case 6 namespace: end after submission", took(job), 5)


async def test_nothing_is_left_of_any_of_them(server: Server, ids: dict[str, str], places: dict[str, str]) -> None:
    """Invariant 7."""
    for job_id in ids.values():
        await end(server, job_id)
    for where in places.values():
        for kind in ("jobs", "pods"):
            with kube.watching(kind, where) as things:
                things.until(partial(_none_left, things), seconds=20)


def _none_left(things: kube.Watcher, _events: object) -> bool:
    return things.left() == []
