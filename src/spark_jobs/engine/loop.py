"""The engine: wires queue, dispatcher, handler, collector and janitor together and keeps them turning.

A restart is nothing special: every attempt that is not CLOSED is handled, by the same code as always.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from spark_jobs import journal
from spark_jobs.cluster.base import Cluster
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord, Phase
from spark_jobs.domain.errors import TryAgain
from spark_jobs.domain.job import LogState
from spark_jobs.engine.attempts import Attempts
from spark_jobs.engine.collector import Collector
from spark_jobs.engine.diagnosis import Diagnosis
from spark_jobs.engine.dispatcher import Dispatcher
from spark_jobs.engine.doubt import with_known_doubt
from spark_jobs.engine.handler import Handler
from spark_jobs.engine.janitor import Janitor
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.engine.work import WorkQueue
from spark_jobs.logs import LogBook
from spark_jobs.metrics import Metrics
from spark_jobs.store.base import Commit, EngineStore

log = journal.logger(__name__)

_TURN = 1.0
_SWEEP_EVERY = 600.0
_SWEEP_AGAIN = 60.0  # where the store could not


class Engine:
    """Runs attempts to their ends. Feed it :meth:`committed`, run :meth:`run`."""

    def __init__(
        self,
        store: EngineStore,
        cluster: Cluster,
        book: LogBook,
        rules: EngineSettings,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._metrics = metrics
        self._clock = clock
        self._archive = rules.archive
        self._room_every = rules.room_every
        self._attempts = Attempts(store)
        self._work = WorkQueue(self._handle, crashed=lambda: metrics.unexpected_error("engine"))
        self._collector = Collector(cluster, book, rules, self._settle_log, clock=clock, counted=metrics.log_stored)
        self._handler = Handler(self._attempts, cluster, self._collector, rules, clock=clock)
        self._dispatcher = Dispatcher(store, self._attempts, cluster, rules, self._work.add, clock=clock)
        self._diagnosis = Diagnosis(
            self._attempts, cluster, self._work.add, lambda: metrics.unexpected_error("engine"), clock=clock
        )
        lost = metrics.logs_lost_unsent
        self._janitor = Janitor(store, self._attempts, cluster, rules, clock=clock, lost_unsent=lost)
        self._turned_at: float | None = None

    def committed(self, commit: Commit) -> None:
        """The store changed: look at wishes, and at the queue."""
        for job_id in commit.wishes:
            for claim in self._attempts.wished(job_id):
                self._work.add(claim)
        if commit.queue_changed or commit.wishes:
            self._dispatcher.wake()

    def changed(self, claim: str) -> None:
        """The cluster shows something new for an attempt."""
        if self._attempts.known(claim):
            self._work.add(claim)

    def idle_seconds(self) -> float | None:
        """Seconds since the loop last turned; null before its first turn."""
        return None if self._turned_at is None else time.monotonic() - self._turned_at

    @property
    def open_attempts(self) -> int:
        """Attempts that are not CLOSED."""
        return len(self._attempts)

    def drain(self) -> None:
        """Start nothing more."""
        self._dispatcher.stop()

    async def run(self) -> None:
        """Run until cancelled; attempts go on in the cluster, and are found again at the next start."""
        for record in await self._attempts.load(self._clock()):
            if record.phase is Phase.CLAIMED and record.stop_cause is None:
                self._dispatcher.resume(record)
            self._work.add(record.claim)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._dispatcher.run(), name="dispatcher")
                tasks.create_task(self._diagnosis.run(), name="diagnosis")
                tasks.create_task(self._turn(), name="janitor")
                tasks.create_task(self._sweeps(), name="sweeper")
        finally:
            await self._work.close()
            await self._collector.close()

    async def _handle(self, claim: str) -> float | None:
        record = await self._attempts.get(claim)
        delay = await self._handler.handle(claim)
        if record is not None and record.phase is not Phase.OVER:
            await self._slot_may_be_free(claim)
        if not self._attempts.known(claim):
            self._work.forget(claim)
        return delay

    async def _slot_may_be_free(self, claim: str) -> None:
        record = await self._attempts.get(claim)
        if record is None or record.phase is Phase.OVER:
            self._dispatcher.wake()

    async def _settle_log(self, record: AttemptRecord, changes: AttemptChanges) -> None:
        if changes.log_state is LogState.COMPLETE:
            changes = with_known_doubt(changes, (await self._attempts.reread(record)).log_problem)
        if self._archive:
            changes = msgspec.structs.replace(changes, archive_due_at=changes.settled_at)
        await self._attempts.note(record, changes)
        self._work.add(record.claim)

    async def _turn(self) -> None:
        """The janitor's rounds; that they go on is what ``/readyz`` asks."""
        while True:
            self._turned_at = time.monotonic()
            try:
                await self._janitor.end_overdue()
            except TryAgain as error:
                log.warning("can't keep house now", problem=error.message)
            await asyncio.sleep(_TURN)

    async def _sweeps(self) -> None:
        """What is old, or too much, is forgotten beside the turns: that of a full disk takes minutes."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                if loop.time() >= due:
                    due = loop.time() + _SWEEP_AGAIN
                    await self._janitor.sweep()
                    self._metrics.set_unknown_objects(self._janitor.strangers)
                    due = loop.time() + _SWEEP_EVERY
                await self._janitor.make_room()
            except TryAgain as error:
                log.warning("can't forget what is old now", problem=error.message)
            await asyncio.sleep(self._room_every)
