"""The engine from submission to the clean cluster, on a fake cluster and a real store."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from spark_jobs.cluster.base import CreateRefused, PodSeen, Running, Waiting
from spark_jobs.cluster.fake import Accident, FakeCluster, LogFault, LogTrouble, Script
from spark_jobs.domain.attempt import AttemptRecord, Transition
from spark_jobs.domain.job import Activity, Job, LogState, PodEvent
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.state import Cause, JobState
from spark_jobs.store.sql import SqlStore
from tests.engine.bench import bench, eventually, scripts

FOREVER = Script(runs=None, lines=("begin",))


def created(cluster: FakeCluster) -> list[str]:
    """Whose objects were made, in order."""
    return [ref.job_id for ref in cluster.made]


def left(cluster: FakeCluster) -> list[str]:
    """Names of the objects that are there now."""
    return cluster.strangers(lambda _claim: False)


def _placed(cluster: FakeCluster) -> bool:
    pod = cluster.observe(cluster.made[0]).pod
    return pod is not None and not pod.held


def _shown_pod(cluster: FakeCluster) -> PodSeen:
    """The only attempt's pod, whether or not anybody watches."""
    pod = cluster.observe(cluster.made[0]).pod
    assert pod is not None
    return pod


async def test_a_job_runs_and_its_log_and_exit_code_are_kept(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(lines=("out", "err"), exit_code=7, runs=0.1, result="r"))
    async with bench(tmp_path, cluster) as on:
        job = await on.ends(await on.submit())
        assert (job.state, job.reason, job.exit_code, job.result) == (JobState.FAILED, Reason.NON_ZERO_EXIT, 7, "r")
        assert await on.log(job.id) == b"out\nerr\n"
        assert job.attempts[0].log.complete
        assert job.started_at is not None
        assert job.finished_at is not None
        await on.closed()
        assert left(cluster) == []


async def test_never_more_than_the_slots_run_and_creates_follow_submission(tmp_path: Path) -> None:
    """Invariants 2 and 3."""
    cluster = FakeCluster(lambda _spec: Script(runs=0.05, lingers=0.02))
    async with bench(tmp_path, cluster, slots=3) as on:
        ids = [await on.submit() for _ in range(12)]
        jobs = [await on.ends(job_id) for job_id in ids]
        assert {job.state for job in jobs} == {JobState.SUCCEEDED}
        assert cluster.most_at_once <= 3
        assert created(cluster) == ids


async def test_a_higher_priority_goes_first(tmp_path: Path) -> None:
    """Invariant 3."""
    cluster = FakeCluster(scripts(hold=FOREVER))
    async with bench(tmp_path, cluster, slots=1) as on:
        holder = await on.submit(command=["hold"])
        await on.until(holder, lambda job: job.state is JobState.RUNNING)
        low, high = await on.submit(priority=1), await on.submit(priority=9)
        await on.service.cancel(holder)
        await on.ends(low)
        assert created(cluster) == [holder, high, low]


async def test_cancel_stops_the_container_and_keeps_its_log(tmp_path: Path) -> None:
    """Invariant 10."""
    cluster = FakeCluster(lambda _spec: Script(runs=None, lines=("begin",), ignores_term=True))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.state is JobState.RUNNING)
        accepted = await on.service.cancel(job_id)
        assert accepted.cancel_requested_at is not None
        again = await on.service.cancel(job_id)
        assert again.cancel_requested_at == accepted.cancel_requested_at
        job = await on.ends(job_id)
        assert (job.state, job.reason, job.exit_code) == (JobState.CANCELLED, Reason.CANCELLED, 137)
        assert await on.log(job_id) == b"begin\n"
        await on.closed()
        assert left(cluster) == []


async def test_a_cancelled_queued_job_is_never_created(tmp_path: Path) -> None:
    cluster = FakeCluster(scripts(hold=FOREVER))
    async with bench(tmp_path, cluster, slots=1) as on:
        holder = await on.submit(command=["hold"])
        await on.until(holder, lambda job: job.state is JobState.RUNNING)
        waiting = await on.submit()
        assert (await on.service.cancel(waiting)).state is JobState.CANCELLED
        await on.service.cancel(holder)
        await on.ends(holder)
        assert created(cluster) == [holder]


