"""Case 7: a job that was given up while its pod waited for a node never runs afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import at_age, end, shell, submit, took, until
from tests.cases.own_cluster import node_name, own_cluster
from tests.e2e import kube
from tests.e2e.server import on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "root")

QUIET = 60.0


@pytest.fixture(scope="module")
def cordoned() -> Iterator[str]:
    """A namespace on a cluster of our own whose node takes no pods; the node's name is given by `node_name`."""
    with own_cluster("pending"), kube.namespace() as where:
        kube.kubectl("cordon", node_name())
        yield where


def ran(pod: kube.Object) -> bool:
    """Whether a container of it is or was running."""
    states = [status.get("state", {}) for status in pod.get("status", {}).get("containerStatuses", [])]
    return any("running" in state or "terminated" in state for state in states)


async def test_no_container_of_it_runs_after_it_was_given_up(cordoned: str, tmp_path: Path) -> None:
    flags = on_kubernetes(cordoned, "--max-concurrent-jobs", "1", "--start-timeout", "15")
    with kube.watching("pods", cordoned) as pods, serving(tmp_path, *flags) as server:
        first, second = await submit(server, shell("echo first"), shell("echo second", start_timeout=120))
        given_up = await at_age(server, first, 20)
        assert (given_up.state, given_up.reason) == (JobState.FAILED, "Unschedulable")
        assert "unschedulable" in str(given_up.message)
        assert given_up.hint
        figures.at_most("case 7: end after submission, limit 15 s", took(given_up), 20)

        waiting = await until(server, second, lambda job: job.reason is not None, seconds=30)
        assert (waiting.state, waiting.reason) == (JobState.STARTING, "Unschedulable")
        kube.kubectl("uncordon", node_name())
        uncordoned = time.monotonic()
        assert (await end(server, second)).state is JobState.SUCCEEDED
        figures.note("case 7: the second one ended after the node came back", time.monotonic() - uncordoned, "soon")

        await at_age(server, first, 20 + QUIET)
        name = given_up.attempts[0].kubernetes_job
        mine = [pod for _, _, pod in pods.events if pod["metadata"]["labels"]["job-name"] == name]
        assert mine, "the first job's pod was never seen: this test sees nothing"
        figures.exactly("case 7: containers of the job that was given up", sum(map(ran, mine)), 0)
        pods.until(lambda _: pods.left() == [], seconds=15)
