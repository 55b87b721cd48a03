"""Eleven jobs and a server that is killed after 8 s, at 5 at a time: each of them ends as it must."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import at_age, end, shell, submit
from tests.e2e import kube
from tests.e2e.server import on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

NO_IMAGE = "localhost:1/no/such:1"
SPECS = (
    {"name": "failing command", **shell("echo begin; exit 3")},
    {"name": "5 s limit", **shell("echo begin; sleep 600", timeout=5, termination_grace=2)},
    {"name": "missing image", "image": NO_IMAGE, "command": ["true"]},
    *({"name": f"sleep {number}", **shell("sleep 4; echo slept")} for number in range(1, 9)),
)
ENDS = [
    ("failing command", "FAILED", "NonZeroExit", 3),
    ("5 s limit", "TIMED_OUT", "DeadlineExceeded", None),
    ("missing image", "FAILED", "ImagePullBackOff", None),
    *((f"sleep {number}", "SUCCEEDED", None, 0) for number in range(1, 9)),
]


def _shown(job: Job) -> tuple[str | None, str, str | None, int | None]:
    code = job.exit_code if job.state is not JobState.TIMED_OUT else None
    return job.spec.name, str(job.state), job.reason, code


async def test_eleven_right_ends(tmp_path: Path) -> None:
    limits = ("--max-concurrent-jobs", "5", "--image-grace", "20")
    with (
        kube.namespace() as where,
        kube.watching("pods", where) as pods,
        serving(tmp_path, *on_kubernetes(where, *limits)) as server,
    ):
        ids = await submit(server, *SPECS)
        await at_age(server, ids[0], 8)
        server.end(signal.SIGKILL)
        server.start()
        jobs = [await end(server, job_id) for job_id in ids]
        for job in jobs:
            shown = " ".join(str(part) for part in (job.state, job.reason, job.exit_code) if part is not None)
            figures.note(f"eleven jobs: {job.spec.name}", shown, "as it must")
        assert [_shown(job) for job in jobs] == ENDS
        right = sum(shown == wanted for shown, wanted in zip(map(_shown, jobs), ENDS, strict=True))
        figures.exactly("eleven jobs: right ends", right, 11)
        pods.until(lambda _: pods.left() == [], seconds=30)
        figures.exactly("eleven jobs: pods ever", len(pods.names()), 11)
        figures.at_most("eleven jobs: unfinished pods at once", kube.unfinished(pods.events), 5, "pods")
