"""Case 3 on a real cluster: logs over outages of everything between a container and Spark, and of containers that end at
once. On a cluster of its own, whose parts are killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster import Cluster
from spark_jobs.client import Client
from spark_jobs.domain.job import Job, LogState
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import end, log_of, shell, submit, until
from tests.cases.own_cluster import own_cluster
from tests.cases.relayed import behind_relay
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving
from tests.fakes.passing import pass_by
from tests.fakes.relay import Relay

pytestmark = pytest.mark.needs("kubernetes", "kubectl", "root")

LINES = 90
WHOLE = "".join(f"{number}\n" for number in range(1, LINES + 1)).encode()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster whose parts may be killed."""
    with own_cluster("outages") as made:
        yield made


@pytest.fixture
def where(cluster: Cluster) -> Iterator[str]:
    """A namespace on it."""
    assert cluster.kubeconfig.exists()
    with kube.namespace() as name:
        yield name


async def follow(server: Server, job_id: str) -> bytes:
    """What a live follower sees, from the first line to the job's end."""
    async with Client(server.url) as client:
        return b"".join([part.data async for part in client.follow(job_id)])


async def disturb(cluster: Cluster, relay: Relay, began: float) -> None:
    """The API server is killed at 20 s, the kubelet down from 40 to 43 s, and the way to them frozen from 60 to 75 s."""

    async def at(seconds: float) -> None:
        await pass_by(began + seconds - time.monotonic())

    await at(20)
    await asyncio.to_thread(cluster.kill, "kube-apiserver")
    await asyncio.to_thread(cluster.start, "kube-apiserver")
    await at(40)
    await asyncio.to_thread(cluster.stop, "kubelet")
    await at(43)
    await asyncio.to_thread(cluster.start, "kubelet")
    await at(60)
    relay.freeze()
    await at(75)
    relay.pass_()


async def test_a_line_a_second_over_three_outages(cluster: Cluster, where: str, tmp_path: Path) -> None:
    """Invariants 5 and 6."""
    script = f"i=1; while [ $i -le {LINES} ]; do echo $i; i=$((i+1)); sleep 1; done"
    with behind_relay(tmp_path, where) as (server, relay):
        [job_id] = await submit(server, shell(script, timeout="none"))
        await until(server, job_id, lambda job: job.state is JobState.RUNNING, seconds=60)
        began = time.monotonic()
        follower = asyncio.create_task(follow(server, job_id))
        await disturb(cluster, relay, began)
        job = await end(server, job_id)
        assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
        log = job.attempts[0].log
        assert (log.state, log.problem) == (LogState.COMPLETE, None)
        figures.exactly("case 3: lines kept over three outages", (await log_of(server, job_id)).count(b"\n"), LINES)
        assert await log_of(server, job_id) == WHOLE
        assert await follower == WHOLE, "a follower saw each line once"


@pytest.fixture
def server(where: str, tmp_path: Path) -> Iterator[Server]:
    """A server that runs fifty jobs at a time."""
    with serving(tmp_path, *on_kubernetes(where, "--max-concurrent-jobs", "50")) as running:
        yield running


async def test_fifty_containers_that_end_at_once_keep_every_line(server: Server) -> None:
    spec = {"image": "busybox:1", "command": ["seq", "10000"]}
    ids = await submit(server, *[spec] * 50)
    jobs = [await end(server, job_id) for job_id in ids]
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    jobs = [await until(server, job.id, _settled) for job in jobs]
    whole = "".join(f"{number}\n" for number in range(1, 10001)).encode()
    logs = [await log_of(server, job_id) for job_id in ids]
    figures.exactly("case 3: whole logs of 50 short jobs", sum(log == whole for log in logs), 50)
    figures.exactly(
        "case 3: of them called complete", sum(job.attempts[0].log.state is LogState.COMPLETE for job in jobs), 50
    )


def _settled(job: Job) -> bool:
    return job.attempts[0].log.state is not LogState.COLLECTING


async def test_jobs_that_do_not_end_well_keep_their_logs_too(server: Server) -> None:
    """They fail, are killed, run into their limit or are cancelled, within moments of their first line."""
    scripts = {
        "echo out; exit 3": JobState.FAILED,
        "echo out; kill -9 $$": JobState.FAILED,
        "printf out; exit 3": JobState.FAILED,
        "echo out; sleep 100": JobState.TIMED_OUT,
        "echo out; sleep 101": JobState.CANCELLED,
    }
    specs = [shell(script, timeout=1 if "100" in script else 60, termination_grace=1) for script in scripts]
    ids = await submit(server, *specs)
    async with Client(server.url) as client:
        await until(server, ids[-1], lambda job: job.state is JobState.RUNNING)
        await client.cancel(ids[-1])
    jobs = [await until(server, (await end(server, job_id)).id, _settled) for job_id in ids]
    assert [job.state for job in jobs] == list(scripts.values())
    assert [await log_of(server, job_id) for job_id in ids] == [b"out\n", b"out\n", b"out", b"out\n", b"out\n"]
    assert {job.attempts[0].log.state for job in jobs} == {LogState.COMPLETE}
