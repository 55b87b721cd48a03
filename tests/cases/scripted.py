"""A whole core (engine, store, Kubernetes adapter) on a scripted Kubernetes, and what has to hold in every case.

In every case: no unhandled exception in the service's log; never more unfinished pods than slots; a terminal state never
changes; one Kubernetes Job and one pod for an attempt, under one name; reads never wait for the cluster.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from spark_jobs.app.core import Core, Parts, running
from spark_jobs.bus import EVERY_JOB
from spark_jobs.cluster.kubernetes import KubernetesCluster, KubernetesConfig
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.job import Job
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.metrics import Metrics
from spark_jobs.service import Policy
from spark_jobs.store.base import Commit, JobFilter
from spark_jobs.store.sql.store import SqlStore
from tests.fakes.control_plane import Kubernetes
from tests.fakes.door import Door, listening
from tests.fakes.hurry import until
from tests.fakes.watching import write_kubeconfig

PATIENCE = 300.0
"""Seconds of the case's own clock; bounds are checked apart."""

_GET_EVERY = 1.0
_NO_WAIT = 5.0
"""Seconds of the case's own clock, in which a request that gets no answer takes longer and a busy machine hardly counts.
That a read takes less than a second is measured on the real cluster."""


class Case:
    """A core to act on, its Kubernetes, and the door between them."""

    def __init__(self, core: Core, api: Kubernetes, door: Door) -> None:
        self.core = core
        self.api = api
        self.door = door
        self.service = core.service
        self.slowest_read = 0.0
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        """Seconds of the case's clock."""
        return self._loop.time()

    async def submit(self, *command: str, **spec: object) -> str:
        """Submit a job; its id."""
        body = {"image": "busybox:1", "command": list(command), "termination_grace": 5, **spec}
        return (await self.service.submit(body)).job.id

    async def ends(self, job_id: str) -> Job:
        """The job once it is over."""
        return await self.until(job_id, lambda job: job.state.is_terminal)

    async def running(self, job_id: str) -> Job:
        """The job once its container was seen running."""
        return await self.until(job_id, lambda job: job.started_at is not None)

    async def until(self, job_id: str, holds: Callable[[Job], object]) -> Job:
        """The job once ``holds(job)``."""
        with self.core.bus.subscribe(job_id) as changed:
            async with asyncio.timeout(PATIENCE):
                while not holds(job := await self.service.get(job_id)):
                    await changed.wait(1.0)
        return job

    async def ends_after_its_container(self, job_id: str, code: int = 0) -> tuple[Job, float]:
        """Let the program end; the job once it is over, and how many seconds later that was."""
        self.api.life_of(job_id).finish(code)
        await self.api.life_of(job_id).over.wait()
        began = self.now()
        return await self.ends(job_id), self.now() - began

    async def closed(self) -> None:
        """Until no attempt is open and nothing is left in the cluster."""
        await self.waits_for(
            lambda: not (self.core.engine.open_attempts or self.api.objects["jobs"] or self.api.objects["pods"])
        )

    async def waits_for(self, holds: Callable[[], object]) -> None:
        """Until this holds."""
        await until(holds, PATIENCE)

    async def log(self, job_id: str) -> str:
        """The stored log."""
        return b"".join([piece.chunk.data async for piece in self.service.logs(job_id)]).decode()

    async def poll(self) -> None:
        """Ask for the queue and the jobs after every change, and every second."""
        with self.core.bus.subscribe(EVERY_JOB) as changed:
            while True:
                began = self.now()
                await self.service.queue()
                await self.service.list(JobFilter())
                self.slowest_read = max(self.slowest_read, self.now() - began)
                await changed.wait(_GET_EVERY)


class Watchdog(logging.Handler):
    """Collects what has no place in a service's log, and changes of terminal states."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.faults: list[str] = []
        self.said: list[str] = []
        self._ended: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """A record of any logger."""
        self.said.append(record.getMessage())
        if record.exc_info or record.levelno >= logging.ERROR:
            self.faults.append(f"{record.getMessage()}: {record.exc_info}")

    def committed(self, commit: Commit) -> None:
        """A commit's events."""
        for event in commit.events:
            if event.job_id in self._ended:
                self.faults.append(f"{event.job_id} had ended and became {event.target}")
            if event.target.is_terminal:
                self._ended.add(event.job_id)

    def times_said(self, text: str) -> int:
        """How many records hold this text."""
        return sum(text in line for line in self.said)


@asynccontextmanager
async def barking() -> AsyncIterator[Watchdog]:
    """Listen to the loggers of Spark and of asyncio."""
    dog = Watchdog()
    loggers = [logging.getLogger("spark_jobs"), logging.getLogger("asyncio")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.addHandler(dog)
    loggers[0].setLevel(logging.INFO)
    try:
        yield dog
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.removeHandler(dog)
            each.setLevel(level)


class Stage:
    """Cores on one data folder and one Kubernetes, one after the other."""

    def __init__(self, folder: Path, api: Kubernetes, door: Door, dog: Watchdog) -> None:
        self.api = api
        self.door = door
        self.dog = dog
        self.kubeconfig = write_kubeconfig(folder, api.url)
        self.rules = EngineSettings()
        self.config = KubernetesConfig(kubeconfig=str(self.kubeconfig))
        self._folder = folder
        self._most_slots = 0

    @asynccontextmanager
    async def core(self, *, slots: int = 5, kubernetes: KubernetesCluster | None = None) -> AsyncIterator[Case]:
        """A running core; another one may follow on the same folder."""
        metrics = Metrics()
        cluster = kubernetes or KubernetesCluster(self.config, clock=self.api.now, metrics=metrics)
        parts = Parts(
            store=SqlStore(self._folder / "data", clock=self.api.now),
            cluster=cluster,
            policy=Policy(defaults=Defaults(), slots=slots),
            rules=msgspec.structs.replace(self.rules, slots=slots),
            metrics=metrics,
            clock=self.api.now,
        )
        self._most_slots = max(slots, self._most_slots)
        async with running(parts) as core:
            core.store.listen(self.dog.committed)
            case = Case(core, self.api, self.door)
            poller = asyncio.create_task(case.poll())
            try:
                yield case
            finally:
                poller.cancel()
                await asyncio.gather(poller, return_exceptions=True)
        assert case.slowest_read < _NO_WAIT

    def check(self) -> None:
        """What has to hold in every case."""
        assert self.dog.faults == []
        assert self.api.most_alive <= self._most_slots
        assert len(self.api.pods_ever) == len(set(self.api.pods_ever))
        names: dict[str, set[str]] = {}
        for seen in self.api.of("create", "jobs"):
            metadata = seen.body["metadata"]
            claim = metadata["annotations"]["spark-jobs.dev/claim"]
            names.setdefault(claim, set()).add(metadata["name"])
        assert all(len(each) == 1 for each in names.values()), "a create under another name"


@asynccontextmanager
async def stage(folder: Path, kubernetes: Callable[[], Kubernetes] = Kubernetes) -> AsyncIterator[Stage]:
    """A scripted Kubernetes, ready for cores."""
    async with AsyncExitStack() as stack:
        dog = await stack.enter_async_context(barking())
        api = kubernetes()
        door = await stack.enter_async_context(listening(api))
        made = Stage(folder, api, door, dog)
        yield made
    made.check()


@asynccontextmanager
async def case(folder: Path, *, slots: int = 5) -> AsyncIterator[Case]:
    """One core on a scripted Kubernetes, with the documented settings."""
    async with stage(folder) as made, made.core(slots=slots) as running_case:
        yield running_case
