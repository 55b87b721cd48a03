"""What to do next about one attempt: its record and what the cluster shows in, one step out. Pure and level-triggered:
the same question asked again gives the same answer, so a restart, a lost event or a repeated one changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from spark_jobs.cluster.base import Observation, PodSeen, Running, Terminated
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord, Phase, StopCause
from spark_jobs.domain.job import Activity
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.spec import limit_seconds
from spark_jobs.engine import stopping, verdict, waiting
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.engine.steps import Look, Memo, Note, Over, Release, Started, Step, Stop, Wait, earliest, seconds

_WHOLE_SECOND = seconds(1)
_MISSED_START = seconds(5)  # the cluster's times are whole seconds, and a watch is a little late


def decide(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """The next step for one attempt."""
    match record.phase:
        case Phase.CLAIMED:
            return _claimed(record, seen, memo, now, rules)
        case Phase.CREATED | Phase.RUNNING | Phase.STOPPING:
            return _created(record, seen, memo, now, rules)
        case Phase.OVER:
            return stopping.clean(record, seen, memo, now, rules)
        case Phase.CLOSED:
            return Wait()


def gone(record: AttemptRecord, seen: Observation, memo: Memo) -> bool:
    """Whether nothing of an attempt is shown that could still run, or bring a pod. A second pod is none: it stays held."""
    if seen.pod is not None:
        return False
    had_pod = memo.pod_seen or record.pod is not None
    return seen.job is None or had_pod or seen.job.complete or seen.job.failed is not None


def job_may_say_why(record: AttemptRecord, seen: Observation) -> bool:
    """Whether a pod's end is not known, and its Job is still there and has not said yet why the pod is gone."""
    if record.stop_cause is not None or record.outcome is not None or seen.job is None or seen.job.deleted:
        return False
    last = seen.last_pod
    ended = last is not None and (last.over or isinstance(last.container, Terminated))
    return not (ended or seen.job.complete or seen.job.failed is not None)


