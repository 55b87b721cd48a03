"""Many jobs at once on the real cluster, as an independent watcher sees them; and a server that is killed meanwhile."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest

from spark_jobs.client import Client
from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

JOBS = 60
LINES = "".join(f"{number}\n" for number in range(1, 21)).encode()


async def submit(server: Server, count: int, script: str) -> list[str]:
    """Submit jobs one after the other; their ids."""
    async with Client(server.url) as client:
        return [
            (await client.submit({"image": "busybox:1", "command": ["sh", "-c", script]})).job.id for _ in range(count)
        ]


async def ends(server: Server, ids: list[str]) -> tuple[list[Job], list[bytes]]:
    """The jobs once they are over, with their logs."""
    async with Client(server.url) as client:
        jobs = [await client.wait(job_id, timeout=240) for job_id in ids]
        logs = [b"".join([part async for part in client.logs(job_id)]) for job_id in ids]
    return jobs, logs


def _seen(pods: kube.Watcher, count: int, _events: object) -> bool:
    return len(pods.names()) >= count


async def test_sixty_jobs_ten_at_a_time(tmp_path: Path) -> None:
    """Invariants 2, 3, 6 and 7."""
    with (
        kube.namespace() as where,
        kube.watching("pods", where) as pods,
        kube.watching("jobs", where) as objects,
        serving(tmp_path, *on_kubernetes(where, "--max-concurrent-jobs", "10")) as server,
    ):
        ids = await submit(server, JOBS, "seq 1 20")
        jobs, logs = await ends(server, ids)
        assert {job.state for job in jobs} == {JobState.SUCCEEDED}
        assert logs == [LINES] * JOBS
        assert [job.attempts[0].log for job in jobs if not job.attempts[0].log.complete] == []
        objects.until(lambda _: objects.left() == [], seconds=10)
        pods.until(lambda _: pods.left() == [], seconds=10)
        assert kube.unfinished(pods.events) <= 10
        assert objects.names() == [job.attempts[0].kubernetes_job for job in jobs]


async def test_a_killed_server_loses_nothing_and_runs_nothing_twice(tmp_path: Path) -> None:
    """Invariants 1, 2 and 4."""
    with (
        kube.namespace() as where,
        kube.watching("pods", where) as pods,
        kube.watching("jobs", where) as objects,
        serving(tmp_path, *on_kubernetes(where, "--max-concurrent-jobs", "10")) as server,
    ):
        ids = await submit(server, JOBS, "echo begin; sleep 1; seq 1 20; echo end")
        for seen in (15, 35):
            pods.until(partial(_seen, pods, seen), seconds=120)
            server.end(signal.SIGKILL)
            server.start()
        jobs, logs = await ends(server, ids)
        assert {job.state for job in jobs} == {JobState.SUCCEEDED}
        assert logs == [b"begin\n" + LINES + b"end\n"] * JOBS
        objects.until(lambda _: objects.left() == [], seconds=30)
        pods.until(lambda _: pods.left() == [], seconds=30)
        assert objects.names() == [job.attempts[0].kubernetes_job for job in jobs]
        assert len(pods.names()) == JOBS
        assert kube.unfinished(pods.events) <= 10
