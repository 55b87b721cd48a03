"""The next step for an attempt, for every phase."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from spark_jobs.cluster.base import JobSeen, Observation, Refusal, Running, Waiting
from spark_jobs.domain.attempt import AttemptRecord, Outcome, Phase, StopCause
from spark_jobs.domain.job import Activity, LogState, PodEvent
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import Cause, JobState
from spark_jobs.engine import steps, tracker
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.engine.steps import Memo, Step, Wait
from spark_jobs.engine.tracker import decide
from tests.engine.records import T0, after, ended, pod, record, shows

RULES = EngineSettings()
RUNS = pod(Running(started_at=after(1)))
CREATING = pod(Waiting(reason="ContainerCreating"))
DONE = Outcome(state=JobState.SUCCEEDED, cause=Cause.CONTAINER_ENDED, exit_code=0)


def step(of: AttemptRecord, seen: Observation, at: float = 2, memo: Memo | None = None) -> Step:
    return decide(of, seen, memo or Memo(), after(at), RULES)


def running(phase: Phase = Phase.RUNNING, **changes: object) -> AttemptRecord:
    return record(phase, running_at=after(2), activity=Activity.RUNNING, pod="pod-1", **changes)


def without_limit() -> JobSpec:
    return msgspec.structs.replace(record().spec, timeout="none")


def over(**changes: object) -> AttemptRecord:
    return record(Phase.OVER, over_at=after(20), outcome=DONE, **changes)


def test_a_claimed_attempt_is_the_dispatchers_until_its_job_is_seen() -> None:
    assert step(record(Phase.CLAIMED), shows(None, job=None)) == Wait()
    found = step(record(Phase.CLAIMED), shows(None))
    assert isinstance(found, steps.Note)
    assert (found.changes.phase, found.changes.uid) == (Phase.CREATED, "u1")


def test_a_cancel_before_the_create_ends_without_asking_the_cluster() -> None:
    claimed = record(Phase.CLAIMED, cancel_requested_at=after(1))
    assert step(claimed, shows(None, job=None)) == steps.Stop(cause=StopCause.CANCEL)
    stopped = record(Phase.CLAIMED, stop_cause=StopCause.CANCEL)
    assert isinstance(step(stopped, shows(None, job=None)), steps.Over)


def test_not_found_proves_nothing_until_the_last_create_is_old() -> None:
    """Invariant 4: a create whose answer was lost may still be carried out."""
    stopped = record(Phase.CLAIMED, stop_cause=StopCause.CANCEL)
    memo = Memo(posted_at=after(0))
    assert step(stopped, shows(None, job=None), 14, memo) == Wait(after(15))
    assert step(stopped, shows(None, job=None), 15, memo) == steps.Look()
    assert step(stopped, shows(None, job=None), 99, Memo(posting=True)) == Wait()


def test_a_running_container_starts_the_clock_of_its_time_limit() -> None:
    started = step(record(), shows(RUNS), 3)
    assert isinstance(started, steps.Started)
    assert (started.changes.running_at, started.changes.started_at) == (after(3), after(1))
    assert step(running(), shows(RUNS), 3) == Wait(after(302))
    assert isinstance(step(running(), shows(RUNS), 302), steps.Stop)


def test_a_view_that_is_not_current_ends_nothing() -> None:
    """Invariant 5: the absence of an object in a stale view says nothing."""
    assert step(running(), shows(None, job=None, current=False)) == Wait(after(302))
    assert step(running(), shows(None, job=None)) == steps.Look()


def test_what_a_job_waits_for_is_shown_once_it_lasts() -> None:
    memo = Memo()
    assert step(record(), shows(CREATING), 2, memo) == Wait(after(2.5))
    noted = step(record(), shows(CREATING), 2.5, memo)
    assert isinstance(noted, steps.Note)
    assert noted.changes.activity is Activity.PULLING


@pytest.mark.parametrize(("reason", "grace"), [("InvalidImageName", 3), ("ImagePullBackOff", 90), ("ErrImagePull", 90)])
def test_a_container_that_can_never_start_is_given_up_after_its_grace(reason: str, grace: float) -> None:
    memo, waits = Memo(), pod(Waiting(reason=reason, message="words"))
    shown = record(activity=Activity.PULLING, reason=reason, pod="pod-1", node="n1")
    assert step(shown, shows(waits), 2, memo) == Wait(after(2 + grace))
    given_up = step(shown, shows(waits), 2 + grace, memo)
    final = "InvalidImageName" if reason == "InvalidImageName" else "ImagePullBackOff"
    assert given_up == steps.Stop(cause=StopCause.CANNOT_START, reason=final, message="words")


def test_a_pull_that_alternates_between_its_two_reasons_is_one_wait() -> None:
    memo = Memo()
    step(record(), shows(pod(Waiting(reason="ErrImagePull"))), 0, memo)
    step(record(), shows(pod(Waiting(reason="ImagePullBackOff"))), 50, memo)
    assert isinstance(step(record(), shows(pod(Waiting(reason="ErrImagePull"))), 90, memo), steps.Stop)


def test_a_pull_that_recovers_gets_its_whole_grace_again() -> None:
    memo = Memo()
    step(record(), shows(pod(Waiting(reason="ErrImagePull"))), 0, memo)
    step(record(), shows(CREATING), 50, memo)
    again = step(record(), shows(pod(Waiting(reason="ErrImagePull"))), 100, memo)
    assert not isinstance(again, steps.Stop)


def test_the_start_limit_ends_a_job_with_the_reason_it_waited_for() -> None:
    unplaced = pod(Waiting(), scheduled=False, unschedulable="0/1 nodes are available")
    stop = step(record(), shows(unplaced), 600)
    assert stop == steps.Stop(cause=StopCause.START_LIMIT, reason="Unschedulable", message="0/1 nodes are available")
    refused = Observation(current=True, job=JobSeen(uid="u1"), refusal=Refusal(reason="QuotaExceeded", message="used"))
    assert step(record(), refused, 600) == steps.Stop(
        cause=StopCause.START_LIMIT, reason="QuotaExceeded", message="used"
    )


def test_a_wish_to_stop_is_recorded_before_anything_is_sent() -> None:
    """Invariant 10."""
    assert step(running(cancel_requested_at=after(5)), shows(RUNS), 5) == steps.Stop(cause=StopCause.CANCEL)
    stopping = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL)
    assert step(stopping, shows(RUNS), 5) == steps.Halt(RUNS)


def test_a_container_that_had_ended_before_the_stop_reached_its_node_keeps_its_own_end() -> None:
    """Invariant 5. Its node tells of it up to a second later, and then with a pod that was halted."""
    stopping = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL)
    memo = Memo(halted_at=after(20))
    note = step(stopping, shows(pod(ended(3))), 21, memo)
    assert isinstance(note, steps.Note)
    assert isinstance(note.changes.outcome, Outcome)
    assert (note.changes.outcome.reason, note.changes.outcome.exit_code) == ("NonZeroExit", 3)
    assert (note.changes.started_at, note.changes.finished_at) == (after(2), after(20))
    known = msgspec.structs.replace(stopping, outcome=note.changes.outcome)
    assert step(known, shows(pod(ended(3))), 21, memo) == Wait(after(65))
    for signal in (143, 137):
        assert step(stopping, shows(pod(ended(signal))), 21, memo) == Wait(after(65)), "it was stopped"


def test_a_halted_container_has_its_grace_and_then_loses_its_job() -> None:
    stopping = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL)
    memo = Memo(halted_at=after(5))
    assert step(stopping, shows(RUNS), 6, memo) == Wait(after(50))
    assert step(stopping, shows(RUNS), 50, memo) == steps.Delete(over=False)


def test_a_pod_that_never_ran_is_deleted_and_its_absence_confirmed_twice() -> None:
    """Invariant 10: a pod can appear after its Job's delete."""
    stopping = record(Phase.STOPPING, stop_cause=StopCause.START_LIMIT)
    memo = Memo()
    assert step(stopping, shows(CREATING), 5, memo) == steps.Delete(over=False, idle=CREATING)
    memo.deleted_at = after(5)
    assert step(stopping, shows(CREATING), 6, memo) == Wait(after(15))
    assert step(stopping, shows(CREATING), 15, memo) == steps.Delete(over=False, idle=CREATING)
    assert step(stopping, shows(None, job=None), 7, memo) == Wait(after(9))
    assert step(stopping, shows(CREATING, job=None), 8, memo) == Wait(after(15))
    assert step(stopping, shows(None, job=None), 9, memo) == Wait(after(11))
    assert step(stopping, shows(None, job=None), 11, memo) == steps.ConfirmGone()


