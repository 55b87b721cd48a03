"""Case 12 on the real cluster: every connection to the API server is reset for a while, with jobs in all phases."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from spark_jobs.client import Client
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import cancel, end, log_of, shell, submit, until
from tests.cases.relayed import behind_relay
from tests.e2e import kube
from tests.e2e.server import Server
from tests.fakes.passing import pass_by

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

AWAY = 40.0
ENDS = [
    (JobState.SUCCEEDED, None),
    (JobState.CANCELLED, "Cancelled"),
    (JobState.TIMED_OUT, "DeadlineExceeded"),
    (JobState.SUCCEEDED, None),
    (JobState.CANCELLED, "Cancelled"),
]


async def test_no_job_ends_because_of_it_and_all_settle_after_it(tmp_path: Path) -> None:
    with (
        kube.namespace() as where,
        kube.watching("pods", where) as pods,
        behind_relay(tmp_path, where, "--max-concurrent-jobs", "3") as (server, relay),
    ):
        ids = await submit(
            server,
            shell("echo begin; sleep 15; echo end"),
            shell("echo begin; sleep 600", termination_grace=2),
            shell("echo begin; sleep 600", termination_grace=2, timeout=20),
            shell("echo queued"),
            shell("echo never"),
        )
        for job_id in ids[:3]:
            await until(server, job_id, lambda job: job.state is JobState.RUNNING, seconds=60)
        began = time.monotonic()
        relay.cut()
        figures.at_most("case 12: a cancel while the API is away is accepted", await cancel(server, ids[1]), 1)
        await cancel(server, ids[4])
        slowest = await _read_until(server, ids, began + AWAY)
        relay.pass_()
        back = time.monotonic()
        jobs = [await end(server, job_id) for job_id in ids]
        figures.at_most("case 12: all is settled, after the API is back", time.monotonic() - back, 20)
        figures.at_most("case 12: the slowest read meanwhile", slowest, 1)
        assert [(job.state, job.reason) for job in jobs] == ENDS
        assert [await log_of(server, job_id) for job_id in ids[:4]] == [
            b"begin\nend\n",
            b"begin\n",
            b"begin\n",
            b"queued\n",
        ]
        pods.until(lambda _: pods.left() == [], seconds=30)
        figures.exactly("case 12: pods ever, of five jobs, one cancelled in the queue", len(pods.names()), 4)
        figures.at_most("case 12: unfinished pods at once", kube.unfinished(pods.events), 3, "pods")


async def _read_until(server: Server, ids: list[str], deadline: float) -> float:
    """Read the jobs in turn, none of which may end meanwhile but the one that was cancelled in the queue; the slowest."""
    slowest = 0.0
    async with Client(server.url) as client:
        while time.monotonic() < deadline:
            for job_id in ids:
                began = time.monotonic()
                job = await client.get(job_id)
                slowest = max(slowest, time.monotonic() - began)
                assert job.state.is_terminal is (job_id == ids[-1]), f"{job.id} is {job.state}, with the API away"
            await pass_by(0.5)
    return slowest