async def test_a_cancel_while_the_create_is_under_way_never_shows_running(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(create_takes=0.3, runs=None))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.state is JobState.STARTING)
        await on.service.cancel(job_id)
        job = await on.ends(job_id)
        assert job.state is JobState.CANCELLED
        events = [event.target for event in await on.core.store.events(0, job_id=job_id)]
        assert events == [JobState.QUEUED, JobState.STARTING, JobState.CANCELLED]
        await on.closed()
        assert left(cluster) == []


async def test_a_time_limit_stops_the_container(tmp_path: Path) -> None:
    """Invariant 10."""
    async with bench(tmp_path, FakeCluster(lambda _spec: FOREVER)) as on:
        job = await on.ends(await on.submit(timeout=0.3))
        assert (job.state, job.reason, job.exit_code) == (JobState.TIMED_OUT, Reason.DEADLINE_EXCEEDED, 143)
        assert await on.log(job.id) == b"begin\n"


async def test_an_image_that_never_comes_fails_after_its_grace_and_shows_its_reason_meanwhile(tmp_path: Path) -> None:
    stuck = Script(pending=None, waiting=Waiting(reason="ImagePullBackOff", message="no such image"))
    cluster = FakeCluster(lambda _spec: stuck)
    async with bench(tmp_path, cluster, image_grace=1.5) as on:
        job_id = await on.submit()
        waiting = await on.until(job_id, lambda job: job.reason is not None)
        assert (waiting.state, waiting.reason) == (JobState.STARTING, Reason.IMAGE_PULL_BACK_OFF)
        job = await on.ends(job_id)
        assert (job.state, job.reason, job.message) == (JobState.FAILED, "ImagePullBackOff", "no such image")
        assert job.hint
        assert job.exit_code is None
        await on.closed()
        assert left(cluster) == []


async def test_a_refused_create_fails_the_job_with_the_clusters_words(tmp_path: Path) -> None:
    refused = CreateRefused(reason="NamespaceNotFound", message='namespaces "x" not found')
    async with bench(tmp_path, FakeCluster(lambda _spec: Script(refused=refused))) as on:
        job = await on.ends(await on.submit())
        assert (job.state, job.reason, job.message) == (JobState.FAILED, "NamespaceNotFound", refused.message)
        await on.closed()


async def test_lost_answers_to_creates_never_make_a_second_object(tmp_path: Path) -> None:
    """Invariant 4."""
    cluster = FakeCluster(lambda _spec: Script(unknown_creates=2, unknown_stored=True))
    async with bench(tmp_path, cluster) as on:
        job = await on.ends(await on.submit())
        assert job.state is JobState.SUCCEEDED
        assert len(cluster.made) == 1


async def test_a_pod_deleted_by_somebody_else_fails_the_job_whatever_it_exits_with(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(runs=None, code_on_term=0))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.state is JobState.RUNNING)
        cluster.delete_pod(job_id)
        job = await on.ends(job_id)
        assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, Reason.DELETED_EXTERNALLY, 0)


async def test_objects_that_vanish_are_lost(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: FOREVER)
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.state is JobState.RUNNING)
        cluster.happen(job_id, Accident.VANISH)
        job = await on.ends(job_id)
        assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, Reason.LOST, None)
        assert not job.attempts[0].log.complete


async def test_the_log_of_a_container_that_nobody_saw_running_is_not_called_complete(tmp_path: Path) -> None:
    """Invariant 6: what vanishes may have run while nobody looked."""
    cluster = FakeCluster(lambda _spec: Script(pending=None))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.activity is Activity.PULLING)
        cluster.happen(job_id, Accident.VANISH)
        job = await on.ends(job_id)
        assert (job.state, job.reason) == (JobState.FAILED, Reason.LOST)
        assert job.attempts[0].log.state is LogState.INCOMPLETE


async def test_an_outage_ends_no_job(tmp_path: Path) -> None:
    """Invariants 5 and 9."""
    cluster = FakeCluster(lambda _spec: Script(runs=0.3))
    async with bench(tmp_path, cluster) as on:
        ids = [await on.submit() for _ in range(3)]
        await on.until(ids[0], lambda job: job.state is JobState.RUNNING)
        cluster.outage(1.0)
        assert [(await on.ends(job_id)).state for job_id in ids] == [JobState.SUCCEEDED] * 3
        await on.closed()