HELD = pod(Waiting(), held=True, scheduled=False, node=None)


def test_a_held_pod_is_released_and_released_again_until_it_shows() -> None:
    assert step(record(), shows(HELD)) == steps.Release(HELD)
    assert step(record(released="p1"), shows(HELD), 5) == steps.Release(HELD)
    assert step(record(released="p1"), shows(CREATING), 5) == Wait(after(5.5))


def test_a_held_pod_that_nobody_wants_any_more_is_deleted_and_not_released() -> None:
    assert step(record(cancel_requested_at=after(1)), shows(HELD)) == steps.Stop(cause=StopCause.CANCEL)
    assert isinstance(step(record(), shows(HELD), 600), steps.Stop)
    stopping = record(Phase.STOPPING, stop_cause=StopCause.CANCEL)
    assert step(stopping, shows(HELD)) == steps.Delete(over=False), "it can't have started"
    released = record(Phase.STOPPING, stop_cause=StopCause.CANCEL, released="p1")
    assert step(released, shows(HELD)) == steps.Delete(over=False, idle=HELD), "the release may be on its way"
    leaving = pod(Waiting(), deleted_at=after(4))
    assert step(released, shows(leaving)) == steps.Delete(over=False), "somebody else was first"


def test_a_release_that_the_cluster_refuses_is_shown_and_does_not_wait_for_ever() -> None:
    memo = Memo(held_back="pods is forbidden: no patch")
    assert step(record(), shows(HELD), 2, memo) == steps.Release(HELD)
    shown = step(record(), shows(HELD), 3, memo)
    assert isinstance(shown, steps.Note)
    assert (shown.changes.reason, shown.changes.message) == ("Forbidden", "pods is forbidden: no patch")
    stop = step(record(), shows(HELD), 600, memo)
    assert isinstance(stop, steps.Stop)
    assert (stop.reason, stop.message) == ("Forbidden", "pods is forbidden: no patch")


