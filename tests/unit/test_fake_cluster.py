"""What the fake cluster adds to the contract: scripts, accidents, outages, counts. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from spark_jobs.cluster.base import (
    AttemptRef,
    Created,
    CreateRefused,
    CreateUnknown,
    LogLines,
    Observation,
    PodSeen,
    Running,
    Terminated,
    Waiting,
)
from spark_jobs.cluster.fake import Accident, FakeCluster, LogFault, LogTrouble, Script
from spark_jobs.domain.errors import ClusterUnavailable, LogUnavailable
from spark_jobs.domain.spec import JobSpec

pytestmark = pytest.mark.looptime

SPEC = JobSpec(image="busybox:1", command=["true"], termination_grace=5)
REF = AttemptRef(job_id="a", attempt=1, claim="c1", namespace="default", name="spark-aaaaaaaaaaaa-1")
LINES = ("1", "2", "3", "4", "5", "6", "7", "8")


class Watcher:
    """Waits for what a cluster shows for ``REF``, whose pod it lets go."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self._news = asyncio.Event()
        self._releases: list[asyncio.Task[bool]] = []

    def changed(self, claim: str) -> None:
        if claim == REF.claim:
            self._news.set()
            pod = self._cluster.observe(REF).pod
            if pod is not None and pod.held:
                self._releases.append(asyncio.create_task(self._cluster.release(REF, pod)))

    async def until(self, kind: type[Waiting | Running | Terminated]) -> Observation:
        async with asyncio.timeout(10_000):
            while True:
                seen = self._cluster.observe(REF)
                if seen.pod is not None and not seen.pod.held and isinstance(seen.pod.container, kind):
                    return seen
                self._news.clear()
                await self._news.wait()

    async def until_no_pod(self) -> Observation:
        async with asyncio.timeout(10_000):
            while self._cluster.observe(REF).pod is not None:
                self._news.clear()
                await self._news.wait()
        return self._cluster.observe(REF)


@asynccontextmanager
async def started(script: Script) -> AsyncIterator[tuple[FakeCluster, Watcher]]:
    cluster = FakeCluster(lambda _spec: script)
    watcher = Watcher(cluster)
    await cluster.start("here", watcher.changed)
    yield cluster, watcher
    await cluster.stop()


async def read(cluster: FakeCluster, seen: Observation, since_ns: int | None = None) -> list[LogLines]:
    assert seen.pod is not None
    return [lines async for lines in cluster.logs(REF, seen.pod, since_ns=since_ns, follow=True)]


def text(batches: list[LogLines]) -> str:
    return b"".join(batch.data for batch in batches).decode()


async def test_without_a_script_it_runs_and_succeeds_at_once() -> None:
    cluster = FakeCluster()
    watcher = Watcher(cluster)
    await cluster.start("here", watcher.changed)
    assert await cluster.create(REF, SPEC) == Created(uid="uid-1")
    seen = await watcher.until(Terminated)
    assert seen.pod is not None
    assert seen.pod.over
    assert isinstance(seen.pod.container, Terminated)
    assert seen.pod.container.exit_code == 0
    assert seen.pod.container.reason == "Completed"


async def test_a_pod_that_waits_for_ever_shows_its_reason_and_ends_when_deleted() -> None:
    async with started(Script(pending=None, waiting=Waiting(reason="ImagePullBackOff"))) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        seen = await watcher.until(Waiting)
        assert seen.pod is not None
        assert seen.pod.container == Waiting(reason="ImagePullBackOff")
        await cluster.delete(REF, over=False)
        assert (await watcher.until_no_pod()).job is None
        assert await cluster.gone(REF)


async def test_lost_answers_make_one_object_however_often_it_is_asked() -> None:
    """Invariant 4."""
    async with started(Script(unknown_creates=2, unknown_stored=True, runs=None)) as (cluster, _):
        answers = [await cluster.create(REF, SPEC) for _ in range(3)]
        assert [type(answer) for answer in answers] == [CreateUnknown, CreateUnknown, Created]
        assert cluster.creates[REF.claim] == 3
        assert len(cluster.made) == 1


async def test_a_foreign_object_keeps_the_name() -> None:
    async with started(Script(foreign=True)) as (cluster, _):
        answer = await cluster.create(REF, SPEC)
        assert isinstance(answer, CreateRefused)
        assert answer.reason == "NameConflict"
        assert (await cluster.look(REF)).foreign
        assert cluster.made == []


