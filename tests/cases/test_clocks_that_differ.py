"""Clocks that differ by minutes, any time zone, no Date header: limits count by our own clock, and ends are the true ones."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, stage
from tests.fakes.control_plane import Kubernetes, Pace
from tests.fakes.hurry import hurried

MINUTES = timedelta(minutes=7)
NONE = timedelta()
PACES = {
    "the API is ahead": Pace(api=MINUTES, node=MINUTES),
    "the API is behind": Pace(api=-MINUTES, node=-MINUTES),
    "only the node is ahead": Pace(api=NONE, node=MINUTES),
    "only the node is behind": Pace(api=NONE, node=-MINUTES),
    "API ahead, node behind": Pace(api=MINUTES, node=-MINUTES),
    "API behind, node ahead": Pace(api=-MINUTES, node=MINUTES),
}


@pytest.fixture(params=["UTC", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The process lives in this time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    os.environ.get("TZ")
    time.tzset()


async def check_ends(c: Case, what: str) -> None:
    """A time limit, a program's own end, a cancel, a cancel of what heeds no TERM, and a delete by hand."""
    limited = await c.submit("run", "3600", timeout=10)
    own = await c.submit("run", "4", "3")
    polite, stubborn = await c.submit("polite", "3600"), await c.submit("stubborn", "3600", termination_grace=3)
    by_hand = await c.submit("polite", "3600")
    began = c.now()
    for job_id in (polite, stubborn, by_hand):
        await c.running(job_id)
    for job_id in (polite, stubborn):
        await c.service.cancel(job_id)
    c.api.life_of(by_hand).delete()
    job = await c.ends(own)
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "NonZeroExit", 3)
    job = await c.ends(polite)
    assert (job.state, job.exit_code) == (JobState.CANCELLED, 0)
    job = await c.ends(stubborn)
    assert (job.state, job.exit_code) == (JobState.CANCELLED, 137)
    job = await c.ends(by_hand)
    assert (job.state, job.reason) == (JobState.FAILED, "DeletedExternally")
    job = await c.ends(limited)
    took = c.now() - began
    assert (job.state, job.reason) == (JobState.TIMED_OUT, "DeadlineExceeded")
    figures.note(f"clocks, {what}: a time limit of 10 s ended the job after", took, "10 to 15 s")
    assert 10 <= took <= 15
    await c.closed()


@pytest.mark.parametrize("date", [True, False], ids=["with Date", "without Date"])
@pytest.mark.parametrize("pace", PACES)
def test_ends_are_true_whatever_clocks_show(pace: str, date: bool, tmp_path: Path) -> None:
    @hurried(20)
    async def run() -> None:
        async with stage(tmp_path, lambda: Kubernetes(PACES[pace])) as made:
            if not date:
                made.api.clock = None
            async with made.core() as c:
                await check_ends(c, f"{pace}, {'Date' if date else 'no Date'}")

    run()


@pytest.mark.parametrize("pace", PACES)
def test_a_limit_counts_on_over_a_restart(pace: str, tmp_path: Path) -> None:
    """It had begun to count; and where nobody saw the start, it counts from there as far as the clocks can be told apart."""

    @hurried(20)
    async def run() -> None:
        async with stage(tmp_path, lambda: Kubernetes(PACES[pace])) as made:
            async with made.core() as c:
                seen, unseen = await c.submit("run", "3600", timeout=30), await c.submit("later", "3600", timeout=30)
                await c.running(seen)
                await c.waits_for(lambda: len(c.api.lives) == 2)
                began = c.now()
            made.api.life_of(unseen).may_start.set()
            await made.api.life_of(unseen).started.wait()
            await c.waits_for(lambda: c.now() - began > 20)
            async with made.core() as c:
                job = await c.ends(seen)
                assert job.state is JobState.TIMED_OUT
                took = c.now() - began
                figures.note(f"clocks, {pace}: a limit of 30 s, a restart after 20 s, ended after", took, "30 to 35 s")
                assert 29 <= took <= 35
                job = await c.ends(unseen)
                assert job.state is JobState.TIMED_OUT
                figures.note(f"clocks, {pace}: the same where nobody saw the start", c.now() - began, "30 to 55 s")
                assert 29 <= c.now() - began <= 55
                await c.closed()

    run()


def test_no_time_is_taken_for_the_zones_own(zone: str, tmp_path: Path) -> None:
    """What comes out is UTC, what is read is meant as it is written."""

    @hurried(20)
    async def run() -> None:
        async with stage(tmp_path) as made, made.core() as c:
            made.api.zone = timedelta(hours=5, minutes=30)
            began = c.api.now()
            job_id = await c.submit("run", "4")
            job = await c.ends(job_id)
            assert job.started_at is not None
            assert job.finished_at is not None
            assert job.started_at.tzinfo is UTC
            for shown in (job.created_at, job.started_at, job.finished_at):
                assert abs((shown - began).total_seconds()) < 8, zone
            assert 3 <= (job.finished_at - job.started_at).total_seconds() <= 5
            assert await c.log(job_id) == "begin\nend\n"
            assert job.attempts[0].log.complete
            await c.closed()

    run()
