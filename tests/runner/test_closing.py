"""How a Runner ends: what becomes of its jobs, of their objects in the cluster, and of those who wait."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_jobs import JobState, Runner, Task
from spark_jobs.cluster.base import AttemptRef, Created, CreateRefused, CreateUnknown
from spark_jobs.domain.errors import (
    CredentialsError,
    RunnerFailed,
    RunnerMisused,
    SettingError,
)
from spark_jobs.domain.job import Job
from spark_jobs.domain.spec import JobSpec
from spark_jobs.runner import runner as module
from spark_jobs.runner.keywords import KNOWN, Keywords
from spark_jobs.testing import FakeCluster, Script
from tests.runner.conftest import others, scripted, words
from tests.runner.test_runner import state_is

pytestmark = pytest.mark.looptime


async def test_the_end_of_the_block_waits_for_what_was_taken() -> None:
    tasks = [Task(command=["sleep", str(seconds)], image="busybox:1") for seconds in (1, 50, 100)]
    cluster = scripted()
    async with Runner(cluster=cluster, max_concurrent_jobs=2) as runner:
        for task in tasks:
            await runner.add_task(task)
    assert [task.status for task in tasks] == ["SUCCEEDED"] * 3
    assert runner.left == []
    assert cluster.strangers(lambda _: False) == []
    assert others() == set()


async def test_what_was_only_just_submitted_is_waited_for() -> None:
    async with Runner(cluster=scripted(), max_concurrent_jobs=1, queue_size=0) as runner:
        waiting = [runner.submit(words("sleep", "5"), wait_for_room=True) for _ in range(3)]
    assert [(await each).state for each in waiting] == [JobState.SUCCEEDED] * 3


async def test_an_exception_cancels_what_was_taken_and_waits_for_it() -> None:
    stubborn = Script(runs=None, ignores_term=True)
    tasks = [Task(command=[word], image="busybox:1") for word in ("sh", "sh", "forever", "true", "true")]
    cluster = scripted(sh=stubborn)

    async def program() -> None:
        async with Runner(cluster=cluster, max_concurrent_jobs=3) as runner:
            for task in tasks:
                await runner.add_task(task)
            await state_is(runner, str(tasks[2].id), JobState.RUNNING)
            raise KeyError

    began = asyncio.get_running_loop().time()
    with pytest.raises(KeyError):
        await program()
    assert [task.status for task in tasks] == ["CANCELLED"] * 5
    # The grace of a container that does not listen.
    assert asyncio.get_running_loop().time() - began >= 30
    assert cluster.strangers(lambda _: False) == []
    assert len(cluster.made) == 3, "a queued job was started instead of cancelled"


async def test_an_exception_cancels_submissions_too() -> None:
    submissions = []

    async def program() -> None:
        async with Runner(cluster=scripted()) as runner:
            submissions.append(runner.submit(words("forever")))
            await asyncio.sleep(1)
            raise KeyError

    with pytest.raises(KeyError):
        await program()
    assert [each.cancelled() for each in submissions] == [True]


async def test_a_cancelled_wait_at_the_end_cancels_the_jobs() -> None:
    task = Task(command=["forever"], image="busybox:1")

    async def program() -> None:
        async with Runner(cluster=scripted()) as runner:
            await runner.add_task(task)

    running = asyncio.create_task(program())
    await asyncio.sleep(5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert task.status == "CANCELLED"
    assert others() == set()


async def test_a_second_cancellation_leaves_at_once() -> None:
    task = Task(command=["sh"], image="busybox:1")
    cluster = scripted(sh=Script(runs=None, ignores_term=True))

    async def program() -> None:
        async with Runner(cluster=cluster) as runner:
            await runner.add_task(task)

    running = asyncio.create_task(program())
    loop = asyncio.get_running_loop()
    for _ in range(2):
        await asyncio.sleep(5)
        running.cancel()
    began = loop.time()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert loop.time() - began < 1
    assert task.status == "RUNNING"


async def test_what_the_cluster_still_holds_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLEAN_WITHIN", 10.0)
    cluster = scripted(true=Script(lingers=3600))
    with caplog.at_level(logging.WARNING, "spark_jobs"):
        async with Runner(cluster=cluster) as runner:
            await runner.add_task(words("true"))
    assert runner.left == [cluster.made[0].name]
    assert cluster.made[0].name in caplog.text


async def test_closing_twice_is_closing_once() -> None:
    async with Runner(cluster=scripted()) as runner:
        await runner.add_task(words("true"))
        await runner.shutdown()
        await runner.shutdown()
        with pytest.raises(RunnerMisused, match="is closed"):
            await runner.add_task(words("true"))


async def test_it_starts_and_ends_without_a_block() -> None:
    runner = await Runner(cluster=scripted()).start()
    handle = await runner.add_task(words("forever"))
    waiting = asyncio.create_task(handle.wait())
    await asyncio.sleep(1)
    await runner.shutdown(cancel=True)
    assert (await waiting).state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: Runner(cluster=scripted()), "without a data_dir"),
        (lambda folder: Runner(cluster="local", data_dir=folder), "processes of this one"),
    ],
)
async def test_jobs_that_nobody_could_find_again_are_not_left(
    make: Callable[[Path], Runner], why: str, tmp_path: Path
) -> None:
    async with make(tmp_path / "data") as runner:
        with pytest.raises(RunnerMisused, match=why):
            await runner.shutdown(wait=False)
        await runner.add_task(words("true"))


# Misuse


async def test_it_is_not_used_before_its_start() -> None:
    runner = Runner(cluster="fake")
    for use in (runner.add_task(words("true")), runner.client.get("x"), runner.shutdown()):
        with pytest.raises(RunnerMisused, match="async with Runner"):
            await use
    with pytest.raises(RunnerMisused, match="async with Runner"):
        runner.submit(words("true"))


async def test_it_is_started_once() -> None:
    async with Runner(cluster="fake") as runner:
        with pytest.raises(RunnerMisused, match="started before"):
            await runner.start()
    with pytest.raises(RunnerMisused, match="started before"):
        await runner.start()


async def test_it_takes_nothing_while_it_closes() -> None:
    async with Runner(cluster=scripted()) as runner:
        await runner.add_task(words("sleep", "10"))
        closing = asyncio.create_task(runner.shutdown())
        await asyncio.sleep(1)
        with pytest.raises(RunnerMisused, match="is closing"):
            await runner.add_task(words("true"))
        await closing


async def test_it_takes_no_text() -> None:
    async with Runner(cluster="fake") as runner:
        with pytest.raises(RunnerMisused, match="not a str"):
            await runner.add_task("echo hello")  # type: ignore[arg-type]  # what is tried here


# Settings


def test_the_typed_keywords_are_the_settings_of_the_table() -> None:
    signature = {"kubeconfig", "cluster", "max_concurrent_jobs", "queue_size", "default_timeout", "data_dir"}
    assert set(Keywords.__annotations__) | signature == KNOWN


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"max_concurent_jobs": 3}, "did you mean `max_concurrent_jobs`"),
        ({"port": 8000}, "a setting of the server"),
        ({"max_concurrent_jobs": 0}, "max_concurrent_jobs: write a whole number"),
        ({"default_timeout": "soon"}, "default_timeout: "),
        ({"cluster": "moon"}, "cluster: write one of kubernetes, local, fake"),
        ({"keep_failed_objects": "1h"}, "name a folder with data_dir"),
    ],
)
def test_a_wrong_keyword_is_told_by_its_name(keywords: dict[str, object], told: str) -> None:
    with pytest.raises(SettingError, match=re.escape(told)) as refused:
        Runner(**keywords)  # type: ignore[arg-type]  # what is tried here
    assert "--" not in refused.value.message


async def test_settings_are_not_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_QUEUE_SIZE", "7")
    monkeypatch.setenv("SPARK_CLUSTER", "local")
    async with Runner(cluster="fake") as runner:
        assert (await runner.client.queue()).capacity == 100


async def test_a_missing_kubeconfig_is_told_by_the_keyword(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(CredentialsError, match=r"no kubeconfig .* with kubeconfig") as refused:
        await Runner().start()
    assert "--" not in refused.value.message


# A fault in Spark


class Breaking(FakeCluster):
    """Breaks the engine when it creates an attempt, as only a fault could."""

    async def create(self, ref: AttemptRef, spec: JobSpec) -> Created | CreateRefused | CreateUnknown:
        raise LookupError("no such thing")


async def test_a_broken_engine_reaches_everybody_who_waits() -> None:
    async def program() -> None:
        async with Runner(cluster=Breaking()) as runner:
            handle = await runner.add_task(words("true"))
            waits: list[asyncio.Task[object]] = [
                asyncio.create_task(handle.wait()),
                asyncio.create_task(collect_log(runner, handle.id)),
                asyncio.create_task(collect_events(runner)),
                runner.submit(words("true"), wait_for_room=True),
            ]
            for outcome in await asyncio.gather(*waits, return_exceptions=True):
                assert isinstance(outcome, RunnerFailed)
                assert "LookupError: no such thing" in outcome.message
                assert isinstance(outcome.__cause__, BaseExceptionGroup)

    with pytest.raises(RunnerFailed):
        await program()
    assert others() == set()


async def collect_log(runner: Runner, job_id: str) -> list[bytes]:
    return [piece.data async for piece in runner.client.follow(job_id)]


async def collect_events(runner: Runner) -> list[Job]:
    return [event.job async for event in runner.client.events()]


async def test_what_left_the_block_is_told_rather_than_the_broken_engine() -> None:
    async def program() -> None:
        async with Runner(cluster=Breaking()) as runner:
            await runner.add_task(words("true"))
            await asyncio.sleep(1)
            raise KeyError

    with pytest.raises(KeyError):
        await program()
