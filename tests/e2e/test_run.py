"""One job at a time on the real cluster, from the command line to the clean namespace."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A namespace for this module."""
    with kube.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def server(where: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on that namespace, whose image grace is short."""
    with serving(tmp_path_factory.mktemp("home"), *on_kubernetes(where, "--image-grace", "5")) as running:
        yield running


def test_run_prints_the_log_and_ends_with_the_containers_exit_code(server: Server) -> None:
    done = server.spark("run", "--image", "busybox:1", "--", "sh", "-c", "echo out; echo err >&2; exit 7", expect=7)
    assert sorted(done.stdout.splitlines()) == ["err", "out"]
    assert "FAILED (NonZeroExit), exit code 7" in done.stderr.splitlines()[-1]
    job = server.job("@latest")
    assert (job["state"], job["exit_code"], job["reason"]) == ("FAILED", 7, "NonZeroExit")
    [attempt] = job["attempts"]
    assert (attempt["cluster"], attempt["log"]["complete"], attempt["log"]["lines"]) == ("kubernetes", True, 2)


def test_a_time_limit_ends_a_plain_sleep(server: Server) -> None:
    """Invariant 10: process 1 without a handler for TERM would sleep through the whole grace."""
    began = time.monotonic()
    done = server.spark(
        "run", "--timeout", "5", "--image", "busybox:1", "--", "sh", "-c", "echo begun; sleep 60", expect=124
    )
    assert done.stdout == "begun\n"
    assert "TIMED_OUT (DeadlineExceeded)" in done.stderr
    assert time.monotonic() - began < 25  # the bound for people is measured in bench/, on a quiet machine
    job = server.job("@latest")
    assert (job["state"], job["exit_code"]) == ("TIMED_OUT", 143)


def test_cancel_stops_a_shell_that_ignores_term(server: Server, where: str) -> None:
    """Invariant 10."""
    with kube.watching("pods", where) as pods:
        loop = "trap '' TERM; echo begun; while :; do sleep 1; done"
        job_id = server.spark(
            "submit", "--termination-grace", "2", "--image", "busybox:1", "--", "sh", "-c", loop
        ).stdout.strip()
        pods.until(lambda events: any(_runs(event[2]) for event in events), seconds=60)
        server.spark("cancel", job_id)
        assert server.spark("wait", job_id, expect=130).returncode == 130
        job = server.job(job_id)
        assert (job["state"], job["reason"], job["exit_code"]) == ("CANCELLED", "Cancelled", 137)
        assert server.spark("logs", job_id).stdout == "begun\n"
        pods.until(lambda _: pods.left() == [], seconds=30)


def _runs(pod: kube.Object) -> bool:
    states = [status.get("state", {}) for status in pod.get("status", {}).get("containerStatuses", [])]
    return any("running" in state for state in states)


def test_an_image_that_is_nowhere_fails_after_its_grace_with_a_hint(server: Server, where: str) -> None:
    with kube.watching("pods", where) as pods:
        done = server.spark("run", "--image", "localhost:1/no/such:1", "--", "true", expect=125)
        assert "FAILED (ImagePullBackOff)" in done.stderr
        job = server.job("@latest")
        assert (job["state"], job["reason"], job["exit_code"]) == ("FAILED", "ImagePullBackOff", None)
        assert "localhost:1/no/such:1" in str(job["message"])
        assert "image_pull_secrets" in str(job["hint"])
        pods.until(lambda _: pods.left() == [], seconds=30)


def test_a_command_that_is_not_there_is_a_start_error(server: Server) -> None:
    server.spark("run", "--image", "busybox:1", "--", "/no/such", expect=128)
    job = server.job("@latest")
    assert (job["reason"], job["exit_code"]) == ("StartError", 128)
    assert "/no/such" in str(job["message"])
    assert not str(job["started_at"]).startswith("1970")


def test_what_a_container_leaves_as_its_result_comes_back(server: Server, tmp_path: Path) -> None:
    into = tmp_path / "job.json"
    write = "echo -n '{\"rows\": 3}' > /dev/termination-log"
    server.spark("run", "--result", str(into), "--image", "busybox:1", "--", "sh", "-c", write)
    assert json.loads(into.read_text())["result"] == '{"rows": 3}'


def test_command_and_environment_arrive_byte_for_byte(server: Server) -> None:
    odd = "$HOME $(SPARK_JOB_ID) $$ 'q' \"d\" \\ tab\there é"
    done = server.spark(
        "run", "-e", f"ODD={odd}", "--image", "busybox:1", "--", "sh", "-c", 'printf "%s|%s" "$ODD" "$1"', "sh", odd
    )
    assert done.stdout.rstrip("\n") == f"{odd}|{odd}"


def test_a_finished_job_leaves_nothing_in_the_cluster(server: Server, where: str) -> None:
    """Invariant 7."""
    with kube.watching("jobs", where) as jobs:
        server.spark("run", "--image", "busybox:1", "--", "true")
        jobs.until(lambda _: jobs.left() == [] and bool(jobs.events), seconds=30)


def test_a_missing_secret_is_named(server: Server) -> None:
    server.spark("run", "--env-secret", "KEY=no-such/key", "--image", "busybox:1", "--", "true", expect=125)
    job = server.job("@latest")
    assert job["reason"] == "CreateContainerConfigError"
    assert "no-such" in str(job["message"])


def test_a_gpu_is_asked_for_and_waited_for(where: str, tmp_path: Path) -> None:
    """A node that advertises two takes a job that wants one, and not one that wants three."""
    node = kube.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    place = "/status/capacity/nvidia.com~1gpu"

    def patch(change: dict[str, str]) -> None:
        kube.kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps([change]))

    patch({"op": "add", "path": place, "value": "2"})
    try:
        with serving(tmp_path, *on_kubernetes(where)) as server:
            server.spark("run", "--gpu", "1", "--image", "busybox:1", "--", "true")
            server.spark("run", "--gpu", "3", "--start-timeout", "5", "--image", "busybox:1", "--", "true", expect=125)
            job = server.job("@latest")
            assert job["reason"] == "Unschedulable"
            assert "nvidia.com/gpu" in job["message"]
    finally:
        patch({"op": "remove", "path": place})
