"""Case 4: a log stream breaks within a second full of lines, and the API can only resume at the second. Invariant 6."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

from aiohttp import web

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.job import LogState
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import PATIENCE, Case, case, stage
from tests.fakes.answering import Handler, begin, send
from tests.fakes.control_plane import Kubernetes, Life
from tests.fakes.hurry import hurried
from tests.fakes.seeing import Seen, name_in

FRACTIONS = ("", "", ".1", ".12", ".12", ".120000001", ".120000002", ".3", ".3", ".50", ".999999998", ".999999999")
TEXTS = ("one", "one", "", "a\rb", "same", "neighbour", "neighbour", "same", "same", "\u0085 and \u2028", "-", "last")
"""Stamps with no, one, two and nine decimals, neighbours of a nanosecond, and two lines that are fully equal, twice."""

WHOLE = "".join(f"{text}\n" for text in TEXTS)
ENDS = ("clean", "cut", "cut within a line")


async def twelve_lines(c: Case, job_id: str) -> Life:
    """The job's container, which has written the twelve lines, all within one second, and runs on."""
    await c.waits_for(lambda: [life for life in c.api.lives.values() if life.job_id == job_id])
    life = c.api.life_of(job_id)
    await life.started.wait()
    second = f"{c.api.now():%Y-%m-%dT%H:%M:%S}"
    pairs = zip(FRACTIONS, TEXTS, strict=True)
    life.lines = [f"{second}{fraction}Z {text}\n".encode() for fraction, text in pairs]
    life.ring()
    return life


def broken_off(api: Kubernetes, lines: int, how: str, hold: asyncio.Event | None = None) -> Handler:
    """A handler whose stream ends behind that many lines, once ``hold`` is set; the server starts at the second."""

    async def handler(request: web.Request) -> web.StreamResponse:
        life = api.lives[name_in(request.path)]
        while len(life.lines) < len(TEXTS):
            await life.news.wait()
        response = await begin(request)
        since = life.first_since(request.query.get("sinceTime"))
        await send(response, b"".join(life.lines[since:lines]))
        if how == "cut within a line":
            await send(response, life.lines[lines][:-3])
        if hold is not None:
            await hold.wait()
        if how != "clean" and request.transport is not None:
            request.transport.abort()
        return response

    return handler


@hurried()
async def test_a_break_behind_any_line_of_the_second(tmp_path: Path) -> None:
    """Behind the fifth as the case says, behind every other one, within a line, and each stream up to three times."""
    breaks = list(itertools.product(range(1, 12), ENDS))
    async with case(tmp_path, slots=len(breaks)) as c:
        opened: dict[str, list[Handler]] = {}

        def gate(seen: Seen) -> Handler | None:
            if seen.resource != "pods/log":
                return None
            if seen.name not in opened:
                lines, how = breaks[len(opened)]
                opened[seen.name] = [broken_off(c.api, lines, how), broken_off(c.api, 11, how)]
                return broken_off(c.api, max(1, lines - 3), how)
            return opened[seen.name].pop(0) if opened[seen.name] else None

        c.api.gate = gate
        ids = [await c.submit("run", "3600") for _ in breaks]
        lives = await asyncio.gather(*(twelve_lines(c, job_id) for job_id in ids))
        await c.waits_for(lambda: len(opened) == len(breaks) and not any(opened.values()))
        for life in lives:
            life.finish()
        jobs = [await c.ends(job_id) for job_id in ids]
        logs = [await c.log(job_id) for job_id in ids]
        assert {(job.state, job.attempts[0].log.state) for job in jobs} == {(JobState.SUCCEEDED, LogState.COMPLETE)}
        figures.exactly("case 4: logs of the twelve lines, in order", logs.count(f"{WHOLE}end\n"), len(breaks))


@hurried()
async def test_a_server_that_is_started_anew_in_the_midst_of_the_second(tmp_path: Path) -> None:
    """After every line, and within every line: equal stamps before and behind the place, and half a line stored."""
    ends = list(itertools.product(range(1, 12), ENDS))
    async with stage(tmp_path) as made:
        opened: dict[str, None] = {}

        def gate(seen: Seen) -> Handler | None:
            if seen.resource != "pods/log" or seen.name in opened:
                return None
            lines, how = ends[len(opened)]
            opened[seen.name] = None
            return broken_off(made.api, lines, how, asyncio.Event())

        async with made.core(slots=len(ends)) as c:
            made.api.gate = gate
            ids = [await c.submit("run", "3600") for _ in ends]
            lives = await asyncio.gather(*(twelve_lines(c, job_id) for job_id in ids))
            await c.waits_for(lambda: len(opened) == len(ends))
            for job_id in ids:
                await _something_is_stored(c, job_id)
        async with made.core(slots=len(ends)) as c:
            for life in lives:
                life.finish()
            for job_id in ids:
                job = await c.ends(job_id)
                assert (job.state, job.attempts[0].log.state) == (JobState.SUCCEEDED, LogState.COMPLETE)
            logs = [await c.log(job_id) for job_id in ids]
        figures.exactly("case 4: logs over a restart, in order", logs.count(f"{WHOLE}end\n"), len(ends))


async def _something_is_stored(c: Case, job_id: str) -> None:
    with c.core.bus.subscribe("nothing") as never:
        async with asyncio.timeout(PATIENCE):
            while (await c.core.store.log_point(AttemptKey(job_id, 1))).bytes == 0:
                await never.wait(0.1)
