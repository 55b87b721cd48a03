"""One attempt in the fake cluster: its Job, pod and container, from the create to the last sign of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from spark_jobs.cluster.base import (
    AttemptRef,
    JobSeen,
    Observation,
    PodSeen,
    Refusal,
    Running,
    Terminated,
    Waiting,
)
from spark_jobs.cluster.fake.log import FakeLog
from spark_jobs.cluster.fake.script import Accident, Script

NODE = "fake-node"
KILLED = 137
DEADLINE = "DeadlineExceeded"
START_ERROR = 128
FIRST_SIGNAL_CODE = 128

_DISRUPTIONS = {Accident.EVICT: "EvictionByEvictionAPI", Accident.PREEMPT: "PreemptionByScheduler"}


class FakeAttempt:
    """Lives by its script; ``publish`` is called after every change of what can be seen."""

    def __init__(
        self,
        ref: AttemptRef,
        script: Script,
        *,
        grace: float,
        clock: Callable[[], datetime],
        publish: Callable[[], None],
    ) -> None:
        self.ref = ref
        self.script = script
        self.log = FakeLog(script, clock)
        self.job: JobSeen | None = JobSeen(uid=ref.uid or "")
        self.pod: PodSeen | None = None
        self.refusal: Refusal | None = None
        self.over = asyncio.Event()
        self._grace = grace
        self._clock = clock
        self._publish = publish
        self._stop = asyncio.Event()
        self._freed = asyncio.Event()
        self._node_answers = asyncio.Event()
        self._node_answers.set()
        self._forced_code: int | None = None
        self._halted = False

    @property
    def gone(self) -> bool:
        """Nothing of it is left."""
        return self.job is None and self.pod is None

    def seen(self) -> Observation:
        """What can be seen of it now."""
        return Observation(current=True, job=self.job, pod=self.pod, refusal=self.refusal)

    async def live(self) -> None:
        """Go through the script once."""
        script = self.script
        if script.refusal is not None:
            self.refusal = script.refusal
            self._publish()
            await self._stop.wait()
        elif not await self._stopped_within(script.pod_after):
            self._show_pod()
            if await self._held() or await self._stopped_within(script.pending):
                self._end_pod()
            else:
                await self._start()
        self.over.set()

    def release(self) -> bool:
        """Let its pod be placed, if it is there."""
        if self.pod is None:
            return False
        if self.pod.held:
            self._place()
        return True

    def finish(self, exit_code: int) -> None:
        """The container ends by itself, now."""
        self._forced_code = exit_code
        self._stop.set()

    def halt(self) -> None:
        """Let its deadline pass: the pod ends with its grace, stays, and says why."""
        if not self.over.is_set():
            self._halted = True
            self._stop.set()

    async def remove(self, *, job_too: bool) -> None:
        """Delete the pod, with its grace, and its Job if wanted; returns when they are gone."""
        if job_too and self.job is not None:
            self.job = msgspec.structs.replace(self.job, deleted=True)
        if self.pod is not None and self.pod.deleted_at is None:
            self._change_pod(deleted_at=self._clock() + timedelta(seconds=self._grace))
        self._publish()
        self._stop.set()
        await self.over.wait()
        await asyncio.sleep(self.script.lingers)
        self.vanish(job_too=job_too)

    def vanish(self, *, job_too: bool) -> None:
        """Be gone at once."""
        self._stop.set()
        self.pod = None
        if job_too:
            self.job = None
        self.log.lose()
        self._publish()

    async def befall(self, accident: Accident) -> None:
        """Let an accident happen."""
        if accident in (Accident.LOSE_NODE, Accident.FIND_NODE):
            self._set_node(answers=accident is Accident.FIND_NODE)
        elif accident is Accident.DEADLINE:
            self.halt()
        elif accident is Accident.VANISH:
            self.vanish(job_too=True)
        else:
            if accident in _DISRUPTIONS:
                self._change_pod(disruption=_DISRUPTIONS[accident])
            await self.remove(job_too=accident is Accident.DELETE_JOB)

    def _set_node(self, *, answers: bool) -> None:
        if answers:
            self._node_answers.set()
        else:
            self._node_answers.clear()
        self.log.set_reachable(answers)
        self._change_pod(node_ready=answers)
        self._publish()

    async def _start(self) -> None:
        script = self.script
        if script.start_error is not None:
            message = script.start_error
            self.log.begin(self._clock())
            self.log.end(self._clock())
            await self._end(Terminated(exit_code=START_ERROR, reason="StartError", message=message))
            return
        started = self._clock()
        self.log.begin(started)
        self._change_pod(container=Running(started_at=started))
        self._publish()
        code = await self._run()
        # A node that does not answer neither stops anything nor tells of an end.
        await self._node_answers.wait()
        finished = self._clock()
        self.log.end(finished)
        await self._end(self._terminated(code, started, finished))

    async def _run(self) -> int:
        asked = await self._stopped_within(self.script.runs)
        if self._forced_code is not None:
            return self._forced_code
        if not asked:
            return self.script.exit_code
        await self._node_answers.wait()
        if not self.script.ignores_term:
            return self.script.code_on_term
        await asyncio.sleep(self._grace)
        return KILLED

    def _terminated(self, code: int, started: datetime, finished: datetime) -> Terminated:
        return Terminated(
            exit_code=code,
            signal=code - FIRST_SIGNAL_CODE if code > FIRST_SIGNAL_CODE else None,
            reason=self.script.reason or ("Completed" if code == 0 else "Error"),
            message=self.script.result,
            started_at=started,
            finished_at=finished,
        )

    async def _end(self, end: Terminated) -> None:
        over_at_once = self.script.over_after == 0
        self._change_pod(container=end, over=over_at_once, reason=self._pod_reason())
        self._publish()
        if not over_at_once:
            await self._stopped_within(self.script.over_after)
            self._end_pod()

    def _end_pod(self) -> None:
        self._change_pod(over=True, reason=self._pod_reason())
        self._publish()

    def _pod_reason(self) -> str | None:
        return DEADLINE if self._halted else None

    def _show_pod(self) -> None:
        self.pod = PodSeen(
            name=f"{self.ref.name}-pod",
            uid=f"{self.ref.uid}-pod",
            over=False,
            held=True,
        )
        self._publish()

    def _place(self) -> None:
        unschedulable = self.script.unschedulable
        self._change_pod(
            held=False,
            node=None if unschedulable else NODE,
            scheduled=unschedulable is None,
            unschedulable=unschedulable,
            container=self.script.waiting if unschedulable is None else Waiting(),
        )
        self._publish()
        self._freed.set()

    def _change_pod(self, **changes: object) -> None:
        if self.pod is not None:
            self.pod = msgspec.structs.replace(self.pod, **changes)

    async def _held(self) -> bool:
        """Wait until it is released; true if it was stopped before."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._stop, self._freed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return self._stop.is_set()

    async def _stopped_within(self, seconds: float | None) -> bool:
        """Wait so long (null: for ever) for the wish to end; whether it came."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True
