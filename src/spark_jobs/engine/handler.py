"""Carries out the steps that :mod:`~spark_jobs.engine.tracker` decides, for one attempt at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from spark_jobs import journal
from spark_jobs.cluster.base import Cluster, Observation, PodSeen, Running, Terminated
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord, Outcome, Phase, Transition
from spark_jobs.domain.errors import ClusterForbidden
from spark_jobs.domain.job import Activity, LogState
from spark_jobs.domain.schedule import next_attempt_at
from spark_jobs.domain.state import Cause, JobState
from spark_jobs.engine import steps, tracker, verdict
from spark_jobs.engine.attempts import Attempts, ref_of
from spark_jobs.engine.collector import Collector
from spark_jobs.engine.ending import awaited_until
from spark_jobs.engine.settings import EngineSettings

log = journal.logger(__name__)

_STEPS_AT_ONCE = 16
_ASK_AGAIN, _ASK_FOR_LOST = 1.0, 30.0  # seconds
_JOBS_WORD = timedelta(seconds=5)


class Handler:
    """Looks at an attempt, and does what is next, until there is nothing to do but wait."""

    def __init__(
        self,
        attempts: Attempts,
        cluster: Cluster,
        collector: Collector,
        rules: EngineSettings,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._attempts = attempts
        self._cluster = cluster
        self._collector = collector
        self._rules = rules
        self._clock = clock

    async def handle(self, claim: str) -> float | None:
        """Do what is due for this attempt; seconds until it should be looked at again, or null."""
        for _ in range(_STEPS_AT_ONCE):
            record = await self._attempts.get(claim)
            if record is None:
                return None
            seen = self._cluster.observe(ref_of(record))
            self._keep_log(record, seen)
            step = tracker.decide(record, seen, self._attempts.memo(claim), self._clock(), self._rules)
            if isinstance(step, steps.Wait):
                return None if step.until is None else (step.until - self._clock()).total_seconds()
            if (delay := await self._perform(record, step)) is not None:
                return delay
        return 0.0

    def _keep_log(self, record: AttemptRecord, seen: Observation) -> None:
        """The log is followed from the moment the container is seen, whatever else happens to the attempt."""
        if record.log_state is not LogState.COLLECTING:
            return
        if seen.pod is not None and isinstance(seen.pod.container, Running | Terminated):
            self._collector.watch(record, seen.pod)
        elif record.phase is Phase.OVER and seen.current and seen.pod is None:
            lost = record.outcome is not None and record.outcome.cause is Cause.LOST
            self._unread(record, ran=record.running_at is not None or record.started_at is not None or lost)

    def _unread(self, record: AttemptRecord, *, ran: bool) -> None:
        """There is no pod any more to read the log from. ``ran``: its container did, or may have while nobody looked."""
        if ran:
            self._collector.give_up(record, "the pod is gone")
        else:
            self._collector.nothing_to_read(record)

    async def _perform(self, record: AttemptRecord, step: steps.Step) -> float | None:  # noqa: C901 - one arm a step
        """Carry out one step; a number of seconds to wait where going on at once makes no sense."""
        match step:
            case steps.Note(changes):
                await self._attempts.note(record, changes)
            case steps.Started(changes):
                await self._started(record, changes)
            case steps.Stop():
                await self._wish(record, step)
            case steps.Release(pod):
                return await self._release(record, pod)
            case steps.Halt(pod):
                await self._halt(record, pod)
            case steps.Delete(over, idle):
                if await self._cluster.delete(ref_of(record), over=over, idle=idle):
                    self._attempts.memo(record.claim).deleted_at = self._clock()
            case steps.Look():
                return await self._look(record)
            case steps.Over():
                await self._end(record, step)
            case steps.Finish(outcome):
                await self._finish(record, outcome)
            case steps.ConfirmGone():
                return await self._confirm_gone(record)
            case steps.Wait():
                pass
        return None

    async def _started(self, record: AttemptRecord, changes: AttemptChanges) -> None:
        now = self._clock()
        since = tracker.running_since(changes.started_at, now, self._cluster.clock_offset(), record.claimed_at)
        changes = msgspec.structs.replace(changes, running_at=since)
        await self._attempts.apply(
            Transition(
                job_id=record.job_id,
                attempt=record.attempt,
                cause=Cause.CONTAINER_RUNNING,
                target=JobState.RUNNING,
                at=now,
                changes=changes,
            )
        )

    async def _wish(self, record: AttemptRecord, stop: steps.Stop) -> None:
        """Committed before anything is sent: a crash in between changes nothing (invariant 10)."""
        phase = record.phase if record.phase is Phase.CLAIMED else Phase.STOPPING
        changes = AttemptChanges(
            phase=phase,
            stop_cause=stop.cause,
            stop_reason=stop.reason,
            stop_message=stop.message,
            stop_at=self._clock(),
            activity=Activity.STOPPING,
            reason=stop.reason,
            message=stop.message,
        )
        await self._attempts.note(record, changes)

    async def _release(self, record: AttemptRecord, pod: PodSeen) -> float | None:
        """Committed before it is sent: whatever happens in between, no other pod of this attempt is ever released. With its
        name, by which it is found should it lose its labels."""
        memo = self._attempts.memo(record.claim)
        if record.released is None:
            record = await self._attempts.note(record, AttemptChanges(released=pod.uid, pod=pod.name))
        try:
            released = await self._cluster.release(ref_of(record), pod)
        except ClusterForbidden as error:
            memo.held_back = error.message
            raise
        memo.held_back = None
        return None if released else _ASK_AGAIN

    async def _halt(self, record: AttemptRecord, pod: PodSeen) -> None:
        memo = self._attempts.memo(record.claim)
        try:
            halted = await self._cluster.halt(ref_of(record), pod)
        except ClusterForbidden as error:
            log.warning("may not halt a pod, deleting its job instead", problem=error.message)
            halted = False
        if not halted:
            await self._cluster.delete(ref_of(record), over=False)
            memo.deleted_at = self._clock()
        memo.halted_at = self._clock()

    async def _look(self, record: AttemptRecord) -> float | None:
        """The watch shows nothing of it: believe it only when the cluster itself says so."""
        seen = await self._cluster.look(ref_of(record))
        if seen.job is not None and record.uid is None:
            await self._attempts.note(record, AttemptChanges(phase=Phase.CREATED, uid=seen.job.uid))
            return None
        memo = self._attempts.memo(record.claim)
        if not tracker.gone(record, seen, memo):
            return _ASK_AGAIN
        last = self._cluster.observe(ref_of(record)).last_pod
        seen = msgspec.structs.replace(seen, last_pod=last)
        memo.pod_gone_at = memo.pod_gone_at or self._clock()
        if tracker.job_may_say_why(record, seen) and self._clock() < memo.pod_gone_at + _JOBS_WORD:
            return _ASK_AGAIN
        outcome = verdict.vanished(record, seen, deletion_seen=memo.deletion_seen_at is not None)
        await self._end(record, steps.Over(outcome=outcome, pod=last))
        return None

    async def _end(self, record: AttemptRecord, over: steps.Over) -> None:
        """Nothing of it runs any more: free the slot. The job gets its state when its log is settled.

        An outcome that is known already stays: its container had ended before, or its job has failed with a lost node.
        """
        pod = over.pod
        outcome = record.outcome or over.outcome
        ended = pod.container if pod and isinstance(pod.container, Terminated) else None
        started = record.started_at or (tracker.cluster_time(ended.started_at, record.claimed_at) if ended else None)
        finished = tracker.cluster_time(ended.finished_at, record.claimed_at) if ended else record.finished_at
        ran = ended is not None or record.running_at is not None or record.outcome is not None
        now, memo = self._clock(), self._attempts.memo(record.claim)
        memo.log_awaited_until = awaited_until(finished, now, self._cluster.clock_offset(), self._rules.log_grace)
        changes = AttemptChanges(
            phase=Phase.OVER,
            over_at=now,
            outcome=outcome,
            placed_at=record.placed_at or memo.placed_at,
            started_at=started,
            finished_at=finished,
            pod=pod.name if pod else record.pod,
            node=pod.node if pod else record.node,
            activity=Activity.COLLECTING,
        )
        await self._attempts.note(record, changes)
        if record.log_state is not LogState.COLLECTING:
            return  # settled before a restart: to read it again would only race with the delete
        if pod is None:
            self._unread(record, ran=ran or outcome.cause is Cause.LOST)
        elif ran:
            self._collector.ended(record, pod)
        else:
            self._collector.nothing_to_read(record)

    async def _finish(self, record: AttemptRecord, outcome: Outcome) -> None:
        """Give the job its state, or another attempt."""
        now = self._clock()
        again = next_attempt_at(record, outcome, now, jitter=random.random())  # noqa: S311 - spreads load, guards nothing
        done = await self._attempts.apply(
            Transition(
                job_id=record.job_id,
                attempt=record.attempt,
                cause=outcome.cause if again is None else Cause.RETRY,
                target=outcome.state if again is None else JobState.QUEUED,
                at=now,
                outcome=outcome,
                not_before=again,
            )
        )
        if again is not None and done.cancel_requested_at is not None:
            # The wish was committed between the decision and the transition: nothing runs, so it ends here.
            await self._attempts.cancel_queued(record.job_id, now)
        if outcome.may_still_run:
            self._collector.give_up(record, "the node does not answer")

    async def _confirm_gone(self, record: AttemptRecord) -> float | None:
        if record.uid is not None and not await self._cluster.gone(ref_of(record)):
            lost = record.outcome is not None and record.outcome.may_still_run
            return _ASK_FOR_LOST if lost else _ASK_AGAIN
        if record.phase is Phase.OVER:
            await self._attempts.note(record, AttemptChanges(phase=Phase.CLOSED, closed_at=self._clock()))
            self._collector.forget(record)
        else:
            await self._end(record, steps.Over(outcome=record.outcome or verdict.of_wish(record), pod=None))
        return None