def test_a_pod_that_is_over_frees_the_slot_whatever_the_phase() -> None:
    """Invariant 2."""
    for phase in (Phase.CREATED, Phase.RUNNING, Phase.STOPPING):
        seen = step(record(phase), shows(pod(ended(0), over=True)))
        assert isinstance(seen, steps.Over)
    still = step(running(), shows(pod(ended(0))), 5)
    assert not isinstance(still, steps.Over)


def test_the_job_waits_for_its_log_but_not_for_ever() -> None:
    """Invariant 6."""
    assert step(over(), shows(None), 21) == Wait(after(28))
    assert step(over(), shows(None), 28) == steps.Finish(DONE)
    assert step(over(log_state=LogState.COMPLETE), shows(None), 21) == steps.Finish(DONE)


def test_objects_are_deleted_only_once_the_log_is_settled_and_the_state_committed() -> None:
    """Invariants 6 and 7."""
    done = over(state=JobState.SUCCEEDED)
    assert step(done, shows(pod(ended(0), over=True)), 31) == Wait()
    settled = over(state=JobState.SUCCEEDED, log_state=LogState.COMPLETE)
    assert step(settled, shows(pod(ended(0), over=True)), 31) == steps.Delete(over=True)
    memo = Memo(deleted_at=after(31))
    assert step(settled, shows(None, job=JobSeen(uid="u1", deleted=True)), 60, memo) == Wait()
    assert step(settled, shows(None, job=None), 60, memo) == Wait(after(62))
    assert step(settled, shows(None, job=None), 62, memo) == steps.ConfirmGone()


