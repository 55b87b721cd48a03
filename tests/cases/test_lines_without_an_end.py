"""Lines that are long or never end: memory stays small, and what is not kept is counted. Invariant 11, and case 13's line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from aiohttp import web

from spark_jobs.domain.job import LogState
from spark_jobs.domain.state import JobState
from spark_jobs.engine.caps import line_mark
from tests import figures
from tests.cases.scripted import case
from tests.fakes.answering import Handler, begin, send
from tests.fakes.hurry import hurried
from tests.fakes.seeing import Seen

MIB = 1024 * 1024
CAP = 16 * MIB
LONG = 512


def resident() -> int:
    """The memory of this process, which holds the scripted server as well, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@hurried()
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