async def test_a_log_is_whole_over_ends_and_errors_of_its_streams(tmp_path: Path) -> None:
    """Invariant 6."""
    lines = tuple(str(number) for number in range(1, 31))
    faults = (
        LogFault(lines=5),
        LogFault(trouble=LogTrouble.UNAVAILABLE),
        LogFault(lines=7, trouble=LogTrouble.AWAY),
    )
    cluster = FakeCluster(lambda _spec: Script(lines=lines, line_every=0.05, runs=1.6, log_faults=faults))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        live = await on.log(job_id, follow=True)
        job = await on.ends(job_id)
        assert live.decode().split() == list(lines)
        assert await on.log(job_id) == live
        assert job.attempts[0].log.complete, job.attempts[0].log.problem


async def test_a_log_that_can_not_be_had_is_marked_and_the_state_is_right(tmp_path: Path) -> None:
    """Invariant 6."""
    faults = tuple(LogFault(trouble=LogTrouble.UNAVAILABLE) for _ in range(100))
    async with bench(tmp_path, FakeCluster(lambda _spec: Script(lines=("x",), log_faults=faults))) as on:
        job = await on.ends(await on.submit())
        assert job.state is JobState.SUCCEEDED
        await on.closed()
        settled = (await on.service.get(job.id)).attempts[0].log
        assert (settled.complete, settled.bytes) == (False, 0)
        assert settled.problem


async def test_retries_make_further_attempts_of_the_same_job(tmp_path: Path) -> None:
    codes = iter([3, 4, 0])
    async with bench(tmp_path, FakeCluster(lambda _spec: Script(exit_code=next(codes)))) as on:
        job = await on.ends(await on.submit(retries=5, backoff=0.1))
        assert job.state is JobState.SUCCEEDED
        assert [attempt.exit_code for attempt in job.attempts] == [3, 4, 0]
        assert [attempt.state for attempt in job.attempts][:2] == [JobState.FAILED] * 2
        await on.closed()


async def test_a_stop_that_a_lost_node_never_confirmed_leads_to_no_second_container(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: FOREVER)
    async with bench(tmp_path, cluster, node_lost_after=1.0, lost_slot_hold=0.2) as on:
        job_id = await on.submit(retries=3, backoff=0, timeout=0.5)
        await on.until(job_id, lambda job: job.state is JobState.RUNNING)
        cluster.happen(job_id, Accident.LOSE_NODE)
        job = await on.ends(job_id)
        assert (job.state, job.reason, len(job.attempts)) == (JobState.FAILED, Reason.NODE_LOST, 1)


class CancelledMeanwhile(SqlStore):
    """A store in which a cancel arrives right before the transition to another attempt."""

    async def apply(self, transition: Transition) -> AttemptRecord | None:
        """Let the cancel in first."""
        if transition.cause is Cause.RETRY:
            await self.request_cancel(transition.job_id, transition.at)
        return await super().apply(transition)


async def test_a_cancel_just_before_another_attempt_ends_the_job(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(exit_code=3))
    async with bench(tmp_path, cluster, kind=CancelledMeanwhile) as on:
        job = await on.ends(await on.submit(retries=5, backoff=3600))
        assert (job.state, job.reason, len(job.attempts)) == (JobState.CANCELLED, Reason.CANCELLED, 1)
        await on.closed()


async def test_a_container_that_may_still_run_on_a_lost_node_gets_no_second_one(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: FOREVER)
    async with bench(tmp_path, cluster, lost_slot_hold=0.5) as on:
        job_id = await on.submit(retries=3, backoff=0)
        await on.until(job_id, lambda job: job.state is JobState.RUNNING)
        cluster.happen(job_id, Accident.LOSE_NODE)
        shown = await on.until(job_id, lambda job: job.reason is not None)
        assert (shown.state, shown.activity, shown.reason) == (JobState.RUNNING, Activity.STOPPING, Reason.NODE_LOST)
        job = await on.ends(job_id)
        assert (job.state, job.reason, len(job.attempts)) == (JobState.FAILED, Reason.NODE_LOST, 1)
        assert "may still run" in str(job.message)


async def test_a_lost_node_that_comes_back_and_stops_its_container_leads_to_another_attempt(tmp_path: Path) -> None:
    runs = iter([FOREVER, Script()])
    cluster = FakeCluster(lambda _spec: next(runs))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit(retries=1, backoff=0, retry_on=["NodeLost"])
        await on.until(job_id, lambda job: job.state is JobState.RUNNING)
        cluster.happen(job_id, Accident.LOSE_NODE)
        await on.until(job_id, lambda job: job.reason == Reason.NODE_LOST)
        cluster.happen(job_id, Accident.FIND_NODE)
        job = await on.ends(job_id)
        assert job.state is JobState.SUCCEEDED
        assert [attempt.reason for attempt in job.attempts] == [Reason.NODE_LOST, None]
        assert cluster.most_at_once == 1


