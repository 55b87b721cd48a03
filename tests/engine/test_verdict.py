"""How an attempt ended, from what is shown and what was wished."""

from __future__ import annotations

import msgspec
import pytest

from spark_jobs.cluster.base import JobSeen, Observation, PodSeen, Running, Terminated
from spark_jobs.domain.attempt import AttemptRecord, Phase, StopCause
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.state import JobState
from spark_jobs.engine import verdict
from tests.engine.records import after, ended, pod, record

CUT_SHORT = 'failed to start containerd task "main": context canceled'


def judge(of: AttemptRecord, seen: PodSeen) -> tuple[JobState, str | None, int | None]:
    outcome = verdict.of_pod(of, seen)
    return outcome.state, outcome.reason, outcome.exit_code


@pytest.mark.parametrize(
    ("container", "state", "reason"),
    [
        (ended(0), JobState.SUCCEEDED, None),
        (ended(7), JobState.FAILED, Reason.NON_ZERO_EXIT),
        (ended(137, signal=9), JobState.FAILED, Reason.SIGNALLED),
        (ended(255), JobState.FAILED, Reason.NON_ZERO_EXIT),
        (ended(137, reason="OOMKilled"), JobState.FAILED, Reason.OOM_KILLED),
        (ended(128, reason="StartError", message="no such file"), JobState.FAILED, Reason.START_ERROR),
        (ended(128, reason="StartError", message=CUT_SHORT), JobState.FAILED, Reason.START_INTERRUPTED),
    ],
)
def test_a_container_that_ended_by_itself_keeps_its_own_result(
    container: Terminated, state: JobState, reason: Reason | None
) -> None:
    assert judge(record(Phase.RUNNING), pod(container, over=True)) == (state, reason, container.exit_code)


def test_what_the_container_left_as_its_result_is_kept_for_any_exit_code() -> None:
    assert verdict.of_pod(record(), pod(ended(0, message="42"), over=True)).result == "42"
    assert verdict.of_pod(record(), pod(ended(3, message="why"), over=True)).result == "why"
    assert verdict.of_pod(record(), pod(ended(128, reason="StartError", message="x"), over=True)).result is None


@pytest.mark.parametrize(
    ("cause", "state", "reason"),
    [
        (StopCause.CANCEL, JobState.CANCELLED, Reason.CANCELLED),
        (StopCause.TIME_LIMIT, JobState.TIMED_OUT, Reason.DEADLINE_EXCEEDED),
    ],
)
def test_a_halted_container_ends_as_wished_and_keeps_its_exit_code(
    cause: StopCause, state: JobState, reason: Reason
) -> None:
    wished = record(Phase.STOPPING, stop_cause=cause, running_at=after(2))
    halted = pod(ended(0), over=True, reason="DeadlineExceeded")
    assert judge(wished, halted) == (state, reason, 0)


def test_an_end_of_its_own_wins_over_a_wish_recorded_meanwhile() -> None:
    wished = record(Phase.STOPPING, stop_cause=StopCause.CANCEL, running_at=after(2))
    assert judge(wished, pod(ended(3), over=True)) == (JobState.FAILED, Reason.NON_ZERO_EXIT, 3)


def test_a_pod_deleted_after_its_container_had_ended_keeps_its_own_result() -> None:
    wished = record(Phase.STOPPING, stop_cause=StopCause.CANCEL, running_at=after(2))
    late = pod(ended(0), over=True, deleted_at=after(20 + 30 + 1))
    assert judge(wished, late) == (JobState.SUCCEEDED, None, 0)


@pytest.mark.parametrize(
    ("disruption", "reason"),
    [
        ("EvictionByEvictionAPI", Reason.EVICTED),
        ("PreemptionByScheduler", Reason.PREEMPTED),
        ("DeletionByPodGC", Reason.NODE_LOST),
        (None, Reason.DELETED_EXTERNALLY),
    ],
)
def test_a_pod_that_was_taken_away_failed_even_if_it_exits_with_0(disruption: str | None, reason: Reason) -> None:
    taken = pod(ended(0), over=True, deleted_at=after(45), disruption=disruption)
    assert judge(record(Phase.RUNNING, running_at=after(2)), taken) == (JobState.FAILED, reason, 0)


