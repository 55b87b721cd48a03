"""The next step for an attempt, for every phase."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from spark_jobs.cluster.base import JobSeen, Observation, Refusal, Running, Waiting
from spark_jobs.domain.attempt import AttemptRecord, Outcome, Phase, StopCause
from spark_jobs.domain.job import Activity, LogState
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import Cause, JobState
from spark_jobs.engine import tracker
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.engine.tracker import Memo, Step, Wait, decide
from tests.engine.records import after, ended, pod, record, shows

RULES = EngineSettings()
RUNS = pod(Running(started_at=after(1)))
CREATING = pod(Waiting(reason="ContainerCreating"))
DONE = Outcome(state=JobState.SUCCEEDED, cause=Cause.CONTAINER_ENDED, exit_code=0)


def step(of: AttemptRecord, seen: Observation, at: float = 2, memo: Memo | None = None) -> Step:
    return decide(of, seen, memo or Memo(), after(at), RULES)


def running(phase: Phase = Phase.RUNNING, **changes: object) -> AttemptRecord:
    return record(phase, running_at=after(2), activity=Activity.RUNNING, pod="pod-1", **changes)


def over(**changes: object) -> AttemptRecord:
    return record(Phase.OVER, over_at=after(20), outcome=DONE, **changes)


def test_a_claimed_attempt_is_the_dispatchers_until_its_job_is_seen() -> None:
    assert step(record(Phase.CLAIMED), shows(None, job=None)) == Wait()
    found = step(record(Phase.CLAIMED), shows(None))
    assert isinstance(found, tracker.Note)
    assert (found.changes.phase, found.changes.uid) == (Phase.CREATED, "u1")


def test_a_cancel_before_the_create_ends_without_asking_the_cluster() -> None:
    claimed = record(Phase.CLAIMED, cancel_requested_at=after(1))
    assert step(claimed, shows(None, job=None)) == tracker.Stop(cause=StopCause.CANCEL)
    stopped = record(Phase.CLAIMED, stop_cause=StopCause.CANCEL)
    assert isinstance(step(stopped, shows(None, job=None)), tracker.Over)


def test_not_found_proves_nothing_until_the_last_create_is_old() -> None:
    """Invariant 4: a create whose answer was lost may still be carried out."""
    stopped = record(Phase.CLAIMED, stop_cause=StopCause.CANCEL)
    memo = Memo(posted_at=after(0))
    assert step(stopped, shows(None, job=None), 14, memo) == Wait(after(15))
    assert step(stopped, shows(None, job=None), 15, memo) == tracker.Look()
    assert step(stopped, shows(None, job=None), 99, Memo(posting=True)) == Wait()


def test_a_running_container_starts_the_clock_of_its_time_limit() -> None:
    started = step(record(), shows(RUNS), 3)
    assert isinstance(started, tracker.Started)
    assert (started.changes.running_at, started.changes.started_at) == (after(3), after(1))
    assert step(running(), shows(RUNS), 3) == Wait(after(302))
    assert isinstance(step(running(), shows(RUNS), 302), tracker.Stop)


def test_a_view_that_is_not_current_ends_nothing() -> None:
    """Invariant 5: the absence of an object in a stale view says nothing."""
    assert step(running(), shows(None, job=None, current=False)) == Wait(after(302))
    assert step(running(), shows(None, job=None)) == tracker.Look()


def test_what_a_job_waits_for_is_shown_once_it_lasts() -> None:
    memo = Memo()
    assert step(record(), shows(CREATING), 2, memo) == Wait(after(2.5))
    noted = step(record(), shows(CREATING), 2.5, memo)
    assert isinstance(noted, tracker.Note)
    assert noted.changes.activity is Activity.PULLING


@pytest.mark.parametrize(("reason", "grace"), [("InvalidImageName", 3), ("ImagePullBackOff", 90), ("ErrImagePull", 90)])
def test_a_container_that_can_never_start_is_given_up_after_its_grace(reason: str, grace: float) -> None:
    memo, waits = Memo(), pod(Waiting(reason=reason, message="words"))
    shown = record(activity=Activity.PULLING, reason=reason, pod="pod-1", node="n1")
    assert step(shown, shows(waits), 2, memo) == Wait(after(2 + grace))
    given_up = step(shown, shows(waits), 2 + grace, memo)
    final = "InvalidImageName" if reason == "InvalidImageName" else "ImagePullBackOff"
    assert given_up == tracker.Stop(cause=StopCause.CANNOT_START, reason=final, message="words")


def test_a_pull_that_alternates_between_its_two_reasons_is_one_wait() -> None:
    memo = Memo()
    step(record(), shows(pod(Waiting(reason="ErrImagePull"))), 0, memo)
    step(record(), shows(pod(Waiting(reason="ImagePullBackOff"))), 50, memo)
    assert isinstance(step(record(), shows(pod(Waiting(reason="ErrImagePull"))), 90, memo), tracker.Stop)


def test_a_pull_that_recovers_gets_its_whole_grace_again() -> None:
    memo = Memo()
    step(record(), shows(pod(Waiting(reason="ErrImagePull"))), 0, memo)
    step(record(), shows(CREATING), 50, memo)
    again = step(record(), shows(pod(Waiting(reason="ErrImagePull"))), 100, memo)
    assert not isinstance(again, tracker.Stop)


def test_the_start_limit_ends_a_job_with_the_reason_it_waited_for() -> None:
    unplaced = pod(Waiting(), scheduled=False, unschedulable="0/1 nodes are available")
    stop = step(record(), shows(unplaced), 600)
    assert stop == tracker.Stop(cause=StopCause.START_LIMIT, reason="Unschedulable", message="0/1 nodes are available")
    refused = Observation(current=True, job=JobSeen(uid="u1"), refusal=Refusal(reason="QuotaExceeded", message="used"))
    assert step(record(), refused, 600) == tracker.Stop(
        cause=StopCause.START_LIMIT, reason="QuotaExceeded", message="used"
    )


def test_a_wish_to_stop_is_recorded_before_anything_is_sent() -> None:
    """Invariant 10."""
    assert step(running(cancel_requested_at=after(5)), shows(RUNS), 5) == tracker.Stop(cause=StopCause.CANCEL)
    stopping = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL)
    assert step(stopping, shows(RUNS), 5) == tracker.Halt(RUNS)


def test_a_halted_container_has_its_grace_and_then_loses_its_job() -> None:
    stopping = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL)
    memo = Memo(halted_at=after(5))
    assert step(stopping, shows(RUNS), 6, memo) == Wait(after(50))
    assert step(stopping, shows(RUNS), 50, memo) == tracker.Delete(over=False)


def test_a_pod_that_never_ran_is_deleted_and_its_absence_confirmed_twice() -> None:
    """Invariant 10: a pod can appear after its Job's delete."""
    stopping = record(Phase.STOPPING, stop_cause=StopCause.START_LIMIT)
    memo = Memo()
    assert step(stopping, shows(CREATING), 5, memo) == tracker.Delete(over=False)
    memo.deleted_at = after(5)
    assert step(stopping, shows(CREATING), 6, memo) == Wait(after(15))
    assert step(stopping, shows(CREATING), 15, memo) == tracker.Delete(over=False)
    assert step(stopping, shows(None, job=None), 7, memo) == Wait(after(9))
    assert step(stopping, shows(CREATING, job=None), 8, memo) == Wait(after(15))
    assert step(stopping, shows(None, job=None), 9, memo) == Wait(after(11))
    assert step(stopping, shows(None, job=None), 11, memo) == tracker.ConfirmGone()


