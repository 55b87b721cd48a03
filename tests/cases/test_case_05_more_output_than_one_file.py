"""Case 5: more output than one file of a log that the node rotates, on a cluster whose files are small. Invariant 6."""

from __future__ import annotations

import itertools
import signal
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
from tests.fakes.passing import pass_by

pytestmark = pytest.mark.needs("kubernetes", "kubectl", "root")

ROTATES_EVERY = 3.0
"""Seconds between two rotations, at least. At each of them a node may lose what is written just then, and nothing shows it,
so such a log is called complete."""

SMALL_FILES = Settings(log_max_size="1Mi", log_max_files=2, log_monitor_interval=f"{ROTATES_EVERY:g}s")
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
    """A program that waits for 2 s, then writes bursts of lines of 100 bytes with a pause after each. A line is its own
    number, a colon and the number again."""
    program = (
        'BEGIN { system("sleep 2"); for (b = 0; b < %d; b++) { for (i = 0; i < %d; i++) { n++; '
        'printf "%%049d:%%049d\\n", n, n } fflush(); system("sleep %g") } }'
    )
    return ["awk", program % (number, lines, pause)]


def whole(kept: list[bytes], of: int) -> list[int]:
    """The numbers of the lines that are what the program wrote, in the order in which they are stored.

    The runtime splits a line where it rotates, and where a file is passed over half a line stands alone, or beside half
    another: such a line is no number twice. It can only be where a line of the program is missing, which has two halves.
    """
    pairs = [line.partition(b":") for line in kept]
    numbers = [int(left) for left, _, right in pairs if right and left == right]
    assert len(kept) - len(numbers) <= 2 * (of - len(numbers)), "half lines where none is missing"
    repeated = [(before, after) for before, after in itertools.pairwise(numbers) if after <= before]
    assert not repeated, f"not in order, or twice: {repeated[:5]}"
    return numbers


async def begin(server: Server, command: list[str]) -> str:
    """A job that runs this; its id."""
    [job_id] = await submit(server, {"image": "busybox:1", "command": command, "timeout": "none"})
    return job_id


async def settled(server: Server, job_id: str) -> tuple[Job, list[bytes]]:
    """The job once its log is settled, and its lines."""
    job = await end(server, job_id)
    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
    job = await until(server, job_id, lambda job: job.attempts[0].log.state is not LogState.COLLECTING, seconds=SETTLED)
    data = await log_of(server, job_id)
    assert len(data) == job.attempts[0].log.bytes, "what is read is what is stored"
    return job, data.splitlines()


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
    job, kept = await settled(server, await begin(server, bursts(number, lines, pause)))
    log = job.attempts[0].log
    numbers = whole(kept, number * lines)
    figures.note(f"case 5 {letter}: lines kept", len(numbers), f"of {number * lines}")
    figures.note(
        f"case 5 {letter}: the log's state", f"{log.state}, {log.problem}", "complete, unless rotated at its end"
    )
    if log.state is LogState.COMPLETE:
        lost = number * lines - len(numbers)
        places = sum(after > before + 1 for before, after in itertools.pairwise(numbers))
        figures.note(f"case 5 {letter}: lines that the node lost at rotations", lost, "none, but on a busy node")
        assert (numbers[0], numbers[-1]) == (1, number * lines)
        assert places <= between(job.started_at, job.finished_at) / ROTATES_EVERY, "more than there were rotations"
    else:
        # Rotated between its last line and the last read, a log can't be seen to be whole; led astray, a follow can't
        # be whole. What counts is that nobody says so, and that nothing came twice.
        assert log.problem
        assert ("rotated" in log.problem) or ("before byte" in log.problem)


async def test_c_what_is_more_than_can_be_carried_is_never_called_complete(server: Server) -> None:
    """Written as fast as the runtime takes it; a machine that carries it all the same has lost nothing."""
    total = 2_500_000
    program = f'BEGIN {{ system("sleep 2"); while (n++ < {total}) print n ":" n }}'
    job, kept = await settled(server, await begin(server, ["awk", program]))
    log = job.attempts[0].log
    numbers = whole(kept, total)
    figures.note("case 5 c: lines kept", len(numbers), f"of {total}")
    figures.note(
        "case 5 c: half lines beside them", len(kept) - len(numbers), "at most two for each line that is missing"
    )
    figures.note("case 5 c: seconds of writing", between(job.started_at, job.finished_at) - 2, "20 in the case")
    figures.note("case 5 c: the log's state", f"{log.state}, {log.problem}", "not complete where a line is missing")
    if len(numbers) < total:
        assert log.state in {LogState.UNVERIFIED, LogState.INCOMPLETE}
        assert log.problem


async def test_d_a_reader_that_stands_still_over_rotations_is_given_files_twice_and_stores_them_once(
    server: Server,
) -> None:
    """The node passes over the files that it could not give out, then gives its newest once for each of them."""
    total, stands_still = 400_000, 15.0
    job_id = await begin(server, bursts(total // 10_000, 10_000, 0.6))
    await until(server, job_id, lambda job: job.state is JobState.RUNNING)
    await pass_by(6.0)
    server.send(signal.SIGSTOP)
    await pass_by(stands_still)
    server.send(signal.SIGCONT)
    job, kept = await settled(server, job_id)
    log = job.attempts[0].log
    numbers = whole(kept, total)
    figures.note("case 5 d: lines kept by a server that stood still for 15 s", len(numbers), f"of {total}, none twice")
    figures.note("case 5 d: the log's state", f"{log.state}, {log.problem}", "not complete where a line is missing")
    assert log.state is not LogState.COMPLETE or numbers == list(range(1, total + 1))
