"""The contract of :mod:`spark_jobs.cluster.base` for processes of this machine."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from spark_jobs import journal
from spark_jobs.cluster.base import (
    AttemptRef,
    Created,
    CreateRefused,
    CreateUnknown,
    Health,
    LogLines,
    Observation,
    PodSeen,
    Waiting,
)
from spark_jobs.cluster.local import leftovers
from spark_jobs.cluster.local.attempt import LocalAttempt
from spark_jobs.cluster.local.folder import AttemptFolder, Record
from spark_jobs.cluster.local.plan import Plan, plan
from spark_jobs.domain.errors import ClusterUnavailable, DataDirNotWritable, LogUnavailable
from spark_jobs.domain.job import PodEvent
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.spec import DEFAULT_GRACE, JobSpec

log = journal.logger(__name__)

_LAST_SEEN = 0.2  # seconds between the end of an attempt that was deleted while it ran, and its going
_STOP_GRACE = 2.0  # seconds that processes get when the server stops


class LocalCluster:
    """Runs attempts below ``folder``. ``clock`` is called from several threads."""

    name = "local"

    def __init__(self, folder: Path, *, clock: Callable[[], datetime]) -> None:
        self._folder = folder.absolute() / "attempts"
        self._clock = clock
        self._attempts: dict[str, LocalAttempt] = {}
        self._lost: dict[str, AttemptFolder] = {}
        self._graces: dict[str, float] = {}
        self._leaving: set[str] = set()
        self._changed: Callable[[str], None] | None = None
        self._since: datetime | None = None
        self._creating = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, instance: str, changed: Callable[[str], None]) -> None:
        """End what an earlier server has left running, and show again what had ended before.

        Raises:
            DataDirNotWritable: the folder can't be made.
        """
        try:
            await asyncio.to_thread(partial(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True))
        except OSError as error:
            raise DataDirNotWritable(
                f"can't make {self._folder}: {error.strerror}; choose another --data-dir"
            ) from error
        found = await asyncio.to_thread(leftovers.settle, self._folder, now=time.time())
        self._lost = {record.claim: folder for folder, record in found if record.end is None}
        self._attempts = {
            record.claim: self._attempt(record, folder) for folder, record in found if record.end is not None
        }
        self._changed = changed
        self._since = self._clock()
        for claim in [*self._attempts, *self._lost]:
            changed(claim)

    async def stop(self) -> None:
        """End all processes; returns when they are gone."""
        self._changed = None
        async with self._creating:
            await asyncio.gather(*(each.stop_with_server(_STOP_GRACE) for each in self._attempts.values()))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def create(self, ref: AttemptRef, spec: JobSpec) -> Created | CreateRefused | CreateUnknown:
        """Make the attempt's folder and start its process."""
        async with self._creating:
            if ref.claim in self._attempts:
                return Created(uid=self._attempts[ref.claim].record.uid)
            if ref.claim in self._lost:
                return CreateRefused(reason=Reason.LOST, message="it was started, and was ended with its server")
            folder = AttemptFolder.of(self._folder, ref.name)
            planned = plan(ref, spec, work=folder.work, termination_log=folder.termination_log, environ=os.environ)
            if isinstance(planned, CreateRefused):
                return planned
            return await self._make(ref, folder, planned)

    async def _make(
        self, ref: AttemptRef, folder: AttemptFolder, planned: Plan
    ) -> Created | CreateRefused | CreateUnknown:
        if self._changed is None:
            return CreateUnknown(message="the local cluster is not started")
        record = Record(
            job_id=ref.job_id,
            attempt=ref.attempt,
            claim=ref.claim,
            namespace=ref.namespace,
            name=ref.name,
            uid=str(uuid.uuid4()),
        )
        try:
            await asyncio.to_thread(folder.make, record)
        except FileExistsError:
            return CreateRefused(
                reason=Reason.NAME_CONFLICT, message=f"{folder.path} exists and belongs to another attempt"
            )
        except OSError as error:
            return CreateUnknown(message=f"can't make {folder.path}: {error.strerror}")
        attempt = self._attempts[ref.claim] = self._attempt(record, folder)
        self._graces[ref.claim] = planned.grace
        self._tell(ref.claim)
        self._spawn(attempt.live(planned))
        return Created(uid=record.uid)

    def observe(self, ref: AttemptRef) -> Observation:
        """What is there; nothing can hide it."""
        attempt = self._attempts.get(ref.claim)
        if attempt is not None:
            return msgspec.structs.replace(attempt.seen(), current=self._changed is not None)
        foreign = any(ref.name == each.record.name for each in self._attempts.values())
        return Observation(current=self._changed is not None, foreign=foreign)

    async def look(self, ref: AttemptRef) -> Observation:
        """The same as :meth:`observe`, but not before :meth:`start`."""
        self._require_start()
        return self.observe(ref)

    async def release(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """Nothing is held here."""
        return True

    async def halt(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """TERM, and KILL after the grace; the log stays."""
        self._require_start()
        attempt = self._attempts.get(ref.claim)
        if attempt is not None and not attempt.over.is_set():
            self._spawn(attempt.stop(self._grace(ref), halt=True))
        return True

    async def delete(self, ref: AttemptRef, *, over: bool, idle: PodSeen | None = None) -> bool:
        """End it if it runs, and remove its folder."""
        self._require_start()
        attempt = self._attempts.get(ref.claim)
        if attempt is not None and idle is not None and attempt.pod != idle:
            return False
        if attempt is None:
            if (lost := self._lost.get(ref.claim)) is not None:
                self._spawn(self._forget(ref.claim, lost))
        elif ref.uid in (None, attempt.record.uid) and ref.claim not in self._leaving:
            self._leaving.add(ref.claim)
            attempt.mark_deleted(self._grace(ref))
            self._spawn(self._remove(attempt, self._grace(ref)))
        return True

    async def gone(self, ref: AttemptRef) -> bool:
        """Whether no process and no folder of it is left."""
        self._require_start()
        return ref.claim not in self._attempts

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        """What its process wrote, stdout and stderr as one stream."""
        self._require_start()
        attempt = self._attempts.get(ref.claim)
        if attempt is None:
            raise LogUnavailable("the attempt and its log were deleted", gone=True)
        if isinstance(attempt.pod.container, Waiting):
            raise LogUnavailable("the process has not started yet")
        async for lines in attempt.log.stream(since_ns=since_ns, follow=follow):
            yield lines

    def health(self) -> Health:
        """Always there, once started."""
        problem = None if self._changed is not None else "the local cluster is not started"
        return Health(reachable=problem is None, since=self._since or self._clock(), problem=problem)

    async def events(self, ref: AttemptRef, pod: str) -> list[PodEvent]:
        """None: a process waits for nothing that needs explaining."""
        return []

    def clock_offset(self) -> timedelta:
        """None: it is this machine's clock."""
        return timedelta(0)

    def strangers(self, known: Callable[[str], bool]) -> list[str]:
        """Names of attempts whose claim nobody knows."""
        return [each.record.name for claim, each in self._attempts.items() if not known(claim)]

    def _attempt(self, record: Record, folder: AttemptFolder) -> LocalAttempt:
        return LocalAttempt(record, folder, clock=self._clock, changed=partial(self._tell, record.claim))

    def _grace(self, ref: AttemptRef) -> float:
        return self._graces.get(ref.claim, DEFAULT_GRACE)

    async def _remove(self, attempt: LocalAttempt, grace: float) -> None:
        claim = attempt.record.claim
        if not attempt.over.is_set():
            await attempt.stop(grace)
            # Whoever watches should see how it ended.
            await asyncio.sleep(_LAST_SEEN)
        try:
            await asyncio.to_thread(attempt.folder.remove)
        except OSError as error:
            log.warning("can't remove an attempt's folder", folder=str(attempt.folder.path), problem=str(error))
            return
        finally:
            self._leaving.discard(claim)
        self._attempts.pop(claim, None)
        self._graces.pop(claim, None)
        self._tell(claim)

    async def _forget(self, claim: str, folder: AttemptFolder) -> None:
        self._lost.pop(claim, None)
        await asyncio.to_thread(folder.remove)

    def _require_start(self) -> None:
        if self._changed is None:
            raise ClusterUnavailable("the local cluster is not started")

    def _tell(self, claim: str) -> None:
        if self._changed is not None:
            self._changed(claim)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work of the local cluster failed", exc_info=error)