def test_a_time_limit_counts_from_the_containers_start_where_nobody_saw_it() -> None:
    """A server that was down when the container started gives it no extra time; clocks may differ."""
    ahead = timedelta(seconds=30)  # our clock before the cluster's
    assert tracker.running_since(after(0), after(3), timedelta(), T0) == after(3)
    assert tracker.running_since(after(0), after(60), timedelta(), T0) == after(0)
    assert tracker.running_since(after(0), after(33), ahead, T0) == after(33)
    assert tracker.running_since(after(0), after(90), ahead, T0) == after(30)
    assert tracker.running_since(None, after(60), timedelta(), T0) == after(60)
    assert tracker.running_since(after(-200), after(2), timedelta(), T0) == after(2), "no start is before its claim"


def test_a_delete_is_sent_again_only_where_nothing_came_of_it() -> None:
    """And what is on its way out is waited for without looking at it all the time."""
    stopping = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL, stop_at=after(5))
    memo = Memo(halted_at=after(5), deleted_at=after(60))
    going = pod(Running(), deleted_at=after(90), deletion_grace=30.0)
    leaving = JobSeen(uid="u1", deleted=True)
    assert step(stopping, shows(going, job=leaving), 80, memo) == Wait(after(80 + 30 + 300))
    assert step(stopping, shows(going, job=None), 80, memo) == Wait(after(80 + 30 + 300))
    orphan = pod(Waiting())
    assert step(stopping, shows(orphan), 69, memo) == Wait(after(70))
    for job in (JobSeen(uid="u1"), None):
        assert step(stopping, shows(orphan, job=job), 70, memo) == steps.Delete(over=False, idle=orphan)


def test_nothing_is_shown_to_be_older_than_the_claim_by_less_than_a_second() -> None:
    """The cluster cuts its times to whole seconds."""
    claimed = after(0.7)
    assert tracker.cluster_time(after(0), claimed) == claimed
    assert tracker.cluster_time(after(1), claimed) == after(1)
    assert tracker.cluster_time(after(-60), claimed) == after(-60), "its clock is another one"
    assert tracker.cluster_time(None, claimed) is None


def test_a_time_limit_counts_while_the_node_does_not_answer() -> None:
    stop = step(running(), shows(pod(Running(), node_ready=False)), 302)
    assert isinstance(stop, steps.Stop)
    assert stop.cause is StopCause.TIME_LIMIT


def test_a_stop_that_a_dead_node_never_confirms_fails_the_job_and_holds_its_slot_for_a_bounded_time() -> None:
    """Invariants 2 and 10. All by our own clock: the cluster's may be minutes off."""
    stopping = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL, stop_at=after(10))
    dying = shows(
        pod(Running(), node_ready=False, deleted_at=after(-500), deletion_grace=20.0),
        job=JobSeen(uid="u1", deleted=True),
    )
    memo = Memo(halted_at=after(10), deleted_at=after(40), deletion_seen_at=after(40))
    assert isinstance(step(stopping, dying, 60 + 299, memo), Wait)
    failed = step(stopping, dying, 60 + 300, memo)
    assert isinstance(failed, steps.Finish)
    assert (failed.outcome.state, failed.outcome.reason, failed.outcome.may_still_run) == ("FAILED", "NodeLost", True)
    held = running(phase=Phase.STOPPING, stop_cause=StopCause.CANCEL, stop_at=after(10), state=JobState.FAILED)
    assert isinstance(step(held, dying, 360 + 1799, memo), Wait)
    assert isinstance(step(held, dying, 360 + 1800, memo), steps.Over)


