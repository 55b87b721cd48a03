"""Case 8: a cancel ends a program that does not want to end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import age, at_age, between, cancel, end, log_of, shell, submit, until
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

# The processes are those of this machine.
pytestmark = pytest.mark.needs("kubernetes", "kubectl", "images")


@pytest.fixture
def where() -> Iterator[str]:
    """A namespace for the test."""
    with kube.namespace() as name:
        yield name


@pytest.fixture
def server(where: str, tmp_path: Path) -> Iterator[Server]:
    """A server that runs one job at a time."""
    with serving(tmp_path, *on_kubernetes(where, "--max-concurrent-jobs", "1")) as running:
        yield running


def processes(word: str) -> list[str]:
    """The command lines on this machine that hold a word."""
    lines: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended between the two looks
        if word in line:
            lines.append(line.replace("\0", " "))
    return lines


async def test_a_shell_that_ignores_term(server: Server, where: str) -> None:
    """Invariant 10."""
    word = f"mark-{secrets.token_hex(8)}"
    stubborn = shell(f"trap '' TERM; echo begun {word}; while :; do sleep 1; done", termination_grace=5)
    with kube.watching("pods", where) as pods:
        first, queued = await submit(server, stubborn, shell("echo next"))
        await until(server, first, lambda job: job.state is JobState.RUNNING, seconds=60)
        await at_age(server, first, 3)
        assert processes(word), "the program is not seen on this machine: this test sees nothing"
        assert (await until(server, queued, lambda _: True)).state is JobState.QUEUED

        figures.at_most("case 8: the cancel is accepted", await cancel(server, first), 1)
        asked_at = age(await until(server, first, lambda _: True))
        job = await end(server, first)
        figures.at_most("case 8: end after the cancel, grace 5 s", age(job) - asked_at, 12)
        assert processes(word) == []
        assert (job.state, job.reason, job.exit_code) == (JobState.CANCELLED, "Cancelled", 137)
        assert await log_of(server, first) == f"begun {word}\n".encode()

        after = await end(server, queued)
        assert after.state is JobState.SUCCEEDED
        assert between(job.attempts[0].finished_at, after.attempts[0].started_at) >= 0
        pods.until(lambda _: pods.left() == [], seconds=15)
        assert kube.unfinished(pods.events) == 1
