"""Case 1 on the real cluster: every connection to the API server freezes, with its socket open, while a job ends."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import age, at_age, between, end, log_of, shell, submit
from tests.cases.relayed import behind_relay
from tests.e2e import kube

pytestmark = pytest.mark.needs("kubernetes", "kubectl")


async def test_frozen_from_second_5_to_60(tmp_path: Path) -> None:
    with (
        kube.namespace() as where,
        kube.watching("pods", where) as pods,
        behind_relay(tmp_path, where, "--max-concurrent-jobs", "1") as (server, relay),
    ):
        [first] = await submit(server, shell("echo begin; sleep 20; echo end"))
        await at_age(server, first, 5)
        relay.freeze()
        [behind] = await submit(server, shell("true"))
        frozen = await at_age(server, first, 60)
        assert frozen.state is JobState.RUNNING, "nothing was heard since: nothing may be concluded"
        relay.pass_()
        job = await end(server, first)
        assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
        figures.at_most("case 1: the end of a job that is frozen from 5 to 60 s is known at", age(job), 90)
        ended = _container_end(pods, job.attempts[0].pod)
        figures.at_most("case 1: its end and the container's", abs(between(ended, job.attempts[0].finished_at)), 2)
        assert await log_of(server, first) == b"begin\nend\n"
        assert job.attempts[0].log.complete
        assert (await end(server, behind)).state is JobState.SUCCEEDED
        pods.until(lambda _: pods.left() == [], seconds=15)
        figures.exactly("case 1: pods ever, of two jobs", len(pods.names()), 2)
        assert kube.unfinished(pods.events) == 1


def _container_end(pods: kube.Watcher, name: str | None) -> datetime:
    assert name is not None
    [status] = pods.last(name)["status"]["containerStatuses"]
    return datetime.fromisoformat(status["state"]["terminated"]["finishedAt"])
