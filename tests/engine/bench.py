"""A core on a fake cluster and a real store, with short durations instead of the documented ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from spark_jobs.app.core import Core, Parts, running, utc_now
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.job import Job
from spark_jobs.domain.spec import JobSpec
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.metrics import Metrics
from spark_jobs.service import LogPart, Policy
from spark_jobs.sinks.base import Sink
from spark_jobs.store.sql.store import SqlStore
from tests.fakes.passing import pass_by

RULES = EngineSettings(
    soon=0.2, image_grace=0.4, log_grace=0.5, unsure=0.3, halt_slack=0.2, gone_pause=0.05, node_lost_after=0.3
)
PATIENCE = 20.0


class Bench:
    """A core to act on, and its fake cluster."""

    def __init__(self, core: Core, cluster: FakeCluster) -> None:
        self.core = core
        self.cluster = cluster
        self.service = core.service

    async def submit(self, **spec: object) -> str:
        """Submit a job; its id."""
        body = {"image": "busybox:1", "command": ["true"], "termination_grace": 0.2, **spec}
        return (await self.service.submit(body)).job.id

    async def ends(self, job_id: str) -> Job:
        """The job once it is over."""
        job = await self.service.get(job_id, wait=PATIENCE)
        assert job.state.is_terminal, f"{job.id} is still {job.state}, {job.activity}"
        return job

    async def until(self, job_id: str, holds: Callable[[Job], bool]) -> Job:
        """The job once ``holds(job)``."""
        with self.core.bus.subscribe(job_id) as changed:
            async with asyncio.timeout(PATIENCE):
                while not holds(job := await self.service.get(job_id)):
                    await changed.wait(0.02)
        return job

    async def closed(self) -> None:
        """Until no attempt is open any more."""
        async with asyncio.timeout(PATIENCE):
            while self.core.engine.open_attempts:
                with self.core.bus.subscribe("nothing") as never:
                    await never.wait(0.02)

    async def log(self, job_id: str, *, follow: bool = False) -> bytes:
        """The stored log."""
        return b"".join([piece.chunk.data async for piece in self.service.logs(job_id, LogPart(follow=follow))])


@asynccontextmanager
async def bench(
    folder: Path,
    cluster: FakeCluster,
    *,
    slots: int = 5,
    queue_size: int = 10_000,
    kind: type[SqlStore] = SqlStore,
    sink: Sink | None = None,
    **rules: float,
) -> AsyncIterator[Bench]:
    """A running core on this folder and cluster."""
    parts = Parts(
        store=kind(folder, clock=utc_now),
        cluster=cluster,
        policy=Policy(defaults=Defaults(), slots=slots, queue_size=queue_size),
        rules=msgspec.structs.replace(RULES, slots=slots, archive=sink is not None, **rules),
        metrics=Metrics(),
        sink=sink,
    )
    async with running(parts) as core:
        yield Bench(core, cluster)


async def eventually(holds: Callable[[], bool]) -> None:
    """Until something holds of what tells nobody of its changes."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await pass_by(0.02)


def scripts(**by_first_word: Script) -> Callable[[JobSpec], Script]:
    """The script that the command's first word names; a container that just ends otherwise."""
    return lambda spec: by_first_word.get((spec.command or [""])[0], Script())
