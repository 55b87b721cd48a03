"""Case 11: a time limit ends whatever runs, soon, and what it printed is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import between, ends, log_of, shell
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

LIMIT = 5
GRACE = 4
PROGRAMS = {
    "a": ("i=0; while :; do i=$((i+1)); echo $i; sleep 1; done", 143),
    "b": ("sleep 600", 143),
    "c": ("trap 'exit 0' TERM; while :; do sleep 0.2; done", 0),
    "d": ("trap '' TERM; while :; do sleep 1; done", 137),
}


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A namespace for this module."""
    with kube.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def server(where: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on that namespace."""
    with serving(tmp_path_factory.mktemp("home"), *on_kubernetes(where)) as running:
        yield running


@pytest.mark.parametrize("name", PROGRAMS)
async def test_every_program_is_stopped(server: Server, where: str, name: str) -> None:
    """Invariant 10. The cluster's times are whole seconds."""
    script, code = PROGRAMS[name]
    with kube.watching("pods", where) as pods, kube.watching("jobs", where) as objects:
        [job] = await ends(server, shell(script, timeout=LIMIT, termination_grace=GRACE))
        assert (job.state, job.reason, job.exit_code) == (JobState.TIMED_OUT, "DeadlineExceeded", code)
        ran = between(job.started_at, job.finished_at)
        figures.at_most(f"case 11 {name}: ran, limit {LIMIT} s", ran, 10 + (GRACE if name == "d" else 0))
        assert ran >= LIMIT
        if name == "a":
            lines = (await log_of(server, job.id)).decode().split()
            assert lines[:4] == ["1", "2", "3", "4"]
            assert lines == [str(number) for number in range(1, len(lines) + 1)]
        assert job.attempts[0].log.complete
        objects.until(lambda _: objects.left() == [], seconds=15)
        pods.until(lambda _: pods.left() == [], seconds=15)
        assert len(pods.names()) == 1
