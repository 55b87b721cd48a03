"""Case 1: the watch dies, stalls or expires, while a job runs that ends meanwhile. Invariants 5 and 12."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case
from tests.fakes.answering import Handler, Json, answers, event, hang_up, late, streams
from tests.fakes.control_plane import Kubernetes
from tests.fakes.hurry import hurried

SOON = 5.0
STALL_BOUND = 60.0
GONE = {"kind": "Status", "code": 410, "message": "too old resource version", "reason": "Expired"}


def pod_of(c: Case, job_id: str) -> Json:
    """The pod as the cluster has it."""
    return c.api.objects["pods"][c.api.life_of(job_id).name]


async def started(c: Case) -> str:
    """A job whose container runs until it is told to end."""
    job_id = await c.submit("run", "3600")
    await c.running(job_id)
    return job_id


async def check_end(c: Case, job_id: str, letter: str, bound: float = SOON) -> None:
    """Its program ends with 0: so does the job, in time."""
    job, took = await c.ends_after_its_container(job_id)
    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
    figures.at_most(f"case 1 {letter}: from the container's end to the job's", took, bound)


def half(item: Json) -> bytes:
    """A part of an event."""
    return event("MODIFIED", item)[:60]


ON_OPEN: dict[str, Callable[[Json], Handler]] = {
    "a: 410 in the stream": lambda _pod: streams(event("ERROR", GONE)),
    "b: 410 on open": lambda _pod: answers(410, "too old resource version", "Expired"),
    "e: an end inside an event": lambda pod: streams(half(pod), cut=True),
    "e: a clean end inside an event": lambda pod: streams(half(pod)),
    "e: cut before the head": lambda _pod: hang_up,
    "h: conditions are null": lambda pod: streams(
        event("MODIFIED", {**pod, "status": {**pod.get("status", {}), "conditions": None}})
    ),
    "500 on open": lambda _pod: answers(500, "etcdserver: leader changed"),
    "503 with a page of a proxy": lambda _pod: answers(503, "<html>no healthy upstream</html>", Retry_After="1"),
    "odd bytes": lambda _pod: streams(b"\x00\xff\xfe{]\n"),
    "an object that is none": lambda _pod: streams(b'{"type": "MODIFIED", "object": 7}\n'),
    "an event of another kind": lambda _pod: streams(event("LATER", {"metadata": None})),
    "an empty object": lambda _pod: streams(event("MODIFIED", {})),
}


@pytest.mark.parametrize("trouble", ON_OPEN)
@pytest.mark.parametrize("kind", ["pods", "jobs"])
def test_a_watch_that_fails_when_it_is_opened(trouble: str, kind: str, tmp_path: Path) -> None:
    """Three times in a row, and every watch below the list's version gets 410 as well."""

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await started(c)
            item = pod_of(c, job_id) if kind == "pods" else c.api.job_of(job_id)
            c.api.fault("watch", kind, *(ON_OPEN[trouble](item) for _ in range(3)))
            c.api.compact()
            c.api.cut()
            await c.api.seen_again("watch", kind, len(c.api.of("watch", kind)) + 1)
            await check_end(c, job_id, f"{trouble}, {kind}")

    run()


@hurried(20)
async def test_c_a_watch_that_falls_silent_with_its_socket_open(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await started(c)
        silence = streams(event("ADDED", pod_of(c, job_id)), hold=asyncio.Event())
        c.api.gate = lambda seen: silence if seen.verb == "watch" else None
        c.api.cut()
        await c.api.seen_again("watch", "pods", len(c.api.of("watch", "pods")) + 1)
        await check_end(c, job_id, "c", STALL_BOUND + SOON)


@hurried(20)
async def test_c_a_watch_whose_head_never_comes(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await started(c)
        c.api.gate = lambda seen: late(1e6, hang_up) if seen.verb == "watch" else None
        c.api.cut()
        await c.api.seen_again("watch", "pods", len(c.api.of("watch", "pods")) + 1)
        await check_end(c, job_id, "c, no head", STALL_BOUND + SOON)


@hurried(20)
async def test_d_a_clean_close_right_after_every_open(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await started(c)
        c.api.gate = lambda seen: streams() if seen.verb == "watch" else None
        c.api.cut()
        began = c.now()
        await asyncio.sleep(50)
        await check_end(c, job_id, "d")
        await asyncio.sleep(began + 60 - c.now())
        figures.at_most("case 1 d: opens in 10 s", _most_in(c.api, began, 10), 20, "opens")
        c.api.gate = lambda _seen: None
        next_job = await started(c)
        await check_end(c, next_job, "d, afterwards")


@hurried()
async def test_f_after_a_bookmark_with_null_fields_the_next_watch_starts_at_it(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await started(c)
        version = pod_of(c, job_id)["metadata"]["resourceVersion"]
        mark = {
            "metadata": {"resourceVersion": version, "annotations": None, "labels": None},
            "spec": None,
            "status": None,
        }
        lists = len(c.api.of("list", "pods"))
        c.api.fault("watch", "pods", streams(event("BOOKMARK", mark)))
        c.api.cut()
        opens = len(c.api.of("watch", "pods"))
        await c.api.seen_again("watch", "pods", opens + 2)
        figures.exactly(
            "case 1 f: the next watch starts at", c.api.of("watch", "pods")[-1].query["resourceVersion"], version
        )
        assert len(c.api.of("list", "pods")) == lists, "a bookmark makes no list necessary"
        await check_end(c, job_id, "f")


@hurried(20)
async def test_g_the_last_event_is_never_sent(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        job_id = await started(c)
        c.api.quiet = {"pods", "jobs"}
        await check_end(c, job_id, "g", STALL_BOUND + SOON)
        c.api.quiet = set()


@pytest.mark.parametrize("failed", ["True", "False"])
def test_h_conditions_of_a_job_in_any_order_decide_nothing(failed: str, tmp_path: Path) -> None:
    """The end is the pod's. A Failed condition that does not hold, or one that does while the container runs on."""
    conditions: list[list[Json] | None] = [
        None,
        [{"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"}],
        [{"type": "Failed", "status": failed, "reason": "BackoffLimitExceeded"}],
        [{"type": "Complete", "status": "False"}],
        [{"type": None, "status": None}],
    ]

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await started(c)
            for each in conditions:
                c.api.put("jobs", {**c.api.job_of(job_id), "status": {"conditions": each}})
            assert (await c.service.get(job_id)).state is JobState.RUNNING
            await check_end(c, job_id, f"h, Failed={failed}")

    run()


@pytest.mark.parametrize("text", ["a\u0085b\u2028c\x1cd", "x" * 3 * 1024 * 1024], ids=["U+0085", "3 MiB"])
def test_i_an_annotation_with_odd_line_ends_or_of_3_mib(text: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            job_id = await started(c)
            c.api.life_of(job_id).annotations = {"example.com/notes": text}
            opens = len(c.api.of("watch", "pods"))
            await check_end(c, job_id, f"i, {len(text)} characters")
            assert len(c.api.of("watch", "pods")) == opens, "the same watch brought it"

    run()


def _most_in(api: Kubernetes, since: float, window: float) -> int:
    """The most watches, of both kinds, that were opened in any such window."""
    times = [seen.time for seen in api.seen if seen.verb == "watch" and seen.time >= since]
    return max((sum(first <= at < first + window for at in times) for first in times), default=0)
