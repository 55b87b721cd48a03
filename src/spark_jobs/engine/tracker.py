"""What to do next about one attempt: its record and what the cluster shows in, one step out. Pure and level-triggered:
the same question asked again gives the same answer, so a restart, a lost event or a repeated one changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from spark_jobs.cluster.base import Observation, PodSeen, Running, Terminated, Waiting
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord, Outcome, Phase, StopCause
from spark_jobs.domain.job import Activity, LogState
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.spec import grace_seconds, limit_seconds
from spark_jobs.domain.state import JobState
from spark_jobs.engine import verdict
from spark_jobs.engine.settings import EngineSettings

_IMAGE = {Reason.ERR_IMAGE_PULL, Reason.IMAGE_PULL_BACK_OFF}
_HOPELESS = {
    Reason.INVALID_IMAGE_NAME,
    Reason.ERR_IMAGE_NEVER_PULL,
    Reason.CREATE_CONTAINER_CONFIG_ERROR,
    Reason.CREATE_CONTAINER_ERROR,
    Reason.START_ERROR,
}
_BENIGN = {"ContainerCreating", "PodInitializing", None}
_RESEND = timedelta(seconds=10)
_SHOWN_AFTER = timedelta(seconds=0.5)
_MISSED_START = timedelta(seconds=5)  # the cluster's times are whole seconds, and a watch is a little late


class Memo(msgspec.Struct, kw_only=True):
    """What this process remembers of an attempt and may forget: when it first saw a wait, when it last sent what."""

    waiting: tuple[Activity, str | None] | None = None
    waiting_since: datetime | None = None
    trouble_since: datetime | None = None
    node_lost_since: datetime | None = None
    pod_seen: bool = False
    deletion_seen: bool = False
    posted_at: datetime | None = None
    posting: bool = False
    halted_at: datetime | None = None
    deleted_at: datetime | None = None
    job_gone_at: datetime | None = None


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do; ask again at ``until``, or when something changes."""

    until: datetime | None = None


class Note(msgspec.Struct, frozen=True):
    """Write facts; the state stays."""

    changes: AttemptChanges


class Started(msgspec.Struct, frozen=True):
    """The container runs."""

    changes: AttemptChanges


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """Record the wish to stop it, before anything is sent."""

    cause: StopCause
    reason: str | None = None
    message: str | None = None


class Halt(msgspec.Struct, frozen=True):
    """Ask the running pod to end, keeping its log."""

    pod: PodSeen


class Delete(msgspec.Struct, frozen=True):
    """Delete its objects; ``over``: nothing of it runs any more."""

    over: bool


