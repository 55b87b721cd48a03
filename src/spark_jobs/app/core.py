"""Spark without interfaces: store, cluster, engine and service, started together and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from spark_jobs import journal
from spark_jobs.bus import EVERY_JOB, Bus
from spark_jobs.cluster.base import Cluster
from spark_jobs.domain.job import JobEvent
from spark_jobs.domain.state import JobState
from spark_jobs.engine.archiver import Archiver
from spark_jobs.engine.loop import Engine
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.logs import LogBook
from spark_jobs.metrics import Metrics
from spark_jobs.service import ClusterNow, JobService, Policy
from spark_jobs.sinks.base import Sink
from spark_jobs.store.base import Commit, Store

log = journal.logger(__name__)


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Core:
    """The running parts. ``service`` is the one to talk to."""

    store: Store
    cluster: Cluster
    engine: Engine
    service: JobService
    metrics: Metrics
    bus: Bus
    clock: Callable[[], datetime]
    archiver: Archiver | None

    def drain(self) -> None:
        """Take and start nothing new; what runs in the cluster goes on."""
        self.service.drain()
        self.engine.drain()


@dataclass(frozen=True)
class Parts:
    """What a core is made of. ``instance`` overrides the store's own name for the installation; ``sink``: where settled
    logs are sent, with ``rules.archive``."""

    store: Store
    cluster: Cluster
    policy: Policy
    rules: EngineSettings
    metrics: Metrics
    instance: str | None = None
    sink: Sink | None = None
    clock: Callable[[], datetime] = utc_now
    limiter_wait: Callable[[], float] = lambda: 0.0


@asynccontextmanager
async def running(parts: Parts) -> AsyncIterator[Core]:
    """Open the store, watch the cluster, turn the engine, for as long as the block lasts.

    Raises:
        DataDirError, CredentialsError: it can't start; nothing is left open.
        ExceptionGroup: the engine failed for a reason that is a fault in Spark; the block is cancelled.
    """
    await parts.store.open()
    try:
        core = _assemble(parts)
        await _say_what_waits(parts)
        await parts.cluster.start(parts.instance or parts.store.instance, core.engine.changed)
        try:
            async with asyncio.TaskGroup() as tasks:
                turning = [tasks.create_task(core.engine.run(), name="engine")]
                if core.archiver is not None:
                    turning.append(tasks.create_task(core.archiver.run(), name="archiver"))
                yield core
                core.drain()
                for task in turning:
                    task.cancel()
        finally:
            await parts.cluster.stop()
    finally:
        await parts.store.close()


def _assemble(parts: Parts) -> Core:
    bus = Bus()
    book = LogBook(parts.store, bus)
    engine = Engine(parts.store, parts.cluster, book, parts.rules, parts.metrics, clock=parts.clock)
    service = JobService(parts.store, book, bus, parts.policy, clock=parts.clock, cluster=lambda: _cluster_now(parts))
    archiver = None
    if parts.sink is not None:
        archiver = Archiver(parts.store, parts.sink, parts.instance or parts.store.instance, parts.metrics)
    core = Core(parts.store, parts.cluster, engine, service, parts.metrics, bus, parts.clock, archiver)
    parts.store.listen(lambda commit: _tell(core, commit))
    parts.store.observe_commits(parts.metrics.committed)
    parts.metrics.before_scrape(lambda: _refresh(core))
    return core


async def _say_what_waits(parts: Parts) -> None:
    """Logs that an earlier server was to send, where this one has nowhere to send them to."""
    waiting = await parts.store.archive_waiting()
    if waiting and parts.sink is None:
        log.warning("logs wait for the log sink, and none is set: they are forgotten as others are", logs=waiting)


def _cluster_now(parts: Parts) -> ClusterNow:
    health = parts.cluster.health()
    return ClusterNow(limiter_wait=parts.limiter_wait(), away_since=None if health.reachable else health.since)


def _tell(core: Core, commit: Commit) -> None:
    """A commit happened: the engine acts on it, waiters wake, counters count."""
    core.engine.committed(commit)
    for event in commit.events:
        core.bus.ring(event.job_id, EVERY_JOB)
        _count(core.metrics, event)
    core.bus.ring(*commit.wishes)
    if commit.archive_due and core.archiver is not None:
        core.archiver.wake()


def _count(metrics: Metrics, event: JobEvent) -> None:
    if event.target is JobState.STARTING:
        metrics.queue_waited(max(0.0, (event.time - event.job.created_at).total_seconds()))
    elif event.target.is_terminal and event.job.started_at is not None:
        metrics.job_ran(event.target, max(0.0, (event.time - event.job.started_at).total_seconds()))


async def _refresh(core: Core) -> None:
    """The gauges that nobody keeps current."""
    core.metrics.set_jobs(await core.store.counts())
    core.metrics.set_unsent_logs(await core.store.archive_waiting())
    queue = await core.service.queue()
    core.metrics.set_queue(
        depth=queue.depth, backoff=queue.backoff, running=queue.running, slots=queue.slots, paused=queue.paused
    )
