"""The Runner on a fake cluster, with virtual time: what it takes, gives back and refuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from spark_jobs import (
    Handle,
    JobCancelled,
    JobFailed,
    JobQuery,
    JobSpec,
    JobState,
    JobTimedOut,
    LogOptions,
    QueueFull,
    Runner,
    Task,
)
from spark_jobs.domain.errors import IdConflict, InvalidSpec, NotCancellable
from spark_jobs.testing import Script
from tests.runner.conftest import SLEEPS, others, scripted, words

pytestmark = pytest.mark.looptime


async def test_a_job_is_run_to_its_end_and_told_about() -> None:
    two_lines = Script(lines=("out", "err"), line_every=1.0, runs=2.0, exit_code=7)
    async with Runner(cluster=scripted(sh=two_lines)) as runner:
        handle = await runner.add_task(words("sh"))
        assert [line async for line in handle.logs()] == ["out", "err"]
        job = await handle.wait()
        assert (job.id, job.state, job.reason, job.exit_code) == (handle.id, JobState.FAILED, "NonZeroExit", 7)
        with pytest.raises(JobFailed) as failed:
            await handle.result()
        assert failed.value.job == job
        assert [event.target async for event in handle.events()] == ["QUEUED", "STARTING", "RUNNING", "FAILED"]
    assert others() == set()


@pytest.mark.parametrize("kind", [Task, JobSpec, dict])
async def test_it_takes_a_task_a_spec_or_a_mapping(kind: type) -> None:
    async with Runner(cluster=scripted()) as runner:
        handle = await runner.add_task(kind(image="busybox:1", command=["true"], timeout=30, id="mine"))
        job = await handle.result()
    assert (job.id, job.spec.image, job.spec.command, job.spec.timeout) == ("mine", "busybox:1", ["true"], 30)


@pytest.mark.parametrize(
    ("command", "kind"), [(["exit", "3"], JobFailed), (["sleep", "60"], JobTimedOut), (["forever"], JobCancelled)]
)
async def test_a_result_is_a_success_or_says_what_else(command: list[str], kind: type[JobFailed]) -> None:
    async with Runner(cluster=scripted()) as runner:
        handle = await runner.add_task({**words(*command), "timeout": 5})
        if kind is JobCancelled:
            await handle.cancel()
        with pytest.raises(kind) as raised:
            await handle.result()
        assert type(raised.value) is kind
        if kind is not JobCancelled:
            with pytest.raises(NotCancellable):
                await handle.cancel()


async def test_who_stops_waiting_leaves_the_job_alone() -> None:
    async with Runner(cluster=scripted()) as runner:
        handle = await runner.add_task(words("sleep", "60"))
        with pytest.raises(TimeoutError):
            await handle.wait(timeout=10)
        assert (await runner.client.get(handle.id)).state is JobState.RUNNING
        assert (await handle.wait()).state is JobState.SUCCEEDED


async def test_a_full_queue_is_an_error_at_once() -> None:
    async with Runner(cluster=scripted(), max_concurrent_jobs=1, queue_size=2) as runner:
        taken = [await runner.add_task(words("sleep", "10")) for _ in range(3)]
        began = asyncio.get_running_loop().time()
        with pytest.raises(QueueFull) as full:
            await runner.add_task(words("true"))
        assert full.value.free == 0
        assert asyncio.get_running_loop().time() == began
        assert len(taken) == 3


async def test_waiting_for_room_is_served_in_turn() -> None:
    async with Runner(cluster=scripted(), max_concurrent_jobs=1, queue_size=0) as runner:
        add = [runner.add_task({**words("sleep", "5"), "id": f"job-{n}"}, wait_for_room=True) for n in range(5)]
        handles = await asyncio.gather(*add)
        jobs = [await handle.result() for handle in handles]
    started = [job.started_at for job in jobs]
    assert None not in started
    assert started == sorted(started, key=str)


async def test_a_handle_reads_a_part_of_the_log() -> None:
    async with Runner(cluster=scripted(sh=Script(lines=("one", "two", "three")))) as runner:
        handle = await runner.add_task(words("sh"))
        await handle.wait()
        assert [line async for line in handle.logs(LogOptions(tail=1))] == ["three"]
        assert b"".join([piece.data async for piece in handle.output()]) == b"one\ntwo\nthree\n"


async def test_the_client_of_a_runner_offers_the_rest() -> None:
    async with Runner(cluster=scripted()) as runner:
        job = await (await runner.add_task({**words("exit", "1"), "labels": {"team": "a"}})).wait()
        again = await runner.client.retry(job.id)
        assert again.retry_of == job.id
        await runner.client.wait(again.id)
        found = [each.id async for each in runner.client.list(JobQuery(labels=["team=a"]))]
        assert found == [again.id, job.id]
        assert (await runner.client.queue()).capacity == 100


# Task


async def test_a_task_tells_what_becomes_of_it() -> None:
    script = Script(lines=("hello",), runs=5.0)
    async with Runner(cluster=scripted(sh=script), max_concurrent_jobs=1) as runner:
        task = Task(command=["sh"], image="busybox:1", timeout=30)
        assert (task.status, task.id, task.logs) == (None, None, "")
        handle = await runner.add_task(task)
        assert (task.status, task.id) == ("PENDING", handle.id)
        async for event in handle.events():
            if event.target is JobState.RUNNING:
                assert (task.status, task.completed_at) == ("RUNNING", None)
        job = await handle.wait()
    assert (task.status, task.logs) == ("SUCCEEDED", "hello\n")
    assert (task.created_at, task.started_at, task.completed_at) == (job.created_at, job.started_at, job.finished_at)


@pytest.mark.parametrize(
    ("command", "status"), [(["exit", "3"], "FAILED"), (["sleep", "60"], "TIMEOUT"), (["forever"], "CANCELLED")]
)
async def test_a_task_ends_in_the_words_of_the_first_spark(command: list[str], status: str) -> None:
    task = Task(command=command, image="busybox:1", timeout=5)
    async with Runner(cluster=scripted()) as runner:
        handle = await runner.add_task(task)
        if status == "CANCELLED":
            await handle.cancel()
    assert task.status == status


async def test_a_tasks_log_is_cut_to_its_end() -> None:
    lines = tuple(f"{number:07} {'x' * 90}" for number in range(45_000))
    task = Task(command=["sh"], image="busybox:1")
    async with Runner(cluster=scripted(sh=Script(lines=lines))) as runner:
        await runner.add_task(task)
    first, *rest = task.logs.splitlines()
    assert "bytes before this line are left out" in first
    assert rest[-1] == lines[-1]
    assert 3_600_000 < len(task.logs.encode()) <= 3_670_016


async def test_a_task_is_taken_once() -> None:
    task = Task(command=["true"], image="busybox:1")
    async with Runner(cluster=scripted()) as runner:
        await runner.add_task(task)
        with pytest.raises(RuntimeError, match="added already, as job spark-job-"):
            await runner.add_task(task)


async def test_a_task_that_was_refused_can_be_added_again() -> None:
    task = Task(command=["true"], image="busybox:1")
    async with Runner(cluster=scripted(), max_concurrent_jobs=1, queue_size=0) as runner:
        blocking = await runner.add_task(words("sleep", "5"))
        with pytest.raises(QueueFull):
            await runner.add_task(task)
        assert (task.status, task.id) == (None, None)
        await blocking.wait()
        await runner.add_task(task, wait_for_room=True)
    assert task.status == "SUCCEEDED"


async def test_a_task_without_an_image_is_told_what_is_missing() -> None:
    async with Runner(cluster=scripted()) as runner:
        with pytest.raises(InvalidSpec) as refused:
            await runner.add_task(Task(command=["true"]))
        [fault] = refused.value.faults
        assert fault.pointer == "#/image"
        assert "busybox:1" in fault.detail


async def test_a_command_that_is_one_text_is_refused_with_a_hint() -> None:
    async with Runner(cluster=scripted()) as runner:
        with pytest.raises(InvalidSpec, match="write a list of words"):
            await runner.add_task(Task(command="echo hello", image="busybox:1"))


async def test_an_id_that_is_there_starts_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with Runner(cluster=scripted()) as runner:
        first = await runner.add_task({**words("true"), "id": "nightly"})
        await first.wait()
        task = Task(id="nightly", command=["true"], image="busybox:1")
        with caplog.at_level(logging.WARNING, "spark_jobs"):
            second = await runner.add_task(task)
        assert second.replayed
        assert not first.replayed
        assert "nothing was started" in caplog.text
        await second.wait()
        assert task.status == "SUCCEEDED"
        with pytest.raises(IdConflict):
            await runner.add_task({**words("false"), "id": "nightly"})


async def test_two_tasks_of_one_job_are_both_told() -> None:
    tasks = [Task(id="one", command=["sleep", "5"], image="busybox:1") for _ in range(2)]
    async with Runner(cluster=scripted()) as runner:
        for task in tasks:
            await runner.add_task(task)
    assert [task.status for task in tasks] == ["SUCCEEDED", "SUCCEEDED"]


# submit


async def test_a_submission_can_be_passed_around() -> None:
    async with Runner(cluster=scripted()) as runner:
        waiting = [runner.submit(words("sleep", str(seconds))) for seconds in (3, 1, 2)]
        ended = [(await each).spec.command for each in asyncio.as_completed(waiting)]
        assert ended == [["sleep", "1"], ["sleep", "2"], ["sleep", "3"]]
        with pytest.raises(JobFailed):
            await runner.submit(words("exit", "1"))
        with pytest.raises(InvalidSpec):
            await runner.submit({"image": 7})


async def test_cancelling_a_submission_cancels_its_job() -> None:
    async with Runner(cluster=scripted()) as runner:
        running = runner.submit({**words("forever"), "id": "long"})
        await state_is(runner, "long", JobState.RUNNING)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await runner.client.wait("long")).state is JobState.CANCELLED


async def test_cancelling_a_submission_while_it_is_sent_leaves_nothing_running() -> None:
    async with Runner(cluster=scripted()) as runner:
        for turns in range(6):
            running = runner.submit({**words("forever"), "id": f"early-{turns}"})
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        taken = [job async for job in runner.client.list()]
        assert taken, "all of them were cancelled before they were sent"
        for job in taken:
            assert (await runner.client.wait(job.id)).state is JobState.CANCELLED


async def state_is(runner: Runner, job_id: str, wanted: JobState) -> None:
    """Return once there is such a job in this state."""
    async for event in runner.client.events(after=0):
        if (event.job_id, event.target) == (job_id, wanted):
            return


# map


async def test_map_gives_the_jobs_in_the_order_of_the_tasks() -> None:
    async with Runner(cluster=scripted()) as runner:
        seconds = [5, 1, 4, 2, 3] * 10
        jobs = [job async for job in runner.map(words("sleep", str(each)) for each in seconds)]
        assert [job.spec.command for job in jobs] == [["sleep", str(each)] for each in seconds]
        assert [job async for job in runner.map([])] == []


async def test_map_takes_its_input_as_there_is_room() -> None:
    """A million inputs cost no more memory than a few: the most that was ever ahead."""
    made = given = most = 0

    def tasks() -> Iterator[dict[str, object]]:
        nonlocal made, most
        for _ in range(1_000_000):
            made += 1
            most = max(most, made - given)
            yield words("true")

    cluster = scripted()
    async with Runner(cluster=cluster, max_concurrent_jobs=3, queue_size=4) as runner:
        async for _ in (jobs := runner.map(tasks())):
            given += 1
            if given == 200:
                break
        await jobs.aclose()
    assert most <= 3 + 4 + 1
    assert cluster.most_at_once <= 3


async def test_map_goes_on_beside_others_who_fill_the_queue() -> None:
    async with Runner(cluster=scripted(), max_concurrent_jobs=1, queue_size=0) as runner:
        other = asyncio.create_task(collect(runner, "other", 10))
        assert await collect(runner, "own", 10) == await other == [JobState.SUCCEEDED] * 10


async def collect(runner: Runner, name: str, count: int) -> list[JobState]:
    tasks = ({**words("sleep", "1"), "name": name} for _ in range(count))
    return [job.state async for job in runner.map(tasks)]


async def test_map_raises_at_the_first_failure_and_cancels_what_it_had_started() -> None:
    async with Runner(cluster=scripted()) as runner:
        jobs = runner.map(map_words([["true"], ["exit", "3"], ["forever"], ["forever"]]))
        assert (await anext(jobs)).exit_code == 0
        with pytest.raises(JobFailed) as failed:
            await anext(jobs)
        assert failed.value.job.exit_code == 3
        ended = [(await runner.client.wait(job.id)).state async for job in runner.client.list()]
        assert sorted(ended) == ["CANCELLED", "CANCELLED", "FAILED", "SUCCEEDED"]


async def test_map_gives_failed_jobs_where_that_is_asked_for() -> None:
    async with Runner(cluster=scripted()) as runner:
        commands = [["exit", "1"], ["true"], ["exit", "2"]]
        codes = [job.exit_code async for job in runner.map(map_words(commands), return_failed=True)]
    assert codes == [1, 0, 2]


def map_words(commands: list[list[str]]) -> Iterator[dict[str, object]]:
    return (words(*command) for command in commands)


async def test_leaving_map_early_cancels_what_is_ahead() -> None:
    cluster = scripted()
    async with Runner(cluster=cluster) as runner:
        jobs = runner.map([words("true"), words("forever"), words("forever")])
        async for _ in jobs:
            break
        await jobs.aclose()
        ended = [(await runner.client.wait(job.id)).state async for job in runner.client.list()]
    assert sorted(ended) == ["CANCELLED", "CANCELLED", "SUCCEEDED"]


async def test_an_input_with_a_fault_ends_map_with_it() -> None:
    async with Runner(cluster=scripted()) as runner:
        with pytest.raises(InvalidSpec):
            async for _ in runner.map([words("forever"), {"image": 7}]):
                pass


async def test_a_handle_is_what_the_library_exports() -> None:
    async with Runner(cluster="fake") as runner:
        handle = await runner.add_task(words("true"))
        assert isinstance(handle, Handle)
        assert handle.job.state is JobState.QUEUED
        assert SLEEPS.runs is None
