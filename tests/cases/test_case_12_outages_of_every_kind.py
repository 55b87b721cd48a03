"""Case 12 on the scripted server: the API is throttled or away for two minutes, with 20 jobs in all phases.

Invariants 4, 8 and 9.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from spark_jobs.domain.job import Job, LogState
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, stage
from tests.fakes.answering import Handler, answers, hang_up, late
from tests.fakes.hurry import hurried
from tests.fakes.seeing import Seen

AWAY = 120.0
SETTLED = 20.0
QPS, BURST = 10.0, 20
RETRY_AFTER = 2.0
ON_ITS_WAY = 0.3
SLOTS = 12

OUTAGES: dict[str, Handler | None] = {
    "429": answers(429, "too many requests", "TooManyRequests", Retry_After="2"),
    "503": answers(503, "the server is currently unable to handle the request", "ServiceUnavailable"),
    "503 with Retry-After": answers(503, "apiserver is shutting down", Retry_After="2"),
    "500": answers(500, "etcdserver: no leader"),
    "401": answers(401, "Unauthorized", "Unauthorized"),
    "hangs": late(10, answers(504, "Timeout: request did not complete within the allotted timeout", "Timeout")),
    "cuts": hang_up,
    "refused": None,
}
ENDS = {
    "ended": JobState.SUCCEEDED,
    "ends meanwhile": JobState.SUCCEEDED,
    "fails meanwhile": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
    "starts meanwhile": JobState.SUCCEEDED,
    "queued": JobState.SUCCEEDED,
    "runs on": JobState.RUNNING,
}


class Fleet:
    """Twenty jobs, some in every phase."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.ids: dict[str, list[str]] = {}

    async def launch(self) -> None:
        """Ended, cancelled, running short and long, waiting for their start, queued: when the outage begins."""
        c = self.case
        await self._submit("ended", 2, "run", "1")
        for job_id in self.ids["ended"]:
            await c.ends(job_id)
        await self._submit("ends meanwhile", 4, "run", "30")
        await self._submit("fails meanwhile", 2, "run", "30", "7")
        await self._submit("runs on", 2, "run", "200")
        await self._submit("cancelled", 2, "run", "600")
        await self._submit("starts meanwhile", 2, "later", "5")
        for kind in ("ends meanwhile", "fails meanwhile", "runs on", "cancelled"):
            for job_id in self.ids[kind]:
                await c.running(job_id)
        await c.waits_for(lambda: len(c.api.lives) == 2 + SLOTS)
        await self._submit("queued", 6, "run", "1")

    async def _submit(self, kind: str, count: int, *command: str) -> None:
        self.ids[kind] = [await self.case.submit(*command, start_timeout=60, timeout=1000) for _ in range(count)]

    async def act(self) -> None:
        """What users and the cluster do during the outage."""
        c = self.case
        for job_id in self.ids["cancelled"]:
            await c.service.cancel(job_id)
        for job_id in self.ids["starts meanwhile"]:
            c.api.life_of(job_id).may_start.set()

    async def settled(self) -> list[Job]:
        """All are over that can be; those jobs."""
        return [await self.case.ends(job_id) for kind, ids in self.ids.items() if kind != "runs on" for job_id in ids]

    async def check_ends(self) -> None:
        """No job ended because of the outage, and each as it did, at the first attempt."""
        for kind, ids in self.ids.items():
            jobs = [await self.case.service.get(job_id) for job_id in ids]
            assert {job.state for job in jobs} == {ENDS[kind]}, (kind, jobs)
            assert all(len(job.attempts) == 1 for job in jobs)
            assert kind != "fails meanwhile" or {job.exit_code for job in jobs} == {7}


class Outage:
    """Every request is answered by this handler, or none is: connections are refused."""

    def __init__(self, case: Case, handler: Handler | None) -> None:
        self.refused: list[float] = []
        self._case = case
        self._handler = handler

    async def begin(self) -> None:
        """From now on."""
        if self._handler is None:
            await self._case.door.shut()
            return
        self._case.api.gate = self._gate
        self._case.api.cut()

    async def end(self) -> None:
        """All is well again."""
        self._case.api.gate = lambda _seen: None
        if self._handler is None:
            await self._case.door.open()

    def _gate(self, seen: Seen) -> Handler | None:
        self.refused.append(seen.time)
        return self._handler


