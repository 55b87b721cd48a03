"""Case 2: the server is killed twice while jobs run, and somebody deletes one of them meanwhile."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import at_age, end, log_of, shell, submit
from tests.e2e import kube
from tests.e2e.server import SPARK, Server, environment, on_kubernetes, serving
from tests.fakes.passing import pass_by, stand_by

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

SPEC = shell("echo begin; sleep 8; echo end", termination_grace=1)
WHOLE = b"begin\nend\n"
LIMIT = ("--max-concurrent-jobs", "3")


@pytest.fixture
def where() -> Iterator[str]:
    """A namespace for the test."""
    with kube.namespace() as name:
        yield name


@pytest.fixture
def server(where: str, tmp_path: Path) -> Iterator[Server]:
    """A server that runs three jobs at a time."""
    with serving(tmp_path, *on_kubernetes(where, *LIMIT)) as running:
        yield running


def phases(pods: kube.Watcher, phase: str) -> set[str]:
    """The pods that were ever seen in this phase."""
    return {pod["metadata"]["name"] for _, _, pod in list(pods.events) if pod["status"].get("phase") == phase}


def running(pods: kube.Watcher) -> list[str]:
    """The pods that run now."""
    return sorted(name for name in pods.left() if pods.last(name)["status"].get("phase") == "Running")


def container_end(pods: kube.Watcher, name: str) -> datetime:
    """When the pod's container ended, by the cluster's clock."""
    [status] = pods.last(name)["status"]["containerStatuses"]
    return datetime.fromisoformat(status["state"]["terminated"]["finishedAt"])


async def test_killed_twice_it_loses_nothing_and_runs_nothing_twice(server: Server, where: str) -> None:
    """Invariants 1 to 5 and 7."""
    with kube.watching("pods", where) as pods, kube.watching("jobs", where) as objects:
        ids = await submit(server, *[SPEC] * 12)
        await at_age(server, ids[0], 4)
        server.end(signal.SIGKILL)
        await pass_by(2)  # how long it is down is the case's own
        server.start()
        await at_age(server, ids[0], 13)
        pods.until(lambda _: len(running(pods)) >= 2, seconds=30)
        server.end(signal.SIGKILL)
        deleted, meanwhile = _delete_one_and_let_others_end(pods, where, seconds=10)
        server.start()
        jobs = [await end(server, job_id) for job_id in ids]
        known_at = time.time()
        _assert_ends(jobs, pods, deleted, meanwhile)
        last_end = max(container_end(pods, name).timestamp() for name in phases(pods, "Succeeded"))
        figures.at_most("case 2: every end is known, after the last pod's", known_at - last_end, 15)
        logs = {job.id: await log_of(server, job.id) for job in jobs}
        assert {logs[job.id] for job in jobs if job.state is JobState.SUCCEEDED} == {WHOLE}
        objects.until(lambda _: objects.left() == [], seconds=30)
        pods.until(lambda _: pods.left() == [], seconds=30)
        figures.exactly("case 2: Jobs ever", len(objects.names()), 12)
        figures.exactly("case 2: pods ever", len(pods.names()), 12)
        assert objects.names() == [job.attempts[0].kubernetes_job for job in jobs], "not in the order of submission"
        figures.at_most("case 2: unfinished pods at once", kube.unfinished(pods.events), 3, "pods")


def _delete_one_and_let_others_end(pods: kube.Watcher, where: str, *, seconds: float) -> tuple[str, set[str]]:
    """While nobody looks: the pod whose Job was deleted and that is gone, and those that ended."""
    began = time.monotonic()
    before = phases(pods, "Succeeded")
    victim = running(pods)[0]
    kube.kubectl("delete", "job", victim.rpartition("-")[0], "-n", where, "--cascade=foreground")
    pods.until(lambda _: victim not in pods.left(), seconds=30)
    pods.until(lambda _: phases(pods, "Succeeded") - before - {victim} != set(), seconds=30)
    stand_by(seconds - (time.monotonic() - began))  # how long it is down is the case's own
    return victim, phases(pods, "Succeeded") - before - {victim}


def _assert_ends(jobs: list[Job], pods: kube.Watcher, deleted: str, meanwhile: set[str]) -> None:
    by_pod = {job.attempts[0].pod: job for job in jobs}
    lost = by_pod[deleted]
    assert (lost.state, lost.reason, lost.exit_code) == (JobState.FAILED, "Lost", None)
    others = [job for job in jobs if job is not lost]
    figures.exactly("case 2: succeeded", sum(job.state is JobState.SUCCEEDED for job in others), 11)
    ends = {name: (by_pod[name].attempts[0].finished_at, container_end(pods, name)) for name in meanwhile}
    assert {name: ours for name, (ours, _) in ends.items()} == {name: theirs for name, (_, theirs) in ends.items()}


async def test_a_server_that_is_asked_to_end_leaves_what_runs_alone(server: Server, where: str) -> None:
    with kube.watching("pods", where) as pods:
        ids = await submit(server, *[SPEC] * 3)
        pods.until(lambda _: len(phases(pods, "Running")) == 3, seconds=60)
        assert server.end(signal.SIGTERM) == 0
        assert [name for name in pods.left() if "deletionTimestamp" in pods.last(name)["metadata"]] == []
        pods.until(lambda _: len(phases(pods, "Succeeded")) == 3, seconds=60)
        assert len(pods.left()) == 3
        server.start()
        assert [(await end(server, job_id)).state for job_id in ids] == [JobState.SUCCEEDED] * 3
        assert [await log_of(server, job_id) for job_id in ids] == [WHOLE] * 3
        figures.exactly("case 2: pods ever, over a SIGTERM", len(pods.names()), 3)


def test_a_second_server_on_the_same_data_folder_refuses_to_start(server: Server, where: str) -> None:
    words = [*SPARK, "server", "--port", "0", "--data-dir", str(server.home / "data"), *on_kubernetes(where)]
    done = subprocess.run(words, env=environment(server.home), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert str(server.home / "data") in done.stderr
    assert "Traceback" not in done.stderr
