"""Case 6: what can never start ends with its reason, and the job behind it gets the slot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import IMAGE, at_age, between, end, shell, submit, took, until
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

NOWHERE = "localhost:1/no/such:1"
GOOD = shell("echo good")


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A namespace for this module."""
    with kube.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def server(where: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that runs one job at a time and waits 20 s for an image."""
    flags = on_kubernetes(where, "--max-concurrent-jobs", "1", "--image-grace", "20")
    with serving(tmp_path_factory.mktemp("home"), *flags) as running:
        yield running


Act = Callable[[str], Awaitable[None]]


async def nothing(_job_id: str) -> None:
    """Only wait."""


async def with_one_behind(
    server: Server, where: str, spec: dict[str, Any], case: str, *, meanwhile: Act = nothing
) -> Job:
    """Run a job and a good one behind it: the good one starts soon after the other's end, and nothing is left."""
    with kube.watching("pods", where) as pods, kube.watching("jobs", where) as objects:
        first, behind = await submit(server, spec, GOOD)
        await meanwhile(first)
        job, good = await end(server, first), await end(server, behind)
        assert good.state is JobState.SUCCEEDED
        assert job.attempts[0].log.complete
        figures.at_most(f"case 6 {case}: the next one starts", between(job.finished_at, good.started_at), 5)
        objects.until(lambda _: objects.left() == [], seconds=15)
        pods.until(lambda _: pods.left() == [], seconds=15)
        assert len(pods.names()) == 2
    assert job.hint
    return job


async def test_a_an_image_that_is_nowhere(server: Server, where: str) -> None:
    async def shows_its_reason(job_id: str) -> None:
        shown = await at_age(server, job_id, 10)
        assert (shown.state, shown.reason in ("ErrImagePull", "ImagePullBackOff")) == (JobState.STARTING, True)
        assert NOWHERE in str(shown.message)
        assert shown.hint

    job = await with_one_behind(server, where, {"image": NOWHERE}, "a", meanwhile=shows_its_reason)
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "ImagePullBackOff", None)
    assert NOWHERE in str(job.message)
    figures.at_most("case 6 a: end after submission", took(job), 30)


async def test_b_an_image_name_that_is_none(server: Server, where: str) -> None:
    job = await with_one_behind(server, where, {"image": "UPPER/Case:1"}, "b")
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "InvalidImageName", None)
    assert "UPPER/Case:1" in str(job.message)
    figures.at_most("case 6 b: end after submission", took(job), 10)


NOT_STARTABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no such file": ({"command": ["/no/such"]}, "/no/such"),
    "a folder": ({"command": ["/bin"]}, "/bin"),
    "no execute bit": ({"command": ["/etc/hostname"]}, "/etc/hostname"),
    "no such user's folder": ({"command": ["true"], "working_dir": "/etc/hostname/below"}, "/etc/hostname"),
}


@pytest.mark.parametrize("name", NOT_STARTABLE)
async def test_c_a_command_that_can_not_be_started(server: Server, where: str, name: str) -> None:
    more, word = NOT_STARTABLE[name]
    job = await with_one_behind(server, where, {"image": IMAGE, **more}, f"c {name}")
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "StartError", 128)
    assert word in str(job.message)
    assert job.started_at is None
    assert job.attempts[0].started_at is None
    figures.at_most(f"case 6 c {name}: end after submission", took(job), 20)


MISSING: dict[str, tuple[dict[str, Any], str]] = {
    "secret": ({"env": {"KEY": {"secret": "no-such-secret", "key": "k"}}}, "no-such-secret"),
    "key of a secret": ({"env": {"KEY": {"secret": "half", "key": "no-such-key"}}}, "no-such-key"),
    "config map": ({"env": {"KEY": {"config_map": "no-such-map", "key": "k"}}}, "no-such-map"),
    "key of a config map": ({"env": {"KEY": {"config_map": "half", "key": "no-such-key"}}}, "no-such-key"),
    "whole secret": ({"env_from": [{"secret": "no-such-secret"}]}, "no-such-secret"),
    "whole config map": ({"env_from": [{"config_map": "no-such-map"}]}, "no-such-map"),
}


@pytest.fixture(scope="module")
def halves(where: str) -> None:
    """A secret and a config map that lack a key."""
    kube.kubectl("create", "secret", "generic", "half", "--from-literal=there=1", "-n", where)
    kube.kubectl("create", "configmap", "half", "--from-literal=there=1", "-n", where)


@pytest.mark.usefixtures("halves")
@pytest.mark.parametrize("name", MISSING)
async def test_d_something_that_env_refers_to_is_missing(server: Server, where: str, name: str) -> None:
    more, word = MISSING[name]
    job = await with_one_behind(server, where, shell("true", **more), f"d {name}")
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "CreateContainerConfigError", None)
    assert word in str(job.message)
    # The image grace and some: a busy node may have to try again, every 10 s, until it can read what is there.
    figures.at_most(f"case 6 d {name}: end after submission", took(job), 30)


@pytest.mark.needs("images")
async def test_a_an_image_that_appears_meanwhile(where: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The grace is long enough here for the pull's next try, whose pause Kubernetes doubles from 10 s on."""
    from dev.cluster import Cluster
    from tests.parts import kubeconfig_path

    path = kubeconfig_path()
    assert path is not None
    cluster = Cluster.of(path)
    assert cluster is not None
    image = f"localhost:1/appears/{where}:1"
    flags = on_kubernetes(where, "--max-concurrent-jobs", "1", "--image-grace", "60")
    with serving(tmp_path_factory.mktemp("home"), *flags) as server:
        [job_id] = await submit(server, {"image": image, "command": ["echo", "here"]})
        waiting = await at_age(server, job_id, 10)
        assert (waiting.state, waiting.activity) == (JobState.STARTING, "pulling")
        cluster.add_image(image)
        job = await end(server, job_id)
        assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
        figures.at_most("case 6 a': start after the image came", between(waiting.created_at, job.started_at) - 10, 60)


async def test_a_file_of_a_secret_that_appears_later_is_waited_for(server: Server, where: str) -> None:
    """A volume that can't be mounted shows in the pod's events alone."""
    mount = {"mount": "/secret", "secret": "appears-later"}
    [job_id] = await submit(server, shell("cat /secret/word", volumes=[mount]))
    waiting = await until(server, job_id, lambda job: job.reason is not None, seconds=60)
    assert (waiting.state, waiting.reason) == (JobState.STARTING, "FailedMount")
    assert "appears-later" in str(waiting.message)
    assert waiting.hint
    kube.kubectl("create", "secret", "generic", "appears-later", "--from-literal=word=found", "-n", where)
    job = await end(server, job_id)
    assert (job.state, job.reason) == (JobState.SUCCEEDED, None)