def _claimed(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """The dispatcher creates it; here it is only found, or stopped before that."""
    if seen.job is not None:
        return Note(AttemptChanges(phase=Phase.CREATED, uid=seen.job.uid))
    if memo.posting:
        return Wait()
    if record.stop_cause is None:
        if record.cancel_requested_at is not None:
            return Stop(cause=StopCause.CANCEL)
        return waiting.not_created(record, memo, now)
    if memo.posted_at is None:
        return Over(outcome=verdict.of_wish(record), pod=None)
    sure_at = memo.posted_at + seconds(rules.unsure)
    return Look() if now >= sure_at else Wait(sure_at)


def _created(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """Its Job exists, and its pod is not known to be over."""
    _remember(seen.pod, memo, now)
    pod = seen.pod
    if pod is not None and pod.over:
        return Over(outcome=verdict.of_pod(record, pod), pod=pod)
    ended = pod is not None and isinstance(pod.container, Terminated) and pod.deleted_at is None
    if pod is not None and ended and record.outcome is None and (own := _own_end(record, pod)) is not None:
        return own
    if record.stop_cause is not None:
        return stopping.stop(record, seen, memo, now, rules)
    if ended:
        return _others_run(record, seen, memo, now, rules)
    if record.cancel_requested_at is not None:
        return Stop(cause=StopCause.CANCEL)
    if seen.current and gone(record, seen, memo):
        return Look()
    step = _at_work(record, seen, memo, now, rules)
    lost_at = _lost_at(record, seen, memo, now, rules)
    if lost_at is None or pod is None or not isinstance(step, Wait):
        return step
    if now >= lost_at:
        return Stop(cause=StopCause.NODE_LOST, reason=Reason.NODE_LOST, message=f"node {pod.node} stopped answering")
    return Wait(earliest(lost_at, step.until))


def _at_work(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """It runs, or waits to run, and nobody wants it to end."""
    if seen.pod is not None and isinstance(seen.pod.container, Running):
        return _running(record, seen.pod, seen.pod.container, memo, now)
    if record.running_at is not None:
        return _time_limited(record, now)
    step = waiting.wait(record, seen, memo, now, rules)
    return Release(seen.pod) if seen.pod is not None and seen.pod.held and isinstance(step, Wait) else step


def _remember(pod: PodSeen | None, memo: Memo, now: datetime) -> None:
    if pod is None:
        return
    memo.pod_seen = True
    if pod.node is not None:
        memo.placed_at = memo.placed_at or now
    if pod.deleted_at is not None:
        memo.deletion_seen_at = memo.deletion_seen_at or now


def _own_end(record: AttemptRecord, pod: PodSeen) -> Note | None:
    """The main container's end, if it is the attempt's, whatever becomes of the pod."""
    ended = pod.container
    if not isinstance(ended, Terminated) or not verdict.by_itself(record, ended):
        return None
    started, finished = (cluster_time(at, record.claimed_at) for at in (ended.started_at, ended.finished_at))
    return Note(AttemptChanges(outcome=verdict.of_pod(record, pod), started_at=started, finished_at=finished))


def _others_run(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """Another container, which something in the cluster added to the pod, runs on after the main one's end: it gets a
    moment, then it is stopped, so that it holds no slot."""
    memo.main_ended_at = memo.main_ended_at or now
    alone_at = memo.main_ended_at + seconds(rules.others_grace)
    return stopping.stop(record, seen, memo, now, rules) if now >= alone_at else Wait(alone_at)


def _lost_at(
    record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings
) -> datetime | None:
    """When a node that does not answer, or does not carry out somebody else's delete, will be given up; null for one that
    is well, and while the view is not current: then nothing is known of the node."""
    pod = seen.pod
    if pod is None or pod.node is None or not seen.current:
        memo.node_lost_since = None
        return None
    memo.node_lost_since = None if pod.node_ready else memo.node_lost_since or now
    since = earliest(memo.node_lost_since, stopping.overdue_since(record, pod, memo))
    return None if since is None else since + seconds(rules.node_lost_after)


def _running(record: AttemptRecord, pod: PodSeen, running: Running, memo: Memo, now: datetime) -> Step:
    if record.running_at is None:
        return Started(
            AttemptChanges(
                phase=Phase.RUNNING,
                placed_at=record.placed_at or memo.placed_at,
                running_at=now,
                started_at=cluster_time(running.started_at, record.claimed_at) or now,
                pod=pod.name,
                node=pod.node,
                activity=Activity.RUNNING,
                reason=None,
                message=None,
            )
        )
    if record.activity is not Activity.RUNNING:
        return Note(AttemptChanges(activity=Activity.RUNNING, reason=None, message=None))
    return _time_limited(record, now)


def running_since(started_at: object, now: datetime, clock_offset: timedelta, claimed_at: datetime) -> datetime:
    """When the container's time limit began to count, by our clock: now, at the first sight of it, unless it has been
    running for a while, since nobody looked when it started. ``clock_offset`` is our clock minus the cluster's; a start
    before the claim shows that it is not known, or that the node's clock is another one: then the first sight counts."""
    if not isinstance(started_at, datetime):
        return now
    since = started_at + clock_offset
    return since if now - since > _MISSED_START and since > claimed_at - _WHOLE_SECOND else now


def cluster_time(time: datetime | None, claimed_at: datetime) -> datetime | None:
    """A time of the cluster's, which are whole seconds: what seems to have been less than one before the claim was after
    it. No job ends before it was submitted."""
    return claimed_at if time is not None and claimed_at - _WHOLE_SECOND < time < claimed_at else time


def _time_limited(record: AttemptRecord, now: datetime) -> Stop | Wait:
    """It runs, as far as is known."""
    limit = _time_limit(record)
    if limit is not None and now >= limit:
        text = f"the container ran longer than its time limit of {limit_seconds(record.spec.timeout):g} s"
        return Stop(cause=StopCause.TIME_LIMIT, reason=Reason.DEADLINE_EXCEEDED, message=text)
    return Wait(limit)


def _time_limit(record: AttemptRecord) -> datetime | None:
    limit = limit_seconds(record.spec.timeout)
    return None if limit is None or record.running_at is None else record.running_at + seconds(limit)