def test_a_node_that_does_not_answer_fails_the_job_and_keeps_the_slot() -> None:
    """Invariant 2: the container may still run there."""
    away, memo = pod(Running(), node_ready=False), Memo()
    assert step(running(spec=record().spec), shows(away), 10, memo) == Wait(after(302))
    endless = running(spec=without_limit())
    assert step(endless, shows(away), 309, memo) == Wait(after(310))
    stop = step(endless, shows(away), 310, memo)
    assert isinstance(stop, steps.Stop)
    assert stop.cause is StopCause.NODE_LOST
    lost = running(phase=Phase.STOPPING, stop_cause=StopCause.NODE_LOST, stop_at=after(310))
    finish = step(lost, shows(away), 311)
    assert isinstance(finish, steps.Finish)
    assert finish.outcome.may_still_run
    failed = running(phase=Phase.STOPPING, stop_cause=StopCause.NODE_LOST, stop_at=after(310), state=JobState.FAILED)
    assert step(failed, shows(away), 311) == steps.Halt(away)
    assert isinstance(step(failed, shows(away), 310 + 1799, Memo(halted_at=after(311))), steps.Delete)
    assert isinstance(step(failed, shows(away), 310 + 1800), steps.Over)


def test_a_lost_node_is_looked_at_in_time_however_long_the_grace_is() -> None:
    long = msgspec.structs.replace(without_limit(), termination_grace=86_400.0)
    lost = running(Phase.STOPPING, stop_cause=StopCause.NODE_LOST, stop_at=after(310), spec=long, state=JobState.FAILED)
    away = pod(Running(), node_ready=False)
    assert step(lost, shows(away), 312, Memo(halted_at=after(311))) == Wait(after(310 + 1800))


def test_a_node_is_not_given_up_by_a_view_that_is_not_current() -> None:
    """Invariant 5: while the API is away nothing is known of the node."""
    away, memo = pod(Running(), node_ready=False), Memo()
    endless = running(spec=without_limit())
    step(endless, shows(away), 10, memo)
    assert step(endless, shows(away, current=False), 400, memo) == Wait(None)
    assert step(endless, shows(away), 401, memo) == Wait(after(701))


def test_a_node_that_does_not_carry_out_somebody_elses_delete_is_given_up() -> None:
    dying = pod(Running(), deleted_at=after(30), deletion_grace=30.0)
    endless, memo = running(spec=without_limit()), Memo()
    assert step(endless, shows(dying), 10, memo) == Wait(after(10 + 30 + 300))
    assert isinstance(step(endless, shows(dying), 340, memo), steps.Stop)
    slow = pod(Running(), deleted_at=after(3600), deletion_grace=3600.0)
    assert step(endless, shows(slow), 400, Memo()) == Wait(after(400 + 3600 + 300))


def test_a_pod_that_waits_on_a_lost_node_is_given_up_too() -> None:
    waits, memo = pod(Waiting(reason="ContainerCreating"), node_ready=False), Memo()
    patient = record(spec=msgspec.structs.replace(without_limit(), start_timeout="none"), activity=Activity.PULLING)
    patient = msgspec.structs.replace(patient, pod="pod-1", node="n1")
    assert step(patient, shows(waits), 2, memo) == Wait(after(302))
    assert isinstance(step(patient, shows(waits), 302, memo), steps.Stop)


def test_a_job_that_would_have_another_attempt_waits_for_the_lost_ones_end() -> None:
    """There are never two containers at once, and a loss is no reason to give up a job that asked for retries."""
    again = msgspec.structs.replace(without_limit(), retries=1)
    lost = running(phase=Phase.STOPPING, stop_cause=StopCause.NODE_LOST, stop_at=after(310), spec=again)
    away = pod(Running(), node_ready=False)
    assert step(lost, shows(away), 311) == steps.Halt(away)
    end = step(lost, shows(away), 310 + 1800)
    assert isinstance(end, steps.Over)
    assert end.outcome.may_still_run
    memo = Memo(halted_at=after(311), deleted_at=after(400), job_gone_at=after(410))
    assert step(lost, shows(None, job=None), 412, memo) == steps.ConfirmGone()