async def test_an_end_that_a_lost_node_shows_later_changes_nothing(tmp_path: Path) -> None:
    """Invariant 5."""
    cluster = FakeCluster(lambda _spec: Script(runs=None, code_on_term=0))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.state is JobState.RUNNING)
        cluster.happen(job_id, Accident.LOSE_NODE)
        before = await on.ends(job_id)
        cluster.happen(job_id, Accident.FIND_NODE)
        await on.closed()
        after = await on.service.get(job_id)
        assert (after.state, after.attempts[0].reason) == (JobState.FAILED, Reason.NODE_LOST)
        assert (after.attempts[0].exit_code, after.finished_at) == (None, before.finished_at)


async def test_a_queue_limit_ends_a_job_that_no_slot_came_free_for(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeCluster(lambda _spec: FOREVER), slots=1) as on:
        holder = await on.submit()
        await on.until(holder, lambda job: job.state is JobState.RUNNING)
        job = await on.ends(await on.submit(queue_timeout=0.2))
        assert (job.state, job.reason) == (JobState.FAILED, Reason.QUEUE_TIMEOUT)
        await on.service.cancel(holder)


async def test_a_paused_queue_gives_out_nothing(tmp_path: Path) -> None:
    cluster = FakeCluster()
    async with bench(tmp_path, cluster) as on:
        await on.service.set_paused(True)
        job_id = await on.submit()
        assert (await on.service.get(job_id, wait=0.3)).state is JobState.QUEUED
        await on.service.set_paused(False)
        assert (await on.ends(job_id)).state is JobState.SUCCEEDED


async def test_what_runs_goes_on_over_a_restart(tmp_path: Path) -> None:
    """Invariants 1 and 4: a restart is the same code as always."""
    cluster = FakeCluster(scripts(long=Script(runs=1.0, lines=("a", "b"), line_every=0.5)))
    async with bench(tmp_path, cluster, slots=2) as on:
        first, second = await on.submit(command=["long"]), await on.submit(command=["long"])
        queued = await on.submit()
        await on.until(second, lambda job: job.state is JobState.RUNNING)
    async with bench(tmp_path, cluster, slots=2) as on:
        jobs = [await on.ends(job_id) for job_id in (first, second, queued)]
        assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 3
        assert await on.log(first) == b"a\nb\n"
        assert created(cluster) == [first, second, queued]
        await on.closed()
        assert left(cluster) == []


async def test_a_wait_returns_at_the_end_and_not_before(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeCluster(lambda _spec: Script(runs=0.2))) as on:
        job_id = await on.submit()
        jobs = await asyncio.gather(*(on.ends(job_id) for _ in range(20)))
        assert {job.state for job in jobs} == {JobState.SUCCEEDED}


async def test_a_job_that_waits_shows_what_the_cluster_noted_about_its_pod(tmp_path: Path) -> None:
    """What a volume waits for stands in no container's status."""
    noted = PodEvent(type="Warning", reason="FailedMount", message='secret "s" not found')
    cluster = FakeCluster(lambda _spec: Script(pending=7, events=(noted,)))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        waiting = await on.until(job_id, lambda job: job.reason is not None)
        assert (waiting.state, waiting.reason, waiting.message) == (JobState.STARTING, "FailedMount", noted.message)
        assert waiting.hint
        job = await on.ends(job_id)
        assert (job.state, job.reason, job.attempts[0].events) == (JobState.SUCCEEDED, None, [noted])
        timings = job.attempts[0].timings
        assert None not in (timings.queued, timings.starting, timings.pulling, timings.running, timings.collecting)
        assert timings.pulling is not None
        assert timings.pulling > 6


def _runs_as(attempt: int, job: Job) -> bool:
    return job.state is JobState.RUNNING and len(job.attempts) == attempt