def test_a_pod_that_is_over_frees_the_slot_whatever_the_phase() -> None:
    """Invariant 2."""
    for phase in (Phase.CREATED, Phase.RUNNING, Phase.STOPPING):
        seen = step(record(phase), shows(pod(ended(0), over=True)))
        assert isinstance(seen, tracker.Over)
    still = step(running(), shows(pod(ended(0))), 5)
    assert not isinstance(still, tracker.Over)


def test_the_job_waits_for_its_log_but_not_for_ever() -> None:
    """Invariant 6."""
    assert step(over(), shows(None), 21) == Wait(after(30))
    assert step(over(), shows(None), 30) == tracker.Finish()
    assert step(over(log_state=LogState.COMPLETE), shows(None), 21) == tracker.Finish()


def test_objects_are_deleted_only_once_the_log_is_settled_and_the_state_committed() -> None:
    """Invariants 6 and 7."""
    done = over(state=JobState.SUCCEEDED)
    assert step(done, shows(pod(ended(0), over=True)), 31) == Wait()
    settled = over(state=JobState.SUCCEEDED, log_state=LogState.COMPLETE)
    assert step(settled, shows(pod(ended(0), over=True)), 31) == tracker.Delete(over=True)
    memo = Memo(deleted_at=after(31))
    assert step(settled, shows(None, job=JobSeen(uid="u1", deleted=True)), 60, memo) == Wait(after(41))
    assert step(settled, shows(None, job=None), 60, memo) == Wait(after(62))
    assert step(settled, shows(None, job=None), 62, memo) == tracker.ConfirmGone()


