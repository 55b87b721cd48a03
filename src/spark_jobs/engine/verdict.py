"""How an attempt ended, from what the cluster shows of it and what was wished. Pure.

A pod that is over without having been deleted or halted ended by itself and keeps its own result, whatever was wished
meanwhile. Otherwise the wish is the state, and the exit code is kept.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from spark_jobs.cluster.base import Observation, PodSeen, Terminated
from spark_jobs.domain.attempt import AttemptRecord, Outcome, StopCause
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.spec import grace_seconds
from spark_jobs.domain.state import Cause, JobState

_HALTED = "DeadlineExceeded"  # what the kubelet writes on a pod whose active deadline has passed: our halt, or the net

_STOPPED = (128 + 15, 128 + 9)  # by TERM and, when the grace is over, KILL

_PREEMPTED = "Preempting"  # the kubelet made room for a pod that the node can't do without
_BY_KUBELET = "TerminationByKubelet"  # it ends a pod without deleting it

# The kubelet gave a start up, as when it is stopped meanwhile: that says nothing of the program.
_CUT_SHORT = ("context canceled", "context deadline exceeded")

_DISRUPTIONS = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "DeletionByPodGC": Reason.NODE_LOST,
}

_WISHES: dict[StopCause, tuple[JobState, Cause, Reason]] = {
    StopCause.CANCEL: (JobState.CANCELLED, Cause.CANCELLED, Reason.CANCELLED),
    StopCause.TIME_LIMIT: (JobState.TIMED_OUT, Cause.TIME_LIMIT, Reason.DEADLINE_EXCEEDED),
    StopCause.START_LIMIT: (JobState.FAILED, Cause.NOT_STARTED, Reason.START_TIMEOUT),
    StopCause.CANNOT_START: (JobState.FAILED, Cause.NOT_STARTED, Reason.START_TIMEOUT),
    StopCause.NODE_LOST: (JobState.FAILED, Cause.LOST, Reason.NODE_LOST),
}


def of_pod(record: AttemptRecord, pod: PodSeen) -> Outcome:
    """The end of an attempt whose pod is over."""
    ended = pod.container if isinstance(pod.container, Terminated) else None
    if record.stop_cause is not None and (_deleted_first(record, pod, ended) or pod.reason == _HALTED):
        return of_wish(record, ended)
    if (taken := _taken_away(record, pod, ended)) is not None:
        return taken
    if ended is None:
        return _never_ran(record, pod)
    return _own_end(ended)


def by_itself(record: AttemptRecord, ended: Terminated) -> bool:
    """Whether a container that is seen to have ended, while its pod is not over, did so before the node heard of a halt. One
    may have been sent by then, since a node tells of an end up to a second late. Of what it halted it tells once the pod
    is over; should it ever do so before, a signal shows it."""
    return record.stop_cause is None or ended.exit_code not in _STOPPED


def of_wish(record: AttemptRecord, ended: Terminated | None = None) -> Outcome:
    """The end of an attempt that was stopped as wished."""
    assert record.stop_cause is not None
    state, cause, reason = _WISHES[record.stop_cause]
    return Outcome(
        state=state,
        cause=cause,
        reason=record.stop_reason or reason,
        message=record.stop_message,
        exit_code=ended.exit_code if ended else None,
        result=_result(ended),
    )


def vanished(record: AttemptRecord, seen: Observation, *, deletion_seen: bool) -> Outcome:
    """The end of an attempt whose pod is gone, by what is left of it, and by what it was like when it was deleted."""
    last = seen.last_pod
    if last is not None and (last.over or isinstance(last.container, Terminated)):
        return of_pod(record, last)
    if record.stop_cause is not None:
        return of_wish(record)
    says = seen.job.failed if seen.job else None
    if says == _HALTED:  # the Job's own limit, the net below ours, took the pod away
        return _net(record, "the job's pod was deleted by Kubernetes when the net below Spark's own limits was reached")
    if last is not None and last.disruption is not None:
        return _disrupted(last, None)
    if deletion_seen or last is not None:
        return _failed(Reason.DELETED_EXTERNALLY, "the attempt's pod was deleted by somebody else", cause=Cause.LOST)
    text = "the attempt's pod is gone, so how it ended can't be known"
    if seen.job is None:
        text = "the attempt's Kubernetes Job and pod are gone, so how it ended can't be known"
    elif says is not None or seen.job.complete:
        text += f"; its Kubernetes Job says {'Complete' if says is None else f'Failed ({says})'}"
    if seen.foreign:
        text += "; an object that is not Spark's has its name now"
    return _failed(Reason.LOST, text, cause=Cause.LOST)


def unconfirmed(record: AttemptRecord, pod: PodSeen | None) -> Outcome:
    """The end of an attempt on a node that never said that the container is over."""
    node = pod.node if pod else record.node
    text = f"node {node} never confirmed that the container was stopped; it may still run there"
    if record.stop_cause is StopCause.NODE_LOST:
        text = f"node {node} stopped answering; the container may still run there"
    return msgspec.structs.replace(_failed(Reason.NODE_LOST, text, cause=Cause.LOST), may_still_run=True)


def refused(reason: str, message: str) -> Outcome:
    """The end of an attempt that the cluster would not create."""
    return Outcome(state=JobState.FAILED, cause=Cause.NOT_STARTED, reason=reason, message=message)


def _deleted_first(record: AttemptRecord, pod: PodSeen, ended: Terminated | None) -> bool:
    """Whether the pod was deleted before its container ended. Where it was not seen which came first, times have to tell:
    in whole seconds, one by the API server's clock, the other by the node's."""
    if pod.deleted_at is None:
        return False
    if pod.deleted_alive or ended is None or ended.finished_at is None:
        return True
    # At a container's end the kubelet deletes its pod once more, with no grace, which moves the time of the deletion to
    # now: then the grace that the pod began with is what bounds it.
    grace = pod.deletion_grace or grace_seconds(record.spec)
    return ended.finished_at >= pod.deleted_at - timedelta(seconds=grace)


def _net(record: AttemptRecord, message: str | None, ended: Terminated | None = None) -> Outcome:
    """Kubernetes' limits below ours were reached, since nobody was there to enforce ours."""
    if ended is None and record.running_at is None:
        text = "the container had not started when the net below Spark's own limits was reached"
        return _failed(Reason.START_TIMEOUT, text, cause=Cause.NOT_STARTED)
    return Outcome(
        state=JobState.TIMED_OUT,
        cause=Cause.TIME_LIMIT,
        reason=Reason.DEADLINE_EXCEEDED,
        message=message,
        exit_code=ended.exit_code if ended else None,
        result=_result(ended),
    )