class Look(msgspec.Struct, frozen=True):
    """The watch shows nothing: ask the cluster itself, and conclude from its answer."""


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of it runs any more: the slot is free, the outcome known."""

    outcome: Outcome
    pod: PodSeen | None


class Finish(msgspec.Struct, frozen=True):
    """Its log is settled, or was waited for long enough: the job gets its state."""


class ConfirmGone(msgspec.Struct, frozen=True):
    """Deleted: see whether it is gone; then close a finished attempt, or end one that was stopped before it ran."""


Step = Wait | Note | Started | Stop | Halt | Delete | Look | Over | Finish | ConfirmGone


def decide(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """The next step for one attempt."""
    match record.phase:
        case Phase.CLAIMED:
            return _claimed(record, seen, memo, now, rules)
        case Phase.CREATED | Phase.RUNNING | Phase.STOPPING:
            return _created(record, seen, memo, now, rules)
        case Phase.OVER:
            return _over(record, seen, memo, now, rules)
        case Phase.CLOSED:
            return Wait()


def _created(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """Its Job exists, and its pod is not known to be over."""
    if seen.pod is not None:
        memo.pod_seen = True
        memo.deletion_seen = memo.deletion_seen or seen.pod.deleted_at is not None
    if seen.pod is not None and seen.pod.over:
        return Over(outcome=verdict.of_pod(record, seen.pod), pod=seen.pod)
    if record.stop_cause is not None:
        return _stopping(record, seen, memo, now, rules)
    if record.cancel_requested_at is not None:
        return Stop(cause=StopCause.CANCEL)
    had_pod = memo.pod_seen or record.pod is not None
    if seen.current and seen.pod is None and (seen.job is None or had_pod):
        return Look()
    if seen.pod is not None and isinstance(seen.pod.container, Running):
        return _running(record, seen.pod, seen.pod.container, memo, now, rules)
    if record.running_at is not None:
        return _time_limited(record, now)
    return _waiting(record, seen, memo, now, rules)


def _claimed(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """The dispatcher creates it; here it is only found, or stopped before that."""
    if seen.job is not None:
        return Note(AttemptChanges(phase=Phase.CREATED, uid=seen.job.uid))
    if memo.posting:
        return Wait()
    if record.stop_cause is None:
        return Stop(cause=StopCause.CANCEL) if record.cancel_requested_at is not None else Wait()
    if memo.posted_at is None:
        return Over(outcome=verdict.of_wish(record), pod=None)
    sure_at = memo.posted_at + timedelta(seconds=rules.unsure)
    return Look() if now >= sure_at else Wait(sure_at)


def _running(
    record: AttemptRecord, pod: PodSeen, running: Running, memo: Memo, now: datetime, rules: EngineSettings
) -> Step:
    if record.running_at is None:
        return Started(
            AttemptChanges(
                phase=Phase.RUNNING,
                running_at=now,
                started_at=running.started_at or now,
                pod=pod.name,
                node=pod.node,
                activity=Activity.RUNNING,
                reason=None,
                message=None,
            )
        )
    if record.activity is not Activity.RUNNING:
        return Note(AttemptChanges(activity=Activity.RUNNING, reason=None, message=None))
    memo.node_lost_since = None if pod.node_ready else memo.node_lost_since or now
    if memo.node_lost_since is not None:
        lost_at = memo.node_lost_since + timedelta(seconds=rules.node_lost_after)
        if now >= lost_at:
            text = f"node {pod.node} stopped answering; the container may still run there"
            return Stop(cause=StopCause.NODE_LOST, reason=Reason.NODE_LOST, message=text)
        limited = _time_limited(record, now)
        return Wait(_earliest(lost_at, limited.until)) if isinstance(limited, Wait) else limited
    return _time_limited(record, now)


def running_since(started_at: object, now: datetime, clock_offset: timedelta) -> datetime:
    """When the container's time limit began to count, by our clock: now, at the first sight of it, unless it has been
    running for a while, since nobody looked when it started. ``clock_offset`` is our clock minus the cluster's."""
    if not isinstance(started_at, datetime):
        return now
    since = started_at + clock_offset
    return since if now - since > _MISSED_START else now


def _time_limited(record: AttemptRecord, now: datetime) -> Stop | Wait:
    """It runs, as far as is known."""
    limit = _time_limit(record)
    if limit is not None and now >= limit:
        text = f"the container ran longer than its time limit of {_seconds(record.spec.timeout)}"
        return Stop(cause=StopCause.TIME_LIMIT, reason=Reason.DEADLINE_EXCEEDED, message=text)
    return Wait(limit)


