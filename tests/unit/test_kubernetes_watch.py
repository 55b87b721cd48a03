"""The shared watches: what they show, and that no accident of a watch misleads for long (invariants 5, 9 and 12)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import Observation, Running, Terminated
from spark_jobs.cluster.kubernetes import KubernetesConfig
from tests.fakes.answering import Handler, Json, answers, event, hang_up, streams
from tests.fakes.api_server import ApiServer
from tests.fakes.door import serve
from tests.fakes.objects import attempt, ended_pod, job, running_pod
from tests.fakes.watching import PATIENCE, watching

REF = attempt()
POD = f"{REF.name}-pod"
KNOWN = msgspec.structs.replace(REF, uid=f"uid-{REF.name}", released=f"uid-{POD}")


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    async with serve(ApiServer()) as server:
        server.put("jobs", job(REF))
        server.put("pods", running_pod(REF))
        yield server


def runs(seen: Observation) -> bool:
    return seen.current and seen.pod is not None and isinstance(seen.pod.container, Running)


def ended(seen: Observation) -> bool:
    return seen.current and seen.pod is not None and isinstance(seen.pod.container, Terminated)


async def test_what_is_there_is_shown_once_both_lists_are_in(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api, tmp_path) as watched:
        assert watched.cluster.observe(REF) == Observation(current=False)
        seen = await watched.until(REF, runs)
        assert seen.job is not None
        assert watched.cluster.observe(attempt("nobody")) == Observation(current=True)


async def test_who_asked_too_early_for_what_is_not_there_is_told(api: ApiServer, tmp_path: Path) -> None:
    lost = attempt("lost")
    async with watching(api, tmp_path) as watched:
        assert await watched.until(lost, lambda seen: seen.current) == Observation(current=True)


async def test_changes_are_shown_and_told(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)
        api.put("pods", ended_pod(REF, 3))
        seen = await watched.until(REF, ended)
        assert seen.pod is not None
        assert seen.pod.over
        api.remove("jobs", REF.name)
        await watched.until(REF, lambda seen: seen.job is None)
        api.remove("pods", f"{REF.name}-pod")
        gone = await watched.until(REF, lambda seen: seen.pod is None)
        assert (gone.current, gone.job) == (True, None)
        assert gone.last_pod is not None
        assert gone.last_pod.over, "what it was like when it was deleted is kept"


async def test_an_event_that_changes_nothing_is_not_told(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)
        before = watched.calls[REF.claim]
        for _ in range(5):
            api.put("pods", running_pod(REF))
        api.put("pods", ended_pod(REF))
        await watched.until(REF, ended)
        assert watched.calls[REF.claim] == before + 1


async def test_the_number_of_watches_does_not_grow_with_the_number_of_jobs(api: ApiServer, tmp_path: Path) -> None:
    """Invariant 12."""
    for number in range(50):
        api.put("jobs", job(attempt(f"more-{number}")))
        api.put("pods", running_pod(attempt(f"more-{number}")))
    async with watching(api, tmp_path) as watched:
        for number in range(50):
            await watched.until(attempt(f"more-{number}"), runs)
        for kind in ("jobs", "pods"):
            await asyncio.wait_for(api.seen_again("watch", kind, 1), PATIENCE)
        assert [len(api.of("watch", kind)) for kind in ("jobs", "pods")] == [1, 1]


async def test_a_namespace_is_watched_from_its_first_job_on(api: ApiServer, tmp_path: Path) -> None:
    other = attempt("other", namespace="lab")
    api.put("jobs", job(other))
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)
        assert not watched.cluster.observe(other).current
        await watched.until(other, lambda seen: seen.current and seen.job is not None)


GONE = {"kind": "Status", "code": 410, "message": "too old resource version", "reason": "Expired"}
ODD: dict[str, Handler] = {
    "410 in the stream": streams(event("ERROR", GONE)),
    "410 on open": answers(410, "too old resource version", "Expired"),
    "500 on open": answers(500, "etcdserver: request timed out"),
    "another error in the stream": streams(event("ERROR", {**GONE, "code": 500})),
    "a clean end at once": streams(),
    "a connection that is cut": hang_up,
    "an end inside an event": streams(event("ADDED", running_pod(REF))[:40], cut=True),
    "no JSON": streams(b"<html>\n"),
    "bytes that are no text": streams(b'{"type": "ADDED", "object": {"metadata": {"name": "\xff\xfe"}}}\n'),
    "a bookmark of nulls": streams(event("BOOKMARK", {"metadata": None, "spec": None})),
    "an unknown kind of event": streams(event("FUTURE", {"metadata": {"resourceVersion": "1"}})),
    "empty lines": streams(b"\n\n"),
}


@pytest.mark.parametrize("trouble", ODD)
async def test_a_watch_that_fails_delays_the_truth_by_seconds_at_most(
    trouble: str, api: ApiServer, tmp_path: Path
) -> None:
    """Invariant 5: a watch that ends never means that a job ended."""
    api.fault("watch", "pods", ODD[trouble])
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)
        await asyncio.wait_for(api.seen_again("watch", "pods", 1), PATIENCE)
        api.put("pods", ended_pod(REF))
        async with asyncio.timeout(5):
            await watched.until(REF, ended)


async def test_a_watch_goes_on_from_the_last_bookmark(api: ApiServer, tmp_path: Path) -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "12345"}, "spec": None, "status": None})
    api.fault("watch", "pods", streams(bookmark))
    async with watching(api, tmp_path):
        await asyncio.wait_for(api.seen_again("watch", "pods", 2), PATIENCE)
    assert api.of("watch", "pods")[1].query["resourceVersion"] == "12345"
    assert len(api.of("list", "pods")) == 1


async def test_watches_that_end_at_once_are_opened_at_a_bearable_rate(api: ApiServer, tmp_path: Path) -> None:
    api.fault("watch", "pods", *(streams() for _ in range(100)))
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)
        began = asyncio.get_running_loop().time()
        await asyncio.wait_for(api.seen_again("watch", "pods", 4), PATIENCE)
        assert asyncio.get_running_loop().time() - began > 0.7 * (0.5 + 1 + 2) - 0.1


async def test_a_silent_watch_misleads_no_longer_than_the_stall_bound(api: ApiServer, tmp_path: Path) -> None:
    """Invariant 12: headers, one event, then nothing, with the socket open."""
    hold = asyncio.Event()
    api.fault(
        "watch", "pods", *(streams(event("ADDED", api.objects["pods"][f"{REF.name}-pod"]), hold=hold) for _ in range(9))
    )
    async with watching(api, tmp_path, KubernetesConfig(qps=0, stall_bound=1.0)) as watched:
        await watched.until(REF, runs)
        api.put("pods", ended_pod(REF))
        async with asyncio.timeout(5):
            await watched.until(REF, ended)
        hold.set()


async def test_an_event_that_is_never_sent_is_found_by_the_next_list(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api, tmp_path, KubernetesConfig(qps=0, stall_bound=1.0)) as watched:
        await watched.until(REF, runs)
        await asyncio.wait_for(api.seen_again("watch", "pods", 1), PATIENCE)
        api.put_quietly("pods", ended_pod(REF))
        async with asyncio.timeout(5):
            await watched.until(REF, ended)


async def test_an_object_that_vanished_unseen_is_dropped_by_the_next_list(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api, tmp_path, KubernetesConfig(qps=0, stall_bound=1.0)) as watched:
        await watched.until(REF, runs)
        del api.objects["pods"][f"{REF.name}-pod"]
        async with asyncio.timeout(5):
            await watched.until(REF, lambda seen: seen.pod is None)


async def test_a_server_that_is_away_makes_the_view_not_current_but_keeps_it(api: ApiServer, tmp_path: Path) -> None:
    """Invariant 9: an outage shows nothing as gone."""
    async with watching(api, tmp_path, KubernetesConfig(qps=0, stall_bound=1.0)) as watched:
        await watched.until(REF, runs)
        api.fault("list", "pods", *(hang_up for _ in range(4)))
        away = await watched.until(REF, lambda seen: not seen.current)
        assert away.pod is not None
        await watched.until(REF, runs)


async def test_a_refused_list_is_said_and_asked_again(api: ApiServer, tmp_path: Path) -> None:
    api.fault("list", "pods", answers(403, "pods is forbidden"), answers(200, "no list at all"))
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)


async def test_a_list_is_read_page_by_page(api: ApiServer, tmp_path: Path) -> None:
    def page(items: list[dict[str, Any]], more: str) -> Handler:
        body = {"metadata": {"resourceVersion": "500", "continue": more}, "items": items}
        return streams(json.dumps(body).encode())

    other = attempt("other")
    api.fault("list", "pods", page([running_pod(other)], "next"), page([running_pod(REF)], ""))
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)
        assert runs(watched.cluster.observe(other))
    first, second = api.of("list", "pods")
    assert "continue" not in first.query
    assert second.query["continue"] == "next"


async def test_a_job_without_a_pod_shows_why_there_is_none(api: ApiServer, tmp_path: Path) -> None:
    lone = attempt("lone")
    about = {"uid": job(lone)["metadata"]["uid"]}
    text = 'Error creating: pods "x" is forbidden: exceeded quota: small'
    api.put("events", {"metadata": {"name": "e"}, "involvedObject": about, "message": text})
    api.put("jobs", job(lone))
    async with watching(api, tmp_path) as watched:
        seen = await watched.until(lone, lambda seen: seen.refusal)
        assert seen.refusal is not None
        assert (seen.refusal.reason, seen.refusal.message) == ("QuotaExceeded", text)
        assert len(api.of("list", "events")) == 1
        assert api.of("list", "events")[0].query["fieldSelector"] == "involvedObject.kind=Job,reason=FailedCreate"
        api.put("pods", running_pod(lone))
        await watched.until(lone, lambda seen: seen.refusal is None and runs(seen))


async def test_a_node_that_does_not_answer_is_shown(api: ApiServer, tmp_path: Path) -> None:
    api.tables = [{"cells": ["node-0", "Ready,SchedulingDisabled"]}, {"cells": ["node-1", "NotReady"]}]
    async with watching(api, tmp_path) as watched:
        seen = await watched.until(REF, lambda seen: seen.pod is not None and not seen.pod.node_ready)
        assert seen.pod is not None
        assert seen.pod.node == "node-1"


async def test_objects_with_an_unknown_claim_are_named(api: ApiServer, tmp_path: Path) -> None:
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)
        assert watched.cluster.strangers(lambda claim: claim == REF.claim) == []
        assert watched.cluster.strangers(lambda _claim: False) == [REF.name, f"{REF.name}-pod"]


async def test_our_name_on_a_job_with_another_claim_is_foreign(api: ApiServer, tmp_path: Path) -> None:
    """Invariant 4: same labels, another claim: not ours."""
    theirs = job(REF)
    theirs["metadata"]["annotations"] = {"spark-jobs.dev/claim": "another"}
    api.put("jobs", theirs)
    async with watching(api, tmp_path) as watched:
        seen = await watched.until(REF, lambda seen: seen.foreign)
        assert seen.job is None


LOSSES: dict[str, Json] = {
    "taken off": {"annotations": {marks.CLAIM: None}},
    "another": {"annotations": {marks.CLAIM: "another"}},
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_claim_that_somebody_edits_changes_nothing(loss: str, api: ApiServer, tmp_path: Path) -> None:
    """The objects are still the attempt's, and what becomes of them is shown, also when they are gone."""
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, runs)
        api.mark("jobs", REF.name, LOSSES[loss])
        api.mark("pods", POD, LOSSES[loss])
        api.put("pods", {**ended_pod(REF, 3), "metadata": api.objects["pods"][POD]["metadata"]})
        seen = await watched.until(REF, ended)
        assert seen.job is not None
        assert not seen.foreign
        assert watched.cluster.strangers(lambda claim: claim == REF.claim) == []
        assert (await watched.cluster.look(KNOWN)).pod == seen.pod
        api.remove("jobs", REF.name)
        api.remove("pods", POD)
        gone = await watched.until(REF, lambda seen: seen.job is None and seen.pod is None)
        assert gone.last_pod is not None
        assert gone.last_pod.over