def _taken_away(record: AttemptRecord, pod: PodSeen, ended: Terminated | None) -> Outcome | None:
    """The cluster or somebody else ended it: whatever its exit code says, it did not end by itself."""
    code = ended.exit_code if ended else None
    if pod.reason == _HALTED:
        return _net(record, pod.message, ended)
    if pod.reason == "Evicted":
        return _failed(Reason.EVICTED, pod.message, code, cause=Cause.LOST)
    if pod.reason == _PREEMPTED:
        return _failed(Reason.PREEMPTED, pod.message, code, cause=Cause.LOST)
    if pod.reason in ("NodeLost", "Terminated", "NodeShutdown"):
        return _failed(Reason.NODE_LOST, pod.message, code, cause=Cause.LOST)
    if not _deleted_first(record, pod, ended) and pod.disruption != _BY_KUBELET:
        return None
    if pod.disruption is not None:
        return _disrupted(pod, code)
    return _failed(Reason.DELETED_EXTERNALLY, "the pod was deleted by somebody else", code, cause=Cause.LOST)


def _disrupted(pod: PodSeen, code: int | None) -> Outcome:
    reason = _DISRUPTIONS.get(pod.disruption or "", Reason.EVICTED)
    return _failed(reason, pod.message or f"the pod was disrupted: {pod.disruption}", code, cause=Cause.LOST)


def _never_ran(record: AttemptRecord, pod: PodSeen) -> Outcome:
    if record.running_at is not None:
        return _failed(Reason.LOST, pod.message or "the node no longer knows how the container ended", cause=Cause.LOST)
    if pod.init_failed is not None:
        return _failed(Reason.INIT_CONTAINER_FAILED, pod.init_failed, cause=Cause.NOT_STARTED)
    message = pod.message or "no container ran"
    if pod.reason == _PREEMPTED:
        return _failed(Reason.PREEMPTED, message, cause=Cause.NOT_STARTED)
    word = f"{pod.reason}: " if pod.reason else ""
    return _failed(Reason.NODE_REFUSED, word + message, cause=Cause.NOT_STARTED)


def _own_end(ended: Terminated) -> Outcome:
    if ended.reason in ("StartError", "ContainerCannotRun"):
        interrupted = (ended.message or "").endswith(_CUT_SHORT)
        reason = Reason.START_INTERRUPTED if interrupted else Reason.START_ERROR
        return _failed(reason, ended.message, ended.exit_code)
    if ended.exit_code == 0:
        return Outcome(state=JobState.SUCCEEDED, cause=Cause.CONTAINER_ENDED, exit_code=0, result=_result(ended))
    result = _result(ended)
    if ended.reason == "OOMKilled":
        text = "the container used more memory than its limit and was killed"
        return _failed(Reason.OOM_KILLED, text, ended.exit_code, result=result)
    if ended.signal:
        text = f"the program was killed by signal {ended.signal}, or ended with exit code {ended.exit_code} by itself"
        return _failed(Reason.SIGNALLED, text, ended.exit_code, result=result)
    return _failed(
        Reason.NON_ZERO_EXIT, f"the program ended with exit code {ended.exit_code}", ended.exit_code, result=result
    )


def _failed(
    reason: Reason,
    message: str | None,
    exit_code: int | None = None,
    *,
    cause: Cause = Cause.CONTAINER_ENDED,
    result: str | None = None,
) -> Outcome:
    return Outcome(
        state=JobState.FAILED, cause=cause, reason=reason, message=message, exit_code=exit_code, result=result
    )


def _result(ended: Terminated | None) -> str | None:
    if ended is None or ended.reason in ("StartError", "ContainerCannotRun"):
        return None
    return ended.message or None