@pytest.mark.parametrize("kind", OUTAGES)
def test_no_job_ends_because_of_it(kind: str, tmp_path: Path) -> None:
    @hurried(20)
    async def run() -> None:
        async with stage(tmp_path) as made:
            made.config = msgspec.structs.replace(made.config, qps=QPS, burst=BURST)
            async with made.core(slots=SLOTS) as c:
                fleet, outage = Fleet(c), Outage(c, OUTAGES[kind])
                await fleet.launch()
                await outage.begin()
                began, sent_before = c.now(), len(c.api.seen)
                await fleet.act()
                await asyncio.sleep(began + AWAY - c.now())
                figures.note(f"case 12, {kind}: requests in {AWAY:g} s", len(c.api.seen) - sent_before, "QPS 10")
                assert not c.core.cluster.health().reachable
                assert made.dog.times_said("lost sight") <= 2, "once for each watch"
                await outage.end()
                ended_at = c.now()
                jobs = await fleet.settled()
                figures.at_most(f"case 12, {kind}: settled after the end of it", c.now() - ended_at, SETTLED)
                await fleet.check_ends()
                await c.waits_for(lambda: c.core.cluster.health().reachable)
                figures.at_most(f"case 12, {kind}: all is seen again after the end of it", c.now() - ended_at, SETTLED)
                figures.at_most(f"case 12, {kind}: requests at once", most_at_once(c.api.seen), BURST + 3, "requests")
                for each in jobs:
                    job = await c.until(each.id, lambda job: job.attempts[0].log.state is not LogState.COLLECTING)
                    assert job.attempts[0].log.complete, job

    run()


@hurried(4)
async def test_nothing_is_sent_within_a_retry_after(tmp_path: Path) -> None:
    """By nobody: what one request was told holds for all."""
    async with stage(tmp_path) as made:
        made.config = msgspec.structs.replace(made.config, qps=QPS, burst=BURST)
        async with made.core(slots=SLOTS) as c:
            fleet, outage = Fleet(c), Outage(c, OUTAGES["429"])
            await fleet.launch()
            await outage.begin()
            await fleet.act()
            await asyncio.sleep(20)
            during = [seen for seen in c.api.seen if seen.time >= outage.refused[0]]
            figures.exactly("case 12: requests within a Retry-After", within_a_retry_after(outage.refused, during), 0)
            figures.note("case 12: requests in 20 s of 429 with Retry-After: 2", len(during), "at most 20 every 2 s")
            assert len(during) > BURST
            await outage.end()
            await fleet.settled()
            await fleet.check_ends()


@hurried(20)
async def test_an_outage_that_begins_with_the_last_read_of_a_log_costs_no_line(tmp_path: Path) -> None:
    async with stage(tmp_path) as made, made.core() as c:
        job_id = await c.submit("run", "3")
        outage = Outage(c, OUTAGES["503"])
        await c.running(job_id)

        def at_the_end(seen: Seen) -> Handler | None:
            if seen.resource == "pods/log" and c.api.life_of(job_id).over.is_set():
                c.api.soon(outage.begin())
                return hang_up
            return None

        c.api.gate = at_the_end
        job = await c.ends(job_id)
        assert job.state is JobState.SUCCEEDED, "a state does not wait longer than log_grace for a log"
        await asyncio.sleep(AWAY)
        assert (await c.service.get(job_id)).attempts[0].log.state is LogState.COLLECTING
        await outage.end()
        job = await c.until(job_id, lambda job: job.attempts[0].log.state is not LogState.COLLECTING)
        figures.exactly("case 12: the log after an outage at its end", job.attempts[0].log.state.value, "complete")
        assert await c.log(job_id) == "begin\nend\n"


def most_at_once(requests: list[Seen]) -> float:
    """The most requests beyond the steady rate, over any stretch: what the burst must allow."""
    level, worst, last = 0.0, 0.0, requests[0].time
    for seen in requests:
        level = max(0.0, level - (seen.time - last) * QPS) + 1
        worst, last = max(worst, level), seen.time
    return worst


def within_a_retry_after(refused: list[float], requests: list[Seen]) -> int:
    """How many requests came while a Retry-After lasted, but for those that were on their way already."""
    return sum(any(ON_ITS_WAY < seen.time - at < RETRY_AFTER * 0.95 for at in refused) for seen in requests)