def test_an_eviction_by_the_kubelet_shows_no_deletion() -> None:
    evicted = pod(ended(137), over=True, reason="Evicted", message="low on memory")
    outcome = verdict.of_pod(record(Phase.RUNNING), evicted)
    assert (outcome.reason, outcome.message, outcome.exit_code) == (Reason.EVICTED, "low on memory", 137)


def test_a_pod_that_the_kubelet_ends_for_the_nodes_sake_did_not_end_by_itself() -> None:
    runs = record(Phase.RUNNING, running_at=after(2))
    preempted = pod(ended(137, signal=9), over=True, reason="Preempting", disruption="TerminationByKubelet")
    assert judge(runs, preempted) == (JobState.FAILED, Reason.PREEMPTED, 137)
    shut_down = pod(ended(0), over=True, reason="Terminated", disruption="TerminationByKubelet")
    assert judge(runs, shut_down) == (JobState.FAILED, Reason.NODE_LOST, 0)
    taken = pod(ended(0), over=True, disruption="TerminationByKubelet")
    assert judge(runs, taken) == (JobState.FAILED, Reason.EVICTED, 0)


def test_the_net_below_our_own_limits_is_a_time_out_too() -> None:
    assert judge(record(Phase.RUNNING), pod(ended(137), over=True, reason="DeadlineExceeded"))[0] is JobState.TIMED_OUT


def test_a_pod_that_the_node_refused_never_ran() -> None:
    seen = PodSeen(name="p", uid="u", over=True, reason="OutOfcpu", message="Node didn't have enough cpu")
    assert judge(record(), seen) == (JobState.FAILED, Reason.NODE_REFUSED, None)


def left(job: JobSeen | None = None, **more: object) -> Observation:
    return msgspec.structs.replace(Observation(current=True, job=job), **more)


def test_vanished_objects_are_lost_unless_the_deletion_was_seen_or_wished() -> None:
    assert verdict.vanished(record(), left(), deletion_seen=False).reason == Reason.LOST
    assert verdict.vanished(record(), left(), deletion_seen=True).reason == Reason.DELETED_EXTERNALLY
    wished = record(Phase.STOPPING, stop_cause=StopCause.CANCEL)
    assert verdict.vanished(wished, left(), deletion_seen=False).state is JobState.CANCELLED


def test_a_pod_that_came_to_its_end_between_two_looks_is_judged_by_its_last_state() -> None:
    """Kubernetes sends what a deleted object was like."""
    runs = record(Phase.RUNNING, running_at=after(2))
    evicted = pod(ended(143), over=True, deleted_at=after(45), disruption="EvictionByEvictionAPI")
    outcome = verdict.vanished(runs, left(last_pod=evicted), deletion_seen=False)
    assert (outcome.reason, outcome.exit_code) == (Reason.EVICTED, 143)
    by_itself = verdict.vanished(runs, left(last_pod=pod(ended(0), over=True)), deletion_seen=False)
    assert (by_itself.state, by_itself.exit_code) == (JobState.SUCCEEDED, 0)
    forced = verdict.vanished(runs, left(last_pod=pod(Running())), deletion_seen=False)
    assert (forced.reason, forced.exit_code) == (Reason.DELETED_EXTERNALLY, None)
    drained = pod(Running(), disruption="EvictionByEvictionAPI", deleted_at=after(45))
    assert verdict.vanished(runs, left(last_pod=drained), deletion_seen=True).reason == Reason.EVICTED


def test_what_is_left_of_a_vanished_attempt_is_said() -> None:
    complete = verdict.vanished(record(), left(JobSeen(uid="u1", complete=True)), deletion_seen=False)
    assert (complete.reason, "says Complete" in str(complete.message)) == (Reason.LOST, True)
    failed = verdict.vanished(record(), left(JobSeen(uid="u1", failed="BackoffLimitExceeded")), deletion_seen=False)
    assert "BackoffLimitExceeded" in str(failed.message)
    taken = verdict.vanished(record(), left(foreign=True), deletion_seen=False)
    assert "not Spark's" in str(taken.message)