@pytest.mark.parametrize("loss", LOSSES)
async def test_what_has_lost_its_claim_before_the_start_is_known_by_its_uid(
    loss: str, api: ApiServer, tmp_path: Path
) -> None:
    api.mark("jobs", REF.name, LOSSES[loss])
    api.mark("pods", POD, LOSSES[loss])
    async with watching(api, tmp_path) as watched:
        seen = await watched.until(KNOWN, lambda seen: runs(seen) and seen.job)
        assert not seen.foreign
        looked = await watched.cluster.look(KNOWN)
        assert (looked.job, looked.pod, looked.foreign) == (seen.job, seen.pod, False)
        assert not await watched.cluster.gone(KNOWN)
        api.remove("jobs", REF.name)
        assert not await watched.cluster.gone(KNOWN), "its pod runs"
        api.mark("pods", POD, {"annotations": {marks.CLAIM: REF.claim}})
        api.remove("pods", POD)
        await watched.until(KNOWN, lambda seen: seen.pod is None)
        assert await watched.cluster.gone(KNOWN)


async def test_a_claim_that_is_put_back_counts(api: ApiServer, tmp_path: Path) -> None:
    api.mark("pods", POD, LOSSES["taken off"])
    async with watching(api, tmp_path) as watched:
        await watched.until(REF, lambda seen: seen.job and seen.current)
        assert watched.cluster.observe(REF).pod is None
        api.mark("pods", POD, {"annotations": {marks.CLAIM: REF.claim}})
        await watched.until(REF, runs)
        assert watched.cluster.strangers(lambda claim: claim == REF.claim) == []
