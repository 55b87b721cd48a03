"""How programs end on a real cluster: by themselves, by a signal, for lack of memory, or because somebody takes the pod."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from tests.cases.jobs import end, ends, log_of, shell, submit, until
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

POLITE = "trap 'exit 0' TERM; echo begun; while :; do sleep 0.2; done"


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A namespace for this module."""
    with kube.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def server(where: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on that namespace."""
    with serving(tmp_path_factory.mktemp("home"), *on_kubernetes(where, "--max-concurrent-jobs", "10")) as running:
        yield running


async def test_every_exit_code_comes_back(server: Server) -> None:
    codes = [0, 1, 2, 75, 126, 127, 128, 200, 255]
    jobs = await ends(server, *(shell(f"exit {code}") for code in codes))
    assert [job.exit_code for job in jobs] == codes
    assert [job.reason for job in jobs] == [None] + ["NonZeroExit"] * 8
    assert all(job.state is (JobState.FAILED if job.exit_code else JobState.SUCCEEDED) for job in jobs)


async def test_signals_and_their_codes(server: Server) -> None:
    signals = {"TERM": 143, "KILL": 137, "SEGV": 139, "ABRT": 134}
    jobs = await ends(server, *(shell(f"kill -{name} $$; sleep 60") for name in signals))
    assert [job.exit_code for job in jobs] == list(signals.values())
    assert {(job.state, job.reason) for job in jobs} == {(JobState.FAILED, "Signalled")}


async def test_a_program_over_its_memory_limit(server: Server) -> None:
    [job] = await ends(server, {"image": "busybox:1", "command": ["tail", "/dev/zero"], "memory": "32Mi"})
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "OOMKilled", 137)
    assert "memory" in str(job.hint)


def evict(where: str, job: Job) -> None:
    """As `kubectl drain` does."""
    pod = job.attempts[-1].pod
    assert pod is not None
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": where}}
    path = f"/api/v1/namespaces/{where}/pods/{pod}/eviction"
    kube.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(body))


def delete_pod(where: str, job: Job) -> None:
    kube.kubectl("delete", "pod", str(job.attempts[-1].pod), "-n", where, "--wait=false")


def force_delete_pod(where: str, job: Job) -> None:
    kube.kubectl("delete", "pod", str(job.attempts[-1].pod), "-n", where, "--force", "--grace-period=0")


def delete_job(where: str, job: Job) -> None:
    kube.kubectl("delete", "job", str(job.attempts[-1].kubernetes_job), "-n", where, "--wait=false")


def delete_job_first(where: str, job: Job) -> None:
    name = str(job.attempts[-1].kubernetes_job)
    kube.kubectl("delete", "job", name, "-n", where, "--wait=false", "--cascade=foreground")


TAKEN: dict[str, tuple[Callable[[str, Job], None], tuple[str, ...]]] = {
    "evicted": (evict, ("Evicted",)),
    "pod deleted": (delete_pod, ("DeletedExternally",)),
    "pod deleted by force": (force_delete_pod, ("DeletedExternally", "Lost")),
    "job deleted": (delete_job, ("DeletedExternally",)),
    "job deleted in the foreground": (delete_job_first, ("DeletedExternally",)),
}


@pytest.mark.parametrize("name", TAKEN)
async def test_a_pod_that_is_taken_away_fails_its_job_whatever_it_exits_with(
    server: Server, where: str, name: str
) -> None:
    take, reasons = TAKEN[name]
    with kube.watching("pods", where) as pods:
        [job_id] = await submit(server, shell(POLITE))
        take(where, await until(server, job_id, lambda job: job.state is JobState.RUNNING, seconds=60))
        job = await end(server, job_id)
        assert job.state is JobState.FAILED
        assert job.reason in reasons
        assert job.exit_code in (0, None), "the code is the program's, where its end was seen"
        assert job.hint
        assert len(job.attempts) == 1
        pods.until(lambda _: pods.left() == [], seconds=60)
        assert len(pods.names()) == 1, "without retries a program is never started twice"


async def test_a_job_deleted_without_its_pod_goes_on_to_its_own_end(server: Server, where: str) -> None:
    with kube.watching("pods", where) as pods:
        [job_id] = await submit(server, shell("echo begun; sleep 6; exit 5"))
        running = await until(server, job_id, lambda job: job.state is JobState.RUNNING, seconds=60)
        name = str(running.attempts[0].kubernetes_job)
        kube.kubectl("delete", "job", name, "-n", where, "--cascade=orphan")
        job = await end(server, job_id)
        assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "NonZeroExit", 5)
        assert await log_of(server, job_id) == b"begun\n"
        pods.until(lambda _: pods.left() == [], seconds=30)


async def test_an_eviction_leads_to_another_attempt_where_that_was_asked_for(server: Server, where: str) -> None:
    script = f"echo attempt $SPARK_JOB_ATTEMPT; [ $SPARK_JOB_ATTEMPT = 1 ] || exit 0; {POLITE}"
    with kube.watching("pods", where) as pods:
        [job_id] = await submit(server, shell(script, retries=1, backoff=1, retry_on=["Evicted", "exit:75"]))
        evict(where, await until(server, job_id, lambda job: job.state is JobState.RUNNING, seconds=60))
        job = await end(server, job_id)
        assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
        assert [attempt.reason for attempt in job.attempts] == ["Evicted", None]
        assert [attempt.log.lines for attempt in job.attempts] == [2, 1]
        assert job.attempts[0].pod != job.attempts[1].pod
        assert None not in {attempt.node for attempt in job.attempts}
        assert kube.unfinished(pods.events) == 1, "there are never two attempts at once"
