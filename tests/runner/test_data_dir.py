"""A Runner with a folder of its own: what is left running there, and who finds it again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from spark_jobs import JobState, Runner
from spark_jobs.domain.errors import DataDirInUse, RunnerMisused
from tests.runner.conftest import scripted, words
from tests.runner.test_runner import state_is


async def test_jobs_that_are_left_running_are_found_again(tmp_path: Path) -> None:
    cluster = scripted()
    async with Runner(cluster=cluster, data_dir=tmp_path / "data") as runner:
        await runner.add_task({**words("forever"), "id": "mine"})
        await state_is(runner, "mine", JobState.RUNNING)
        waiting = runner.submit({**words("forever"), "id": "mine"})
        await runner.shutdown(wait=False)
        with pytest.raises(RunnerMisused, match="is closed"):
            await waiting
    async with Runner(cluster=cluster, data_dir=tmp_path / "data") as runner:
        handle = await runner.add_task({**words("forever"), "id": "mine"})
        assert handle.replayed
        cluster.finish("mine")
        assert (await handle.wait()).state is JobState.SUCCEEDED
    assert len(cluster.made) == 1


async def test_an_exception_leaves_jobs_of_an_earlier_runner_alone(tmp_path: Path) -> None:
    cluster = scripted()
    async with Runner(cluster=cluster, data_dir=tmp_path / "data") as runner:
        await runner.add_task({**words("forever"), "id": "earlier"})
        await state_is(runner, "earlier", JobState.RUNNING)
        await runner.shutdown(wait=False)

    async def program() -> None:
        async with Runner(cluster=cluster, data_dir=tmp_path / "data") as runner:
            await runner.add_task({**words("forever"), "id": "own"})
            raise KeyError

    with pytest.raises(KeyError):
        await program()
    async with Runner(cluster=cluster, data_dir=tmp_path / "data") as runner:
        states = {job.id: job.state async for job in runner.client.list()}
        assert states == {"earlier": JobState.RUNNING, "own": JobState.CANCELLED}


async def test_objects_that_shall_be_kept_are_not_waited_for(tmp_path: Path) -> None:
    cluster = scripted()
    async with Runner(cluster=cluster, data_dir=tmp_path / "data", keep_objects="1h") as runner:
        await runner.add_task(words("true"))
    assert runner.left == []
    assert cluster.strangers(lambda _: False) == [cluster.made[0].name]


async def test_a_folder_serves_one_at_a_time(tmp_path: Path) -> None:
    async with Runner(cluster=scripted(), data_dir=tmp_path / "data"):
        with pytest.raises(DataDirInUse, match="name another folder with data_dir"):
            await Runner(cluster=scripted(), data_dir=tmp_path / "data").start()


def test_it_belongs_to_one_event_loop() -> None:
    runner = Runner(cluster="fake")

    async def first() -> None:
        await runner.start()
        await runner.add_task(words("true"))

    async def second() -> None:
        with pytest.raises(RunnerMisused, match="another event loop"):
            await runner.add_task(words("true"))

    asyncio.run(first())
    asyncio.run(second())


def test_a_loop_that_ends_lets_go_of_everything(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    async def forgets() -> None:
        runner = await Runner(cluster="local", data_dir=tmp_path / "data").start()
        handle = await runner.add_task(words("sh", "-c", f"echo $$ > {pid_file}; echo; exec sleep 600"))
        async for _ in handle.logs():
            return

    async def goes_on() -> list[JobState]:
        async with Runner(cluster="local", data_dir=tmp_path / "data") as runner:
            return [(await runner.client.wait(job.id)).state async for job in runner.client.list()]

    asyncio.run(forgets())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert asyncio.run(goes_on()) == [JobState.FAILED]