def _waiting(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """Not running yet: say what it waits for, and end what waits in vain."""
    activity, reason, message = _what_for(record, seen)
    if memo.waiting != (activity, reason):
        memo.waiting, memo.waiting_since = (activity, reason), now
    trouble = reason in _IMAGE or reason in _HOPELESS
    memo.trouble_since = (memo.trouble_since or now) if trouble else None
    start_limit = _start_limit(record)
    if start_limit is not None and now >= start_limit:
        waited = limit_seconds(record.spec.start_timeout)
        text = message or f"the container did not start within {_seconds(waited)}"
        return Stop(cause=StopCause.START_LIMIT, reason=_final(reason) or Reason.START_TIMEOUT, message=text)
    give_up = None
    if memo.trouble_since is not None:
        give_up = memo.trouble_since + timedelta(seconds=rules.image_grace if reason in _IMAGE else rules.soon)
        if now >= give_up:
            return Stop(cause=StopCause.CANNOT_START, reason=_final(reason), message=message)
    assert memo.waiting_since is not None
    shown_at = memo.waiting_since + _SHOWN_AFTER
    pod, node = (seen.pod.name, seen.pod.node) if seen.pod else (record.pod, record.node)
    if (record.activity, record.reason, record.pod, record.node) != (activity, reason, pod, node):
        if now < shown_at:
            return Wait(_earliest(shown_at, start_limit, give_up))
        changes = AttemptChanges(activity=activity, reason=reason, message=message, pod=pod, node=node)
        return Note(changes)
    return Wait(_earliest(start_limit, give_up))


def _what_for(record: AttemptRecord, seen: Observation) -> tuple[Activity, str | None, str | None]:
    """What a container that does not run waits for: the activity, the reason and the cluster's words."""
    pod = seen.pod
    if pod is None and not seen.current:
        return record.activity, record.reason, record.message
    if pod is None:
        refusal = seen.refusal
        return Activity.SCHEDULING, refusal.reason if refusal else None, refusal.message if refusal else None
    if not pod.scheduled:
        reason = Reason.UNSCHEDULABLE if pod.unschedulable else None
        return Activity.SCHEDULING, reason, pod.unschedulable
    if isinstance(pod.container, Waiting) and pod.container.reason not in _BENIGN:
        return Activity.PULLING, pod.container.reason, pod.container.message
    return Activity.PULLING, None, None


def _final(reason: str | None) -> str | None:
    """A pull that fails shows two reasons in turn; the end is called by one of them."""
    return Reason.IMAGE_PULL_BACK_OFF if reason in _IMAGE else reason


def _stopping(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """A wish is recorded and the pod is not over yet: send it, again if need be, until the cluster shows the end.

    A node that does not answer never shows it; its slot is not held for ever.
    """
    if record.stop_cause is StopCause.NODE_LOST:
        return _lost_node(record, seen, now, rules)
    pod = seen.pod
    if (
        pod is not None
        and pod.deleted_at is not None
        and now >= pod.deleted_at + timedelta(seconds=rules.lost_slot_hold)
    ):
        return Over(outcome=verdict.unconfirmed(pod), pod=pod)
    if pod is not None and isinstance(pod.container, Running | Terminated) and pod.deleted_at is None:
        if memo.halted_at is None:
            return Halt(pod)
        patience = timedelta(seconds=grace_seconds(record.spec) + rules.halt_slack)
        if now < memo.halted_at + patience:
            return Wait(memo.halted_at + patience)
    if memo.deleted_at is None or (_still_there(seen) and now >= memo.deleted_at + _RESEND):
        return Delete(over=False)
    if seen.pod is not None or seen.job is not None or not seen.current:
        memo.job_gone_at = None
        return Wait(memo.deleted_at + _RESEND)
    return _confirm(memo, now, rules)


def _still_there(seen: Observation) -> bool:
    return seen.job is not None and not seen.job.deleted


def _confirm(memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """A pod may still appear for a moment after its Job is gone, so the last look comes a little later."""
    memo.job_gone_at = memo.job_gone_at or now
    sure_at = memo.job_gone_at + timedelta(seconds=rules.gone_pause)
    return ConfirmGone() if now >= sure_at else Wait(sure_at)


def _lost_node(record: AttemptRecord, seen: Observation, now: datetime, rules: EngineSettings) -> Step:
    """The job is FAILED at once; the slot stays taken until the pod object is gone, but not for ever."""
    if not record.state.is_terminal:
        return Finish()
    assert record.stop_at is not None
    held_until = record.stop_at + timedelta(seconds=rules.lost_slot_hold)
    if now >= held_until or (seen.current and seen.pod is None):
        return Over(outcome=verdict.of_wish(record), pod=seen.pod)
    return Wait(held_until)


def _over(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """The slot is free: wait for the log, give the job its state, then clean up."""
    assert record.outcome is not None
    assert record.over_at is not None
    if not record.state.is_terminal:
        grace_over = record.over_at + timedelta(seconds=rules.log_grace)
        settled = record.log_state is not LogState.COLLECTING
        return Finish() if settled or now >= grace_over else Wait(grace_over)
    if record.log_state is LogState.COLLECTING:
        return Wait()
    kept = rules.keep_objects if record.outcome.state is JobState.SUCCEEDED else rules.keep_failed_objects
    keep_until = record.over_at + timedelta(seconds=kept)
    if now < keep_until:
        return Wait(keep_until)
    if record.uid is None:
        return ConfirmGone()
    if memo.deleted_at is None or (_still_there(seen) and now >= memo.deleted_at + _RESEND):
        return Delete(over=True)
    if seen.job is not None or not seen.current:
        memo.job_gone_at = None
        return Wait(memo.deleted_at + _RESEND)
    return _confirm(memo, now, rules)


def _time_limit(record: AttemptRecord) -> datetime | None:
    seconds = limit_seconds(record.spec.timeout)
    if seconds is None or record.running_at is None:
        return None
    return record.running_at + timedelta(seconds=seconds)


def _start_limit(record: AttemptRecord) -> datetime | None:
    seconds = limit_seconds(record.spec.start_timeout)
    return None if seconds is None else record.claimed_at + timedelta(seconds=seconds)


def _earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _seconds(value: object) -> str:
    return f"{value:g} s" if isinstance(value, int | float) else str(value)
