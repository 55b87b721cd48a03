"""Case 5: more output than one file of a log that the node rotates, on a cluster whose files are small. Invariant 6."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster import Cluster
from dev.cluster.settings import Settings
from spark_jobs.domain.job import Job, LogState
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import between, end, log_of, submit, until
from tests.cases.own_cluster import own_cluster
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl", "root")

SMALL_FILES = Settings(log_max_size="1Mi", log_max_files=2, log_monitor_interval="3s")
SETTLED = 120.0
"""Seconds until the log of a job that is over is settled; it drains at the rate that the log API carries."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster that rotates logs at 1 MiB and keeps two files."""
    with own_cluster("rotation", SMALL_FILES) as made:
        yield made


@pytest.fixture
def server(cluster: Cluster, tmp_path: Path) -> Iterator[Server]:
    """A server on a namespace of that cluster."""
    assert cluster.kubeconfig.exists()
    with kube.namespace() as where, serving(tmp_path, *on_kubernetes(where)) as running:
        yield running


def bursts(number: int, lines: int, pause: float) -> list[str]:
    """A program that waits for 2 s, then writes bursts of numbered lines of 100 bytes with a pause after each."""
    program = (
        'BEGIN { system("sleep 2"); for (b = 0; b < %d; b++) { for (i = 0; i < %d; i++) printf "%%099d\\n", ++n; '
        'fflush(); system("sleep %g") } }'
    )
    return ["awk", program % (number, lines, pause)]


async def run(server: Server, command: list[str]) -> tuple[Job, list[bytes]]:
    """The job once its log is settled, and its lines."""
    [job_id] = await submit(server, {"image": "busybox:1", "command": command, "timeout": "none"})
    job = await end(server, job_id)
    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
    job = await until(server, job_id, lambda job: job.attempts[0].log.state is not LogState.COLLECTING, seconds=SETTLED)
    return job, (await log_of(server, job_id)).splitlines()


@pytest.mark.parametrize(
    ("letter", "number", "lines", "pause"),
    [
        pytest.param("a", 400, 1000, 0.1, id="a: a thousand lines every 0.1 s"),
        pytest.param("b", 20, 10_000, 1.0, id="b: bursts of ten thousand lines"),
    ],
)
async def test_what_can_be_carried_is_kept_over_rotations(
    server: Server, letter: str, number: int, lines: int, pause: float
) -> None:
    job, kept = await run(server, bursts(number, lines, pause))
    log = job.attempts[0].log
    figures.note(f"case 5 {letter}: lines kept", len(kept), f"of {number * lines}")
    figures.note(
        f"case 5 {letter}: the log's state", f"{log.state}, {log.problem}", "complete, unless rotated at its end"
    )
    if log.state is LogState.COMPLETE:
        assert [int(line) for line in kept] == list(range(1, number * lines + 1))
    else:
        # Rotated between its last line and the last read, a log can't be seen to be whole; led astray, a follow can't
        # be whole. What counts is that nobody says so, and that nothing came twice.
        assert log.problem
        assert ("rotated" in log.problem) or ("before byte" in log.problem)
        assert len(kept) <= number * lines


async def test_c_what_is_more_than_can_be_carried_is_never_called_complete(server: Server) -> None:
    """Written as fast as the runtime takes it; a machine that carries it all the same has lost nothing."""
    total = 2_500_000
    job, kept = await run(server, ["sh", "-c", f"sleep 2; exec seq 1 {total}"])
    log = job.attempts[0].log
    figures.note("case 5 c: lines kept", len(kept), f"of {total}")
    figures.note("case 5 c: seconds of writing", between(job.started_at, job.finished_at) - 2, "20 in the case")
    figures.note("case 5 c: the log's state", f"{log.state}, {log.problem}", "not complete where a line is missing")
    numbers = [int(line) for line in kept]
    joined = [number for number, after in itertools.pairwise(numbers) if number > after]
    rest = [number for number in numbers if number not in joined]
    jumps = sum(after > number + 1 for number, after in itertools.pairwise(rest))
    figures.note("case 5 c: lines joined of two halves by the kubelet", len(joined), f"at most the jumps, {jumps}")
    assert len(joined) <= jumps
    assert rest == sorted(set(rest)), "in order, and none twice"
    if len(kept) < total:
        assert log.state in {LogState.UNVERIFIED, LogState.INCOMPLETE}
        assert log.problem