def test_kubernetes_own_limit_is_a_time_out_where_the_container_ran_and_a_start_limit_where_it_did_not() -> None:
    by_net = left(JobSeen(uid="u1", failed="DeadlineExceeded"))
    ran = verdict.vanished(record(running_at=after(2)), by_net, deletion_seen=True)
    assert (ran.state, ran.reason) == (JobState.TIMED_OUT, Reason.DEADLINE_EXCEEDED)
    never = verdict.vanished(record(), by_net, deletion_seen=True)
    assert (never.state, never.reason) == (JobState.FAILED, Reason.START_TIMEOUT)
    waited = PodSeen(name="p", uid="u", over=True, reason="DeadlineExceeded")
    assert judge(record(), waited) == (JobState.FAILED, Reason.START_TIMEOUT, None)


@pytest.mark.parametrize("code", range(256))
def test_every_exit_code_is_kept(code: int) -> None:
    outcome = verdict.of_pod(record(), pod(ended(code), over=True))
    assert outcome.exit_code == code
    assert outcome.state is (JobState.SUCCEEDED if code == 0 else JobState.FAILED)


def test_a_delete_with_a_grace_of_its_own_is_dated_by_that() -> None:
    """`kubectl delete --grace-period=5` right after the end: the deletionTimestamp is 5 s later, not 30."""
    late = pod(ended(0), over=True, deleted_at=after(21 + 5), deletion_grace=5.0)
    assert judge(record(Phase.RUNNING, running_at=after(2)), late) == (JobState.SUCCEEDED, None, 0)


def test_a_deletion_that_the_kubelet_has_confirmed_is_still_what_ended_the_container() -> None:
    """With that, the time of the deletion is that of the container's end or later, and the grace is 0."""
    confirmed = pod(ended(143), over=True, deleted_at=after(21), deletion_grace=0.0)
    assert verdict.of_pod(record(Phase.RUNNING), confirmed).reason == Reason.DELETED_EXTERNALLY
    limited = record(Phase.STOPPING, stop_cause=StopCause.TIME_LIMIT)
    assert verdict.of_pod(limited, confirmed).state is JobState.TIMED_OUT
    later = pod(ended(0), over=True, deleted_at=after(20 + 31), deletion_grace=0.0)
    assert verdict.of_pod(record(Phase.RUNNING), later).state is JobState.SUCCEEDED


def test_a_container_before_the_main_one_that_fails_is_named() -> None:
    seen = PodSeen(name="p", uid="u", over=True, init_failed="init container fetch ended with exit code 3")
    outcome = verdict.of_pod(record(), seen)
    assert (outcome.reason, outcome.exit_code) == (Reason.INIT_CONTAINER_FAILED, None)
    assert "fetch" in str(outcome.message)


def test_a_start_limit_ends_with_the_reason_it_waited_for() -> None:
    wished = record(Phase.STOPPING, stop_cause=StopCause.START_LIMIT, stop_reason="Unschedulable", stop_message="0/1")
    outcome = verdict.of_wish(wished)
    assert (outcome.state, outcome.reason, outcome.message) == (JobState.FAILED, "Unschedulable", "0/1")


def test_what_was_seen_first_counts_for_more_than_clocks_that_differ() -> None:
    """The node's clock is minutes behind: by it, the container ended long before its pod was deleted."""
    behind = pod(ended(0, finished_at=after(-400)), over=True, deleted_at=after(30))
    assert verdict.of_pod(record(Phase.RUNNING), behind).state is JobState.SUCCEEDED
    seen_alive = msgspec.structs.replace(behind, deleted_alive=True)
    assert verdict.of_pod(record(Phase.RUNNING), seen_alive).reason == Reason.DELETED_EXTERNALLY
    wished = record(Phase.STOPPING, stop_cause=StopCause.CANCEL)
    assert verdict.of_pod(wished, seen_alive).state is JobState.CANCELLED