def test_no_limit_on_waiting_counts_while_the_view_is_not_current() -> None:
    """Invariant 9: a cluster that is away ends no job; it may have been running for long."""
    unplaced = pod(Waiting(), scheduled=False, unschedulable="0/1 nodes are available")
    assert step(record(), shows(unplaced, current=False), 6000) == Wait()
    pulling = pod(Waiting(reason="ErrImagePull"))
    memo = Memo(trouble_since=after(1))
    assert step(record(), shows(pulling, current=False), 500, memo) == Wait()


def test_a_create_that_is_refused_for_now_waits_until_the_start_limit() -> None:
    waiting = record(Phase.CLAIMED, reason="QuotaExceeded", message="exceeded quota")
    nothing = shows(None, job=None)
    assert step(waiting, nothing, 599, Memo(refused=True)) == Wait(after(600))
    stop = step(waiting, nothing, 600, Memo(refused=True))
    assert stop == steps.Stop(cause=StopCause.START_LIMIT, reason="QuotaExceeded", message="exceeded quota")
    assert step(waiting, nothing, 6000, Memo(refused=False)) == Wait(), "the cluster is away: that ends no job"


@pytest.mark.parametrize(
    ("word", "text", "reason", "shown", "grace"),
    [
        ("CreateContainerError", "no command specified", "CreateContainerError", "no command specified", 3),
        ("CreateContainerError", "context deadline exceeded", "CreateContainerError", "context deadline exceeded", 90),
        ("RegistryUnavailable", "503", "ImagePullBackOff", "RegistryUnavailable: 503", 90),
        ("ImageInspectError", None, "ImagePullBackOff", "ImageInspectError", 90),
        ("SomethingNew", "words", "CreateContainerError", "SomethingNew: words", 600),
    ],
)
def test_every_word_of_the_node_has_one_of_our_reasons(
    word: str, text: str | None, reason: str, shown: str, grace: int
) -> None:
    memo, waits = Memo(), shows(pod(Waiting(reason=word, message=text)))
    noted = step(record(), waits, 0, memo)
    assert isinstance(noted, Wait)
    assert isinstance(step(record(), waits, 1, memo), steps.Note)
    stop = step(record(), waits, grace, memo)
    assert isinstance(stop, steps.Stop)
    assert (stop.reason, stop.message) == (reason, shown)


@pytest.mark.parametrize(
    "text",
    [
        "failed to sync configmap cache: timed out waiting for the condition",
        'object "lab"/"settings" not registered',
        "services have not yet been read at least once, cannot construct envvars",
        'secrets "token" is forbidden: User "system:node:one" cannot get: no relationship found between node "one" and it',
        'Get "https://10.0.0.1/api/v1/namespaces/lab/secrets/token": dial tcp 10.0.0.1:443: i/o timeout',
    ],
)
def test_what_a_node_could_not_read_yet_is_not_yet_missing(text: str) -> None:
    """It may be there; the node asks again within seconds, and only its next answer says."""
    word, memo = "CreateContainerConfigError", Memo()
    unread = shows(pod(Waiting(reason=word, message=text)))
    for seconds in (0, 1, 12):
        assert not isinstance(step(record(), unread, seconds, memo), steps.Stop)
    missing = shows(pod(Waiting(reason=word, message='configmap "settings" not found')))
    stop = step(record(), missing, 13, memo)
    assert isinstance(stop, steps.Stop)
    assert (stop.reason, stop.message) == (word, 'configmap "settings" not found')
    unread_for_long = step(record(), unread, 90, memo)
    assert isinstance(unread_for_long, steps.Stop)
    assert unread_for_long.message == text