async def test_losses_to_the_cluster_do_not_use_up_the_retries_of_the_program(tmp_path: Path) -> None:
    runs = iter([FOREVER, Script(exit_code=3), FOREVER, Script(exit_code=4), Script()])
    cluster = FakeCluster(lambda _spec: next(runs))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit(retries=2, backoff=0.05)
        for evicted in (1, 3):
            await on.until(job_id, partial(_runs_as, evicted))
            cluster.happen(job_id, Accident.EVICT)
        job = await on.ends(job_id)
        assert job.state is JobState.SUCCEEDED
        reasons = [attempt.reason for attempt in job.attempts]
        assert reasons == ["Evicted", "NonZeroExit", "Evicted", "NonZeroExit", None]
        assert [attempt.exit_code for attempt in job.attempts] == [143, 3, 143, 4, 0]
        assert cluster.most_at_once == 1


async def test_a_pod_that_was_lost_before_it_ran_has_another_attempt(tmp_path: Path) -> None:
    runs = iter([Script(pending=None), Script()])
    cluster = FakeCluster(lambda _spec: next(runs))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit(retries=1, backoff=0.05)
        await on.until(job_id, lambda job: job.activity is Activity.PULLING)
        cluster.happen(job_id, Accident.EVICT)
        job = await on.ends(job_id)
        assert job.state is JobState.SUCCEEDED
        assert [(attempt.reason, attempt.started_at is None) for attempt in job.attempts] == [
            ("Evicted", True),
            (None, False),
        ]


async def test_a_command_that_can_not_be_started_fails_before_it_ran(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(start_error='exec: "/no/such": no such file'))
    async with bench(tmp_path, cluster) as on:
        job = await on.ends(await on.submit())
        assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, Reason.START_ERROR, 128)
        assert "/no/such" in str(job.message)
        assert job.attempts[0].log.complete


async def test_a_container_that_the_net_stopped_while_no_server_was_there_is_timed_out(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(pending=2, runs=None, lines=("begin",)))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.until(job_id, lambda job: job.state is JobState.STARTING)
        await eventually(lambda: bool(cluster.made) and _placed(cluster))
    await eventually(lambda: isinstance(_shown_pod(cluster).container, Running))
    cluster.happen(job_id, Accident.DEADLINE)
    async with bench(tmp_path, cluster) as on:
        job = await on.ends(job_id)
        assert (job.state, job.reason, job.exit_code) == (JobState.TIMED_OUT, Reason.DEADLINE_EXCEEDED, 143)
        assert await on.log(job_id) == b"begin\n"


async def test_a_container_that_was_added_to_the_pod_and_never_ends_holds_no_job(tmp_path: Path) -> None:
    """The main container's end is the attempt's, whatever becomes of the rest."""
    cluster = FakeCluster(lambda _spec: Script(exit_code=3, runs=0.2, lines=("main",), over_after=3600))
    async with bench(tmp_path, cluster, others_grace=0.3) as on:
        job = await on.ends(await on.submit())
        assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, Reason.NON_ZERO_EXIT, 3)
        assert await on.log(job.id) == b"main\n"
        assert job.attempts[0].log.complete
        await on.closed()
        assert left(cluster) == []


async def test_a_container_that_was_added_and_can_not_be_halted_is_deleted(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(runs=0.2, over_after=3600, can_halt=False))
    async with bench(tmp_path, cluster, others_grace=0.3) as on:
        job = await on.ends(await on.submit())
        assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
        await on.closed()
        assert left(cluster) == []


async def test_a_job_whose_create_is_not_answered_says_so_and_goes_on_by_itself(tmp_path: Path) -> None:
    """Invariant 9: neither its start limit nor anything else ends it meanwhile."""
    cluster = FakeCluster()
    async with bench(tmp_path, cluster) as on:
        cluster.outage(2.0)
        job_id = await on.submit(start_timeout=0.5)
        waiting = await on.until(job_id, lambda job: job.reason is not None)
        assert (waiting.state, waiting.reason) == (JobState.STARTING, Reason.CLUSTER_UNREACHABLE)
        assert waiting.message
        assert waiting.hint
        job = await on.ends(job_id)
        assert (job.state, job.reason, job.message) == (JobState.SUCCEEDED, None, None)


async def test_a_create_that_is_refused_for_now_waits_until_the_start_limit(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(unknown_creates=1000))
    async with bench(tmp_path, cluster) as on:
        job = await on.ends(await on.submit(start_timeout=1))
        assert (job.state, job.message) == (JobState.FAILED, "the answer was lost")
        assert job.attempts[0].log.complete
        await on.closed()
        assert left(cluster) == []
