"""Lines that are long or never end: memory stays small, and what is not kept is counted. Invariant 11, and case 13's line."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from spark_jobs.app.core import Core, Parts, running, utc_now
from spark_jobs.cluster.local import LocalCluster
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.job import Job, LogState
from spark_jobs.domain.state import JobState
from spark_jobs.engine.caps import line_mark
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.metrics import Metrics
from spark_jobs.service import Policy
from spark_jobs.store.sql import SqlStore
from tests import figures
from tests.cases.scripted import case
from tests.fakes.answering import Handler, begin, send
from tests.fakes.passing import pass_by
from tests.fakes.seeing import Seen

MIB = 1024 * 1024
CAP = 16 * MIB
LONG = 512


def resident() -> int:
    """The memory of this process, which holds the scripted server as well, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def watch_memory(seen: list[int]) -> None:
    """Note the memory now and then."""
    while True:
        seen.append(resident())
        await pass_by(0.05)


async def test_a_program_of_this_machine_that_writes_512_mib_without_a_newline(tmp_path: Path) -> None:
    """And two million blank lines, and three lines that are just too long."""
    parts = Parts(
        store=SqlStore(tmp_path / "data", clock=utc_now),
        cluster=LocalCluster(tmp_path / "local", clock=utc_now),
        policy=Policy(defaults=Defaults(), slots=3),
        rules=EngineSettings(slots=3, gone_pause=0.0),
        metrics=Metrics(),
    )
    scripts = [
        f"head -c {LONG * MIB} /dev/zero",
        f"yes '' | head -c {2 * MIB}",
        f"for i in 1 2 3; do head -c {CAP + 1} /dev/zero; echo; done",
    ]
    async with running(parts) as core:
        seen = [resident()]
        watching = asyncio.create_task(watch_memory(seen))
        bodies = [{"image": "none", "command": ["sh", "-c", script], "timeout": 120} for script in scripts]
        ids = [(await core.service.submit(body)).job.id for body in bodies]
        jobs = [await core.service.get(job_id, wait=120) for job_id in ids]
        jobs = [await settled(core, job.id) for job in jobs]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        figures.at_most("case 13: memory for 512 MiB without a newline, local", (max(seen) - seen[0]) / MIB, 64, "MiB")
        assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 3
        endless, blank, three = (job.attempts[0].log for job in jobs)
        assert endless.problem == f"after byte {CAP}: a line longer than {CAP} bytes was cut"
        assert endless.bytes == CAP + len(line_mark(CAP, LONG * MIB - CAP)) + 1
        assert (blank.state, blank.lines, blank.bytes) == (LogState.COMPLETE, 2 * MIB, 2 * MIB)
        assert (three.state, three.lines) == (LogState.INCOMPLETE, 3)
        assert three.bytes == 3 * (CAP + len(line_mark(CAP, 1)) + 1)


async def settled(core: Core, job_id: str) -> Job:
    """The job once its log is settled."""
    with core.bus.subscribe(job_id) as changed:
        async with asyncio.timeout(120):
            while (job := await core.service.get(job_id)).attempts[0].log.state is LogState.COLLECTING:
                await changed.wait(0.2)
    return job


async def test_a_line_of_512_mib_without_an_end(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        most = 0
        piece = b"0123456789abcdef" * (MIB // 16)

        async def log(request: web.Request) -> web.StreamResponse:
            nonlocal most
            response = await begin(request)
            await send(response, f"{c.api.now() - timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}Z ".encode())
            for _ in range(LONG):
                await send(response, piece)
                most = max(most, resident())
            if "follow" in request.query:
                await c.api.life_of(job_id).over.wait()
            return response

        def gate(seen: Seen) -> Handler | None:
            return log if seen.resource == "pods/log" else None

        c.api.gate = gate
        job_id = await c.submit("run", "3600")
        await c.running(job_id)
        began = resident()
        await c.api.seen_again("get", "pods/log", 1)
        job, _ = await c.ends_after_its_container(job_id)
        await c.closed()
        figures.at_most("case 13: memory for a line of 512 MiB", (most - began) / MIB, 64, "MiB")
        assert job.state is JobState.SUCCEEDED
        log_of = (await c.service.get(job_id)).attempts[0].log
        assert (log_of.state, log_of.problem) == (
            LogState.INCOMPLETE,
            f"after byte {CAP}: a line longer than {CAP} bytes was cut",
        )
        stored = (await c.log(job_id)).encode()
        assert stored == piece * 16 + line_mark(CAP, LONG * MIB - CAP) + b"\n"
