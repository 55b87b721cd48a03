"""The Runner without async: futures, iterators, threads, and a running event loop around it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

import spark_jobs
from spark_jobs import Job, JobFailed, JobState, LogOptions, QueueFull, SearchOptions, Task
from spark_jobs.domain.errors import InvalidSpec, RunnerMisused, ServerUnreachable
from spark_jobs.domain.search import SearchProgress
from spark_jobs.sync import Client, Handle, Runner
from tests.runner.conftest import scripted, words

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Each Runner takes its threads with it."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) - before == set()


def test_a_job_is_run_to_its_end_and_told_about() -> None:
    with Runner(cluster=scripted()) as runner:
        task = Task(command=["echo", "hello", "world"], image="busybox:1")
        handle = runner.add_task(task)
        assert isinstance(handle, Handle)
        assert list(handle.logs()) == ["hello world"]
        job = handle.result()
        assert (job.id, job.state) == (handle.id, JobState.SUCCEEDED)
        assert (task.status, task.logs) == ("SUCCEEDED", "hello world\n")
        assert [event.target for event in handle.events()] == ["QUEUED", "STARTING", "RUNNING", "SUCCEEDED"]
        assert b"".join(piece.data for piece in handle.output(LogOptions(tail=1))) == b"hello world\n"
        assert not handle.replayed
        assert handle.job.state is JobState.QUEUED


def test_the_client_of_a_runner_offers_the_rest() -> None:
    with Runner(cluster=scripted()) as runner:
        first, second = (runner.add_task(words("exit", str(code))).wait() for code in (0, 1))
        client = runner.client
        assert [job.id for job in client.list()] == [second.id, first.id]
        assert client.resolve("@latest") == second.id
        assert client.get(first.id).state is JobState.SUCCEEDED
        assert client.retry(second.id).retry_of == second.id
        assert client.pause().paused
        assert not client.resume().paused
        client.close()  # it is the Runner's to close
        assert client.queue().capacity == 100


def test_futures_are_those_of_the_standard_library() -> None:
    with Runner(cluster=scripted()) as runner:
        futures = [runner.submit(words("sleep", str(tenths / 10))) for tenths in (3, 1, 2)]
        ended = [future.result().spec.command for future in concurrent.futures.as_completed(futures, PATIENCE)]
        assert ended == [["sleep", "0.1"], ["sleep", "0.2"], ["sleep", "0.3"]]
        failing = runner.submit(words("exit", "3"))
        done, pending = concurrent.futures.wait([failing, *futures], PATIENCE)
        assert (len(done), pending) == (4, set())
        with pytest.raises(JobFailed):
            failing.result()
        assert isinstance(failing.exception(), JobFailed)


def test_cancelling_a_future_cancels_its_job() -> None:
    with Runner(cluster=scripted()) as runner:
        for number in range(20):
            future = runner.submit({**words("forever"), "id": f"long-{number}"})
            assert future.cancel()
            with pytest.raises(concurrent.futures.CancelledError):
                future.result(PATIENCE)
            assert runner.client.wait(f"long-{number}", timeout=PATIENCE).state is JobState.CANCELLED


def test_a_full_queue_is_an_error_of_submit_itself() -> None:
    with Runner(cluster=scripted(), max_concurrent_jobs=1, queue_size=0) as runner:
        first = runner.submit(words("sleep", "0.2"))
        with pytest.raises(QueueFull):
            runner.submit(words("true"))
        assert runner.submit(words("true"), wait_for_room=True).result(PATIENCE).state is JobState.SUCCEEDED
        assert first.done()


def test_who_stops_waiting_leaves_the_job_alone() -> None:
    with Runner(cluster=scripted()) as runner:
        handle = runner.add_task(words("sleep", "0.5"))
        with pytest.raises(TimeoutError):
            handle.wait(timeout=0.01)
        assert handle.wait().state is JobState.SUCCEEDED


def test_map_takes_its_input_in_the_callers_thread() -> None:
    """So an input may take its time, and may use the Runner itself."""
    with Runner(cluster=scripted()) as runner:
        threads = set()

        def tasks() -> Iterator[dict[str, object]]:
            for _ in range(5):
                threads.add(threading.current_thread())
                yield words("sleep", str(len(list(runner.client.list())) / 100))

        jobs = list(runner.map(tasks()))
        assert [job.spec.command for job in jobs] == [["sleep", str(number / 100)] for number in range(5)]
        assert threads == {threading.current_thread()}


def test_map_ends_at_the_first_failure_and_cancels_the_rest() -> None:
    with Runner(cluster=scripted()) as runner:
        jobs = runner.map(words(*command) for command in (["true"], ["exit", "3"], ["forever"]))
        assert next(jobs).exit_code == 0
        with pytest.raises(JobFailed):
            next(jobs)
        assert sorted(runner.client.wait(job.id).state for job in runner.client.list()) == [
            "CANCELLED",
            "FAILED",
            "SUCCEEDED",
        ]
        codes = [job.exit_code for job in runner.map([words("exit", "1"), words("true")], return_failed=True)]
        assert codes == [1, 0]


def test_iterators_are_left_in_the_middle_without_a_trace() -> None:
    with Runner(cluster=scripted()) as runner:
        handle = runner.add_task(words("forever"))
        for line in handle.logs():
            assert line == "begun"
            break
        for event in runner.client.events(after=0):
            assert event.job_id == handle.id
            break
        kept = handle.logs()
        assert next(kept) == "begun"
        handle.cancel()
    del kept  # after the end, as the garbage collector may


def test_logs_are_searched() -> None:
    with Runner(cluster=scripted()) as runner:
        for text in ("first error", "second error"):
            runner.add_task(words("echo", text)).wait()
        told: list[SearchProgress] = []
        found = list(runner.client.search("ERROR", SearchOptions(ignore_case=True), on_progress=told.append))
        assert [match.found.text for match in found] == ["second error", "first error"]
        assert (told[-1].logs, told[-1].complete) == (2, True)
        searching = runner.client.search("error")
        assert next(searching).found.text == "second error"
        with pytest.raises(InvalidSpec, match="pattern"):
            next(runner.client.search("("))
    del searching  # left in the middle


def test_it_serves_many_threads_at_once() -> None:
    with Runner(cluster=scripted()) as runner, concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda code: runner.add_task(words("exit", str(code))).wait().exit_code, range(20))
        assert list(results) == list(range(20))


async def test_it_works_inside_a_running_event_loop() -> None:
    """As in a notebook, whose cells run in one."""
    runner = Runner(cluster=scripted()).start()
    assert runner.add_task(words("true")).result().state is JobState.SUCCEEDED
    job = await asyncio.wrap_future(runner.submit(words("true")))
    assert runner.client.get(job.id) == job
    runner.shutdown()
    runner.shutdown()


def test_an_exception_cancels_and_a_normal_end_waits() -> None:
    def program() -> None:
        with Runner(cluster=scripted()) as runner:
            futures.append(runner.submit(words("forever")))
            raise KeyError

    futures: list[Future[Job]] = []
    with pytest.raises(KeyError):
        program()
    assert futures[0].cancelled()
    with Runner(cluster=scripted()) as runner:
        futures.append(runner.submit(words("sleep", "0.1")))
    assert futures[1].result(0).state is JobState.SUCCEEDED


def test_jobs_are_left_running_for_the_next_one(tmp_path: Path) -> None:
    cluster = scripted()
    runner = Runner(cluster=cluster, data_dir=tmp_path / "data").start()
    assert runner.add_task({**words("echo", "x"), "id": "mine"}).wait().state is JobState.SUCCEEDED
    runner.shutdown(wait=False)
    with Runner(cluster=cluster, data_dir=tmp_path / "data") as runner:
        assert runner.client.get("mine").state is JobState.SUCCEEDED
        with pytest.raises(RunnerMisused, match="without a data_dir"), Runner(cluster="fake") as other:
            other.shutdown(wait=False)


def test_misuse_is_told() -> None:
    runner = Runner(cluster="fake")
    with pytest.raises(RunnerMisused, match="with Runner"):
        runner.add_task(words("true"))
    with runner:
        told: Future[BaseException | None] = Future()
        future = runner.submit(words("true"))
        future.add_done_callback(lambda _: told.set_result(raised(runner)))
        error = told.result(PATIENCE)
        assert isinstance(error, RunnerMisused)
        assert "callback" in error.message
        with pytest.raises(RunnerMisused, match="started before"):
            runner.start()
    with pytest.raises(RunnerMisused, match="closed"):
        runner.add_task(words("true"))


def raised(runner: Runner) -> BaseException | None:
    """What comes of waiting for a job here."""
    try:
        runner.add_task(words("true"))
    except RunnerMisused as error:
        return error
    return None


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_has_no_part_in_it() -> None:
    with Runner(cluster=scripted()) as runner:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                error = raised(runner)
                os.write(writing, str(error).encode())
                runner.__exit__(None, None, None)  # what a child that leaves the block would do
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            assert "not to a fork of it" in pipe.read()
        os.waitpid(child, 0)
        assert runner.add_task(words("true")).result().state is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("own", "model"),
    [(Client, spark_jobs.Client), (Handle, spark_jobs.Handle), (Runner, spark_jobs.Runner)],
    ids=["Client", "Handle", "Runner"],
)
def test_it_offers_what_there_is_with_async(own: type, model: type) -> None:
    # Attributes of the model's objects, and what only serves other code of the library.
    apart = {"client", "left", "over", "with_settings", "ahead", "attend", "check_can_leave", "unfinished", "abandon"}
    assert public(own) - apart == public(model) - apart - {"interrupted"}


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_a_client_of_a_server_is_the_same_without_async() -> None:
    with Client("http://127.0.0.1:9", reconnect_timeout=0) as client:
        with pytest.raises(ServerUnreachable):
            client.get("nightly")
        with pytest.raises(ServerUnreachable):
            list(client.list())
    with pytest.raises(RunnerMisused, match="closed"):
        client.get("nightly")
