"""The fake cluster itself: the contract of :mod:`spark_jobs.cluster.base` over scripted attempts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import datetime, timedelta

import msgspec

from spark_jobs.cluster.base import (
    AttemptRef,
    Created,
    CreateRefused,
    CreateUnknown,
    Health,
    LogLines,
    Observation,
    PodSeen,
)
from spark_jobs.cluster.fake.attempt import FakeAttempt
from spark_jobs.cluster.fake.clock import LoopClock
from spark_jobs.cluster.fake.script import Accident, Script
from spark_jobs.domain.errors import ClusterUnavailable, LogUnavailable
from spark_jobs.domain.job import PodEvent
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.spec import JobSpec, grace_seconds


class FakeCluster:
    """Runs nothing and shows everything.

    ``script`` is asked once for each attempt. ``clock`` should be the engine's own, which a Runner sees to. Objects
    outlive :meth:`stop`, so a second server can be started on the same instance of it.

    For assertions: ``creates`` counts create requests by claim, ``made`` lists the objects in the order of their
    making, ``most_at_once`` is the largest number of attempts that held a pod or might get one, at any time.
    """

    name = "fake"

    def __init__(
        self, script: Callable[[JobSpec], Script] | None = None, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.creates: Counter[str] = Counter()
        self.made: list[AttemptRef] = []
        self.most_at_once = 0
        self._script = script or (lambda _spec: Script())
        self.clock = clock or LoopClock()
        self._scripts: dict[str, Script] = {}
        self._attempts: dict[str, FakeAttempt] = {}
        self._shown: dict[str, Observation] = {}
        self._foreign: set[str] = set()
        self._changed: Callable[[str], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._away_until = 0.0
        self._view_holds = True
        self._health_since: datetime | None = None

    async def start(self, instance: str, changed: Callable[[str], None]) -> None:
        """Show everything that is there to a new observer."""
        self._changed = changed
        self._health_since = self.clock()
        self._refresh()

    async def stop(self) -> None:
        """Tell nobody any more; the attempts go on."""
        self._changed = None

    async def create(self, ref: AttemptRef, spec: JobSpec) -> Created | CreateRefused | CreateUnknown:
        """See the contract; what is answered is the script's affair."""
        self.creates[ref.claim] += 1
        if ref.claim not in self._scripts:
            self._scripts[ref.claim] = self._script(spec)
        script = self._scripts[ref.claim]
        await asyncio.sleep(script.create_takes)
        if self._away():
            return CreateUnknown(message="the fake cluster does not answer")
        if script.foreign:
            self._foreign.add(ref.name)
        if ref.name in self._taken(but=ref.claim):
            return CreateRefused(reason=Reason.NAME_CONFLICT, message=f"{ref.name} exists and is not ours")
        if script.refused is not None:
            return script.refused
        lost = self.creates[ref.claim] <= script.unknown_creates
        if ref.claim not in self._attempts and (script.unknown_stored or not lost):
            self._make(ref, spec, script)
        if lost:
            return CreateUnknown(message="the answer was lost", everywhere=False)
        return self._found(ref)

    def observe(self, ref: AttemptRef) -> Observation:
        """What was shown last; frozen during an outage."""
        current = self._changed is not None and (self._view_holds or not self._away())
        if ref.claim not in self._shown:
            return Observation(current=current, foreign=ref.name in self._taken(but=ref.claim))
        return msgspec.structs.replace(_visible(ref, self._shown[ref.claim]), current=current)

    async def look(self, ref: AttemptRef) -> Observation:
        """What is there."""
        await self._answer()
        attempt = self._attempts.get(ref.claim)
        if attempt is None:
            return Observation(current=True, foreign=ref.name in self._taken())
        return _visible(ref, attempt.seen())

    async def release(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """Let the pod be placed."""
        await self._answer()
        attempt = self._attempts.get(ref.claim)
        return attempt is not None and attempt.release()

    async def halt(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """Ask the container to end, unless the script says that this can't be done."""
        await self._answer()
        attempt = self._attempts.get(ref.claim)
        if attempt is None or not attempt.script.can_halt:
            return False
        attempt.halt()
        return True

    async def delete(self, ref: AttemptRef, *, over: bool, idle: PodSeen | None = None) -> bool:
        """Delete Job and pod; returns when the wish is taken, not when they are gone."""
        await self._answer()
        attempt = self._attempts.get(ref.claim)
        if attempt is not None and idle is not None and attempt.pod != idle:
            return False
        if attempt is not None and ref.uid in (None, attempt.ref.uid):
            self._spawn(attempt.remove(job_too=True))
        return True

    async def gone(self, ref: AttemptRef) -> bool:
        """Whether nothing is left that could run."""
        await self._answer()
        attempt = self._attempts.get(ref.claim)
        return attempt is None or (attempt.job is None and (attempt.pod is None or attempt.pod.over))

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        """Stream what the container has written, with the script's faults."""
        await self._answer()
        attempt = self._attempts.get(ref.claim)
        if attempt is None:
            raise LogUnavailable("the pod is gone", gone=True)
        async for lines in attempt.log.stream(since_ns=since_ns, follow=follow, away=self._away):
            yield lines

    async def events(self, ref: AttemptRef, pod: str) -> list[PodEvent]:
        """The script's."""
        await self._answer()
        script = self._scripts.get(ref.claim)
        return list(script.events) if script else []

    def health(self) -> Health:
        """Not reachable during an outage."""
        away = self._away()
        return Health(
            reachable=not away,
            since=self._health_since or self.clock(),
            problem="the fake cluster does not answer" if away else None,
        )

    def clock_offset(self) -> timedelta:
        """None: both clocks are one."""
        return timedelta(0)

    def strangers(self, known: Callable[[str], bool]) -> list[str]:
        """Names of attempts whose claim nobody knows."""
        return [attempt.ref.name for claim, attempt in self._attempts.items() if not known(claim)]

    def outage(self, seconds: float, *, view_holds: bool = True) -> None:
        """Answer nothing for so long. What is observed stays as it is, and counts as current only if ``view_holds``."""
        self._away_until = asyncio.get_running_loop().time() + seconds
        self._view_holds = view_holds
        self._health_since = self.clock()
        for attempt in self._attempts.values():
            attempt.log.interrupt()
        self._spawn(self._return_after(seconds))

    def delete_pod(self, job_id: str) -> None:
        """Somebody deletes the pod of the job's latest attempt."""
        self.happen(job_id, Accident.DELETE_POD)

    def happen(self, job_id: str, accident: Accident) -> None:
        """Let an accident befall the job's latest attempt."""
        self._spawn(self._latest(job_id).befall(accident))

    def finish(self, job_id: str, exit_code: int = 0) -> None:
        """The container of the job's latest attempt ends by itself, now."""
        self._latest(job_id).finish(exit_code)

    def log_opens(self, job_id: str) -> int:
        """How often the log of the job's latest attempt was opened."""
        return self._latest(job_id).log.opens

    def _latest(self, job_id: str) -> FakeAttempt:
        mine = [attempt for attempt in self._attempts.values() if attempt.ref.job_id == job_id]
        if not mine:
            raise LookupError(f"the fake cluster has no attempt of job {job_id}")
        return max(mine, key=lambda attempt: attempt.ref.attempt)

    def _make(self, ref: AttemptRef, spec: JobSpec, script: Script) -> None:
        ref = msgspec.structs.replace(ref, uid=f"uid-{len(self.made) + 1}")
        attempt = FakeAttempt(
            ref, script, grace=grace_seconds(spec), clock=self.clock, publish=lambda: self._publish(ref.claim)
        )
        self.made.append(ref)
        self._attempts[ref.claim] = attempt
        self.most_at_once = max(self.most_at_once, sum(not each.over.is_set() for each in self._attempts.values()))
        self._publish(ref.claim)
        self._spawn(attempt.live())
        for seconds, accident in script.accidents:
            self._spawn(self._later(seconds, attempt, accident))

    async def _later(self, seconds: float, attempt: FakeAttempt, accident: Accident) -> None:
        await asyncio.sleep(seconds)
        await attempt.befall(accident)

    def _found(self, ref: AttemptRef) -> Created:
        return Created(uid=self._attempts[ref.claim].ref.uid or "")

    def _taken(self, but: str | None = None) -> set[str]:
        """Names that are in use, except by this claim."""
        return self._foreign | {each.ref.name for claim, each in self._attempts.items() if claim != but}

    def _publish(self, claim: str) -> None:
        attempt = self._attempts.get(claim)
        if attempt is not None and attempt.gone:
            del self._attempts[claim]
        if not self._away():
            self._show(claim)

    def _show(self, claim: str) -> None:
        attempt = self._attempts.get(claim)
        if attempt is None:
            self._shown.pop(claim, None)
        else:
            self._shown[claim] = attempt.seen()
        if self._changed is not None:
            self._changed(claim)

    def _refresh(self) -> None:
        for claim in self._shown.keys() | self._attempts.keys():
            self._show(claim)

    def _away(self) -> bool:
        return asyncio.get_running_loop().time() < self._away_until

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self._away():
            raise ClusterUnavailable("the fake cluster does not answer")

    async def _return_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not self._away():
            self._health_since = self.clock()
            self._refresh()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _visible(ref: AttemptRef, seen: Observation) -> Observation:
    """A held pod that will never be released, since another one was, is not shown."""
    hidden = seen.pod is not None and seen.pod.held and ref.released not in (None, seen.pod.uid)
    return msgspec.structs.replace(seen, pod=None) if hidden else seen