async def test_a_container_that_ignores_term_is_killed_after_the_grace() -> None:
    async with started(Script(runs=None, ignores_term=True)) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        seen = await watcher.until(Running)
        assert seen.pod is not None
        began = asyncio.get_running_loop().time()
        assert await cluster.halt(REF, seen.pod)
        seen = await watcher.until(Terminated)
        assert asyncio.get_running_loop().time() - began == pytest.approx(5)
        assert seen.pod is not None
        assert isinstance(seen.pod.container, Terminated)
        assert (seen.pod.container.exit_code, seen.pod.container.signal) == (137, 9)
        assert seen.pod.reason == "DeadlineExceeded"


async def test_an_eviction_marks_the_pod_and_takes_it_away() -> None:
    async with started(Script(runs=None, accidents=((60, Accident.EVICT),), lingers=3)) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        seen = await watcher.until(Terminated)
        assert seen.pod is not None
        assert seen.pod.disruption == "EvictionByEvictionAPI"
        assert seen.pod.deleted_at is not None
        assert (await watcher.until_no_pod()).job is not None


async def test_nothing_stops_on_a_lost_node_until_it_is_found() -> None:
    async with started(Script(runs=None)) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        await watcher.until(Running)
        cluster.happen("a", Accident.LOSE_NODE)
        await cluster.delete(REF, over=False)
        assert not await cluster.gone(REF)
        seen = cluster.observe(REF)
        assert seen.pod is not None
        assert not seen.pod.node_ready
        cluster.happen("a", Accident.FIND_NODE)
        await watcher.until_no_pod()
        assert await cluster.gone(REF)


async def test_an_outage_answers_nothing_and_freezes_the_view() -> None:
    async with started(Script(runs=10)) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        await watcher.until(Running)
        cluster.outage(60)
        for question in (cluster.look(REF), cluster.gone(REF), cluster.delete(REF, over=False)):
            with pytest.raises(ClusterUnavailable):
                await question
        assert isinstance(await cluster.create(REF, SPEC), CreateUnknown)
        assert not cluster.health().reachable
        began = asyncio.get_running_loop().time()
        await watcher.until(Terminated)
        assert asyncio.get_running_loop().time() - began == pytest.approx(60)
        assert cluster.health().reachable


async def test_a_view_that_does_not_hold_is_not_current_during_an_outage() -> None:
    async with started(Script(runs=None)) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        await watcher.until(Running)
        cluster.outage(60, view_holds=False)
        assert not cluster.observe(REF).current


async def test_lines_come_in_their_rhythm_and_stop_with_the_container() -> None:
    async with started(Script(runs=3.5, lines=LINES, line_every=1, unfinished="end")) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        batches = await read(cluster, await watcher.until(Running))
        assert text(batches) == "1\n2\n3\n4\nend"
        stamps = [stamp for batch in batches for stamp in batch.stamps]
        assert [stamp - stamps[0] for stamp in stamps] == [0, 10**9, 2 * 10**9, 3 * 10**9, 3_500_000_000]


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (LogTrouble.UNAVAILABLE, LogUnavailable),
        (LogTrouble.GONE, LogUnavailable),
        (LogTrouble.AWAY, ClusterUnavailable),
    ],
)
async def test_a_log_breaks_where_its_script_says(trouble: LogTrouble, error: type[Exception]) -> None:
    faults = (LogFault(lines=2, trouble=trouble),)
    async with started(Script(runs=20, lines=LINES, line_every=1, log_faults=faults)) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        seen = await watcher.until(Running)
        with pytest.raises(error):
            await read(cluster, seen)
        assert text(await read(cluster, seen)) == "".join(f"{line}\n" for line in LINES)
        assert cluster.log_opens("a") == 2


async def test_a_silent_log_says_nothing_until_the_end() -> None:
    faults = (LogFault(lines=2, trouble=LogTrouble.SILENT),)
    async with started(Script(runs=20, lines=LINES, line_every=1, log_faults=faults)) as (cluster, watcher):
        await cluster.create(REF, SPEC)
        seen = await watcher.until(Running)
        assert text(await read(cluster, seen)) == "1\n2\n"
        assert isinstance(cluster.observe(REF).pod, PodSeen)


async def test_the_objects_outlive_a_stop_and_are_shown_to_the_next_observer() -> None:
    cluster = FakeCluster(lambda _spec: Script(runs=None))
    watcher = Watcher(cluster)
    await cluster.start("here", watcher.changed)
    await cluster.create(REF, SPEC)
    await watcher.until(Running)
    await cluster.stop()
    assert not cluster.observe(REF).current
    told: list[str] = []
    await cluster.start("here", told.append)
    assert told == [REF.claim]
    assert cluster.observe(REF).current
    assert cluster.strangers(lambda _claim: False) == [REF.name]
