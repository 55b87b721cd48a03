"""An attempt that is to end, or whose container has: the way to a free slot and a clean cluster. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from spark_jobs.cluster.base import Observation, PodSeen, Running, Terminated, Waiting
from spark_jobs.domain.attempt import AttemptRecord, StopCause
from spark_jobs.domain.job import LogState
from spark_jobs.domain.schedule import next_attempt_at
from spark_jobs.domain.spec import grace_seconds
from spark_jobs.domain.state import JobState
from spark_jobs.engine import verdict
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.engine.steps import ConfirmGone, Delete, Finish, Halt, Memo, Over, Step, Wait, earliest, seconds

_RESEND = seconds(10)


def stop(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """A wish is recorded, or the main container has ended, and the pod is not over yet: send it, again if need be, until
    the cluster shows the end. A node that does not answer never shows it."""
    lost_at = _lost_at(record, seen, memo, rules)
    if lost_at is not None and now >= lost_at and (given_up := _give_up(record, seen.pod, lost_at, now, rules)):
        return given_up
    step = _send(record, seen, memo, now, rules)
    return Wait(earliest(step.until, _next_look(lost_at, now, rules))) if isinstance(step, Wait) else step


def _send(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """A container that runs is halted, so that pod and log stay; what does not heed that, or does not run, is deleted."""
    pod = seen.pod
    if pod is None and not seen.current:
        return Wait()  # out of sight, as after a restart: deleted unseen, a container that runs would lose its log
    if pod is not None and isinstance(pod.container, Running | Terminated) and pod.deleted_at is None:
        if memo.halted_at is None:
            return Halt(pod)
        patience = seconds(grace_seconds(record.spec) + rules.halt_slack)
        if now < memo.halted_at + patience:
            return Wait(memo.halted_at + patience)
    return _delete(seen, memo, now, rules, over=False, idle=pod if _may_have_started(record, pod) else None)


def _may_have_started(record: AttemptRecord, pod: PodSeen | None) -> bool:
    """Whether the container of a pod that shows none may run all the same by now."""
    if pod is None or pod.deleted_at is not None or not isinstance(pod.container, Waiting):
        return False
    return record.released is not None or not pod.held


def clean(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """The slot is free: wait for the log, give the job its state, then clean up."""
    assert record.outcome is not None
    assert record.over_at is not None
    if not record.state.is_terminal:
        grace_over = memo.log_awaited_until or record.over_at + seconds(rules.log_grace)
        settled = record.log_state is not LogState.COLLECTING
        return Finish(record.outcome) if settled or now >= grace_over else Wait(grace_over)
    if record.log_state is LogState.COLLECTING:
        return Wait()
    kept = rules.keep_objects if record.outcome.state is JobState.SUCCEEDED else rules.keep_failed_objects
    keep_until = record.over_at + seconds(kept)
    if now < keep_until:
        return Wait(keep_until)
    if record.uid is None:
        return ConfirmGone()
    return _delete(seen, memo, now, rules, over=True)


def _delete(
    seen: Observation, memo: Memo, now: datetime, rules: EngineSettings, *, over: bool, idle: PodSeen | None = None
) -> Step:
    """Delete until all is seen to be gone: the Job, and while something may run its pod, too."""
    orphan = seen.job is None and seen.pod is not None and seen.pod.deleted_at is None and not over
    unheard = orphan or (seen.job is not None and not seen.job.deleted)
    if memo.deleted_at is None or (unheard and now >= memo.deleted_at + _RESEND):
        return Delete(over=over, idle=idle)
    if seen.job is not None or not seen.current or (seen.pod is not None and not over):
        memo.job_gone_at = None
        return Wait(memo.deleted_at + _RESEND if unheard else None)
    # A pod may still appear for a moment after its Job is gone, so the last look comes a little later.
    memo.job_gone_at = memo.job_gone_at or now
    sure_at = memo.job_gone_at + seconds(rules.gone_pause)
    return ConfirmGone() if now >= sure_at else Wait(sure_at)


def overdue_since(record: AttemptRecord, pod: PodSeen, memo: Memo) -> datetime | None:
    """When a pod that is being deleted has used up its grace, by our clock; null for one that is not."""
    if pod.deleted_at is None or memo.deletion_seen_at is None:
        return None
    grace = grace_seconds(record.spec) if pod.deletion_grace is None else pod.deletion_grace
    return memo.deletion_seen_at + seconds(grace)


def _lost_at(record: AttemptRecord, seen: Observation, memo: Memo, rules: EngineSettings) -> datetime | None:
    """When the silence of the node counts as its loss; null while nothing is to be heard from it, or by us."""
    if seen.pod is None or not seen.current:
        return None
    if record.stop_cause is StopCause.NODE_LOST:
        return record.stop_at
    since = overdue_since(record, seen.pod, memo)
    return None if since is None else since + seconds(rules.node_lost_after)


def _next_look(lost_at: datetime | None, now: datetime, rules: EngineSettings) -> datetime | None:
    if lost_at is None or now < lost_at:
        return lost_at
    return lost_at + seconds(rules.lost_slot_hold)


def _give_up(
    record: AttemptRecord, pod: PodSeen | None, lost_at: datetime, now: datetime, rules: EngineSettings
) -> Step | None:
    """What follows from a lost node: the job fails at once, its slot is held for longer, but not for ever.

    A job that would have another attempt waits for the end of this one meanwhile: then it can still get it.
    """
    outcome = verdict.unconfirmed(record, pod)
    if now >= lost_at + seconds(rules.lost_slot_hold):
        return Over(outcome=outcome, pod=pod)
    again = next_attempt_at(record, msgspec.structs.replace(outcome, may_still_run=False), now, jitter=0.0)
    return None if record.state.is_terminal or again is not None else Finish(outcome)