def test_a_time_limit_counts_from_the_containers_start_where_nobody_saw_it() -> None:
    """A server that was down when the container started gives it no extra time; clocks may differ."""
    ahead = timedelta(seconds=30)  # our clock before the cluster's
    assert tracker.running_since(after(0), after(3), timedelta()) == after(3)
    assert tracker.running_since(after(0), after(60), timedelta()) == after(0)
    assert tracker.running_since(after(0), after(33), ahead) == after(33)
    assert tracker.running_since(after(0), after(90), ahead) == after(30)
    assert tracker.running_since(None, after(60), timedelta()) == after(60)


def test_a_time_limit_counts_while_the_node_does_not_answer() -> None:
    stop = step(running(), shows(pod(Running(), node_ready=False)), 302)
    assert isinstance(stop, tracker.Stop)
    assert stop.cause is StopCause.TIME_LIMIT


def test_a_stop_that_a_dead_node_never_confirms_holds_its_slot_for_a_bounded_time() -> None:
    """Invariants 2 and 10: the slot is held long after the delete, but not for ever."""
    stopping = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL, stop_at=after(10))
    dying = shows(pod(Running(), node_ready=False, deleted_at=after(40)), job=JobSeen(uid="u1", deleted=True))
    memo = Memo(halted_at=after(10), deleted_at=after(40))
    assert isinstance(step(stopping, dying, 40 + 1799, memo), Wait)
    end = step(stopping, dying, 40 + 1800, memo)
    assert isinstance(end, tracker.Over)
    assert (end.outcome.state, end.outcome.reason) == (JobState.FAILED, "NodeLost")


def test_a_node_that_does_not_answer_fails_the_job_and_keeps_the_slot() -> None:
    """Invariant 2: the container may still run there."""
    away, memo = pod(Running(), node_ready=False), Memo()
    assert step(running(spec=record().spec), shows(away), 10, memo) == Wait(after(302))
    endless = running(spec=_without_limit())
    assert step(endless, shows(away), 309, memo) == Wait(after(310))
    stop = step(endless, shows(away), 310, memo)
    assert isinstance(stop, tracker.Stop)
    assert stop.cause is StopCause.NODE_LOST
    lost = running(phase=Phase.STOPPING, stop_cause=StopCause.NODE_LOST, stop_at=after(310))
    assert step(lost, shows(away), 311) == tracker.Finish()
    failed = running(phase=Phase.STOPPING, stop_cause=StopCause.NODE_LOST, stop_at=after(310), state=JobState.FAILED)
    assert step(failed, shows(away), 311) == Wait(after(310 + 1800))
    assert isinstance(step(failed, shows(away), 310 + 1800), tracker.Over)


def test_a_pod_that_is_gone_while_its_job_stays_is_asked_for() -> None:
    """Kubernetes makes no second pod: without this the attempt would wait for ever."""
    assert step(running(), shows(None)) == tracker.Look()
    assert step(record(pod="pod-1"), shows(None)) == tracker.Look()
    assert not isinstance(step(record(), shows(None)), tracker.Look)


def _without_limit() -> JobSpec:
    return msgspec.structs.replace(record().spec, timeout="none")