@pytest.mark.parametrize(
    ("word", "activity"),
    [
        ("ContainerCreating", Activity.PULLING),
        ("ErrImagePull", Activity.PULLING),
        ("InvalidImageName", Activity.PULLING),
        ("ErrImageNeverPull", Activity.PULLING),
        ("CreateContainerConfigError", Activity.CREATING),
        ("CreateContainerError", Activity.CREATING),
        ("SomethingNew", Activity.CREATING),
    ],
)
def test_only_what_waits_for_its_image_is_said_to_be_pulling(word: str, activity: Activity) -> None:
    memo = Memo()
    step(record(), shows(pod(Waiting(reason=word))), 0, memo)
    noted = step(record(), shows(pod(Waiting(reason=word))), 1, memo)
    assert isinstance(noted, steps.Note)
    assert noted.changes.activity is activity


@pytest.mark.parametrize("event", ["FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox"])
def test_a_pod_that_its_node_can_not_prepare_is_not_said_to_be_pulling(event: str) -> None:
    of = record(events=[PodEvent(type="Warning", reason=event, message="words")])
    memo = Memo()
    step(of, shows(CREATING), 2, memo)
    noted = step(of, shows(CREATING), 3, memo)
    assert isinstance(noted, steps.Note)
    assert (noted.changes.activity, noted.changes.message) == (Activity.CREATING, "words")


def test_a_volume_that_is_not_there_shows_in_the_pods_events_alone() -> None:
    missing = PodEvent(type="Warning", reason="FailedMount", message='secret "s" not found')
    waits = shows(CREATING)
    memo = Memo(waiting_since=after(0))
    step(record(events=[missing]), waits, 2, memo)
    noted = step(record(events=[missing]), waits, 3, memo)
    assert isinstance(noted, steps.Note)
    assert (noted.changes.reason, noted.changes.message) == ("FailedMount", 'secret "s" not found')
    beside = PodEvent(type="Warning", reason="MissingClusterDNS", message="falls back")
    noted = step(record(events=[missing, beside]), waits, 4, memo)
    assert isinstance(noted, steps.Note)
    assert noted.changes.reason == "FailedMount"
    later = PodEvent(reason="Pulling", message="Pulling image")
    found = step(record(events=[missing, later]), waits, 4, Memo(waiting_since=after(0)))
    assert isinstance(found, Wait)
    stop = step(record(events=[missing, later]), waits, 600, Memo(asked_why=True))
    assert isinstance(stop, steps.Stop)
    assert (stop.reason, "Pulling image" in str(stop.message)) == ("StartTimeout", True)


def test_another_container_of_the_pod_holds_no_job() -> None:
    """What the cluster adds to a pod may never end; the main container's end is the attempt's."""
    rest = shows(pod(ended(3)))
    noted = step(running(), rest, 21)
    assert isinstance(noted, steps.Note)
    assert isinstance(noted.changes.outcome, Outcome)
    assert (noted.changes.outcome.exit_code, noted.changes.finished_at) == (3, after(20))
    known, memo = running(outcome=noted.changes.outcome), Memo()
    assert step(known, rest, 21, memo) == Wait(after(31))
    assert step(known, rest, 31, memo) == steps.Halt(pod(ended(3)))
    assert step(running(outcome=DONE, cancel_requested_at=after(22)), rest, 22, memo) == Wait(after(31))


def test_a_job_that_kubernetes_calls_finished_brings_no_pod_any_more() -> None:
    for job in (JobSeen(uid="u1", failed="DeadlineExceeded"), JobSeen(uid="u1", complete=True)):
        assert step(record(), shows(None, job=job)) == steps.Look()


def test_a_pod_that_is_gone_while_its_job_stays_is_asked_for() -> None:
    """Kubernetes makes no second pod: without this the attempt would wait for ever."""
    assert step(running(), shows(None)) == steps.Look()
    assert step(record(pod="pod-1"), shows(None)) == steps.Look()
    assert not isinstance(step(record(), shows(None)), steps.Look)
