"""Creating, watching, stopping and deleting attempts."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from spark_jobs.cluster.base import Created, CreateRefused, Running, Waiting
from spark_jobs.domain.errors import LogUnavailable
from tests.contract.cluster import programs
from tests.contract.cluster.stage import Stage


async def test_an_attempt_goes_from_its_create_to_its_end(stage: Stage) -> None:
    ref = await stage.create(programs.SUCCEEDS)
    pod, end = await stage.over(ref)
    assert (end.exit_code, end.signal, end.reason) == (0, None, "Completed")
    assert end.started_at is not None
    assert end.finished_at is not None
    assert end.started_at <= end.finished_at
    assert pod.reason is None
    assert pod.deleted_at is None
    assert pod.node
    assert ref.claim in stage.told


async def test_the_exit_code_is_the_programs_own(stage: Stage) -> None:
    ref = await stage.create(programs.EXITS_WITH_7)
    pod, end = await stage.over(ref)
    assert (end.exit_code, end.reason) == (7, "Error")
    assert sorted((await stage.text(ref, pod)).split()) == ["err", "out"]


async def test_a_program_that_dies_of_a_signal_has_128_more_as_its_exit_code(stage: Stage) -> None:
    _, end = await stage.over(await stage.create(programs.KILLS_ITSELF))
    assert end.exit_code == 137


async def test_what_a_program_leaves_as_its_result_is_the_message_of_its_end(stage: Stage) -> None:
    _, end = await stage.over(await stage.create(programs.LEAVES_A_RESULT))
    assert end.message == "42"


async def test_a_command_that_can_not_be_started_is_a_start_error_without_times(stage: Stage) -> None:
    _, end = await stage.over(await stage.create(programs.CANNOT_START))
    assert (end.exit_code, end.reason, end.started_at) == (128, "StartError", None)
    assert "/no/such/program" in (end.message or "")


async def test_a_program_knows_its_job_and_gets_its_environment_unchanged(stage: Stage) -> None:
    ref = await stage.create(programs.SAYS_WHERE_IT_IS)
    pod, _ = await stage.over(ref)
    assert await stage.text(ref, pod) == "suite 1 a $(b) $$ c\n"


async def test_a_second_create_finds_the_first_ones_object(stage: Stage) -> None:
    """Invariant 4."""
    ref = await stage.create(programs.RUNS_ON)
    unknown = msgspec.structs.replace(ref, uid=None)
    assert await stage.cluster.create(unknown, programs.RUNS_ON.spec()) == Created(uid=ref.uid or "")
    await stage.running(ref)
    assert await stage.cluster.create(unknown, programs.RUNS_ON.spec()) == Created(uid=ref.uid or "")


async def test_an_object_of_another_claim_is_neither_adopted_nor_touched(stage: Stage) -> None:
    """Invariant 4."""
    theirs = await stage.create(programs.RUNS_ON)
    await stage.running(theirs)
    ours = stage.ref(name=theirs.name)
    answer = await stage.cluster.create(ours, programs.SUCCEEDS.spec())
    assert isinstance(answer, CreateRefused)
    assert answer.reason == "NameConflict"
    assert (await stage.cluster.look(ours)).foreign
    await stage.cluster.delete(ours, over=False)
    seen = await stage.cluster.look(theirs)
    assert seen.job is not None
    assert not seen.job.deleted


async def test_looking_shows_what_is_observed(stage: Stage) -> None:
    ref = await stage.create(programs.EXITS_WITH_7)
    pod, _ = await stage.over(ref)
    looked = await stage.cluster.look(ref)
    assert looked.current
    assert looked.job is not None
    assert looked.job.uid == ref.uid
    assert looked.pod is not None
    assert (looked.pod.uid, looked.pod.container, looked.pod.over) == (pod.uid, pod.container, True)


async def test_nothing_is_shown_of_an_attempt_that_was_never_created(stage: Stage) -> None:
    await stage.over(await stage.create(programs.SUCCEEDS))
    ref = stage.ref()
    await stage.vanished(ref)
    looked = await stage.cluster.look(ref)
    assert (looked.current, looked.job, looked.pod, looked.foreign) == (True, None, None, False)
    assert await stage.cluster.gone(ref)


async def test_a_held_pod_starts_once_it_is_released_and_only_the_released_one_is_shown(stage: Stage) -> None:
    """Invariant 4."""
    ref = await stage.create(programs.SUCCEEDS)
    pod = await stage.held(ref)
    if pod.held:
        assert (pod.scheduled, pod.node, pod.unschedulable, pod.container) == (False, None, None, Waiting())
        another = msgspec.structs.replace(ref, released="another pod's")
        assert stage.cluster.observe(another).pod is None
        assert (await stage.cluster.look(another)).pod is None
    ours = msgspec.structs.replace(ref, released=pod.uid)
    assert await stage.cluster.release(ours, pod)
    assert await stage.cluster.release(ours, pod), "asked again, as after a lost answer"
    over, _ = await stage.over(ours)
    assert (over.uid, over.held) == (pod.uid, False)


async def test_releasing_a_pod_that_is_gone_says_so(stage: Stage) -> None:
    ref = await stage.create(programs.SUCCEEDS)
    pod = await stage.held(ref)
    await stage.cluster.delete(ref, over=False)
    await stage.vanished(ref)
    assert not pod.held or not await stage.cluster.release(ref, pod)


async def test_what_has_started_meanwhile_is_not_deleted_as_idle(stage: Stage) -> None:
    """Invariant 6: it has a log to lose."""
    ref = await stage.create(programs.RUNS_ON)
    before = await stage.until(ref, lambda seen: seen.pod is not None)
    assert before.pod is not None
    await stage.running(ref)
    idle = msgspec.structs.replace(before.pod, container=Waiting(), held=False)
    assert not await stage.cluster.delete(ref, over=False, idle=idle)
    seen = stage.cluster.observe(ref)
    assert seen.pod is not None
    assert isinstance(seen.pod.container, Running)
    assert seen.pod.deleted_at is None


async def test_what_has_not_started_is_deleted_as_idle(stage: Stage) -> None:
    ref = await stage.create(programs.RUNS_ON)
    pod = await stage.held(ref)
    assert await stage.cluster.delete(ref, over=False, idle=pod)
    await stage.vanished(ref)


async def test_a_halted_program_ends_by_itself_and_keeps_pod_and_log(stage: Stage) -> None:
    ref = await stage.create(programs.ENDS_WHEN_ASKED)
    assert await stage.cluster.halt(ref, await stage.ready(ref))
    pod, end = await stage.over(ref)
    assert end.exit_code == 3
    assert pod.reason == "DeadlineExceeded"
    assert pod.deleted_at is None
    assert await stage.text(ref, pod) == "ready\nbye\n"


async def test_a_halted_program_that_ignores_term_is_killed_after_its_grace(stage: Stage) -> None:
    """Invariant 10."""
    ref = await stage.create(programs.IGNORES_TERM)
    assert await stage.cluster.halt(ref, await stage.ready(ref))
    pod, end = await stage.over(ref)
    assert end.exit_code == 137
    assert pod.reason == "DeadlineExceeded"
    assert await stage.text(ref, pod) == "ready\n"


async def test_a_running_attempt_is_gone_after_its_delete(stage: Stage) -> None:
    """Invariant 10."""
    ref = await stage.create(programs.IGNORES_TERM)
    pod = await stage.ready(ref)
    assert not await stage.cluster.gone(ref)
    await stage.cluster.delete(ref, over=False)
    await stage.vanished(ref)
    assert await stage.cluster.gone(ref)
    with pytest.raises(LogUnavailable) as caught:
        await stage.text(ref, pod)
    assert caught.value.gone


async def test_a_pod_that_is_being_deleted_says_so(stage: Stage) -> None:
    ref = await stage.create(programs.IGNORES_TERM)
    await stage.ready(ref)
    await stage.cluster.delete(ref, over=False)
    seen = await stage.until(ref, lambda seen: seen.pod is None or seen.pod.deleted_at is not None)
    assert seen.pod is not None


async def test_a_finished_attempt_is_gone_after_its_delete(stage: Stage) -> None:
    """Invariant 7."""
    ref = await stage.create(programs.SUCCEEDS)
    await stage.over(ref)
    await stage.cluster.delete(ref, over=True)
    await stage.vanished(ref)
    assert await stage.cluster.gone(ref)
    await stage.cluster.delete(ref, over=True)


async def test_a_delete_for_another_uid_touches_nothing(stage: Stage) -> None:
    ref = await stage.create(programs.RUNS_ON)
    await stage.running(ref)
    other = msgspec.structs.replace(ref, uid="00000000-0000-4000-8000-000000000000")
    await stage.cluster.delete(other, over=False)
    seen = await stage.cluster.look(ref)
    assert seen.job is not None
    assert not seen.job.deleted


async def test_an_attempt_that_nobody_knows_is_named_a_stranger(stage: Stage) -> None:
    ref = await stage.create(programs.RUNS_ON)
    await stage.running(ref)
    # Kubernetes names the Job and its pod.
    assert {name[: len(ref.name)] for name in stage.cluster.strangers(lambda claim: claim != ref.claim)} == {ref.name}
    assert stage.cluster.strangers(lambda _claim: True) == []


async def test_ten_attempts_at_once_each_run_once(stage: Stage) -> None:
    refs = [await stage.create(programs.EXITS_WITH_7) for _ in range(10)]
    ends = await asyncio.gather(*(stage.over(ref) for ref in refs))
    assert [end.exit_code for _, end in ends] == [7] * 10


async def test_a_started_cluster_is_healthy_and_shares_our_clock(stage: Stage) -> None:
    await stage.over(await stage.create(programs.SUCCEEDS))
    assert stage.cluster.health().reachable
    assert stage.cluster.health().problem is None
    assert abs(stage.cluster.clock_offset().total_seconds()) < 5
