"""A client that is cut off after its job was stored and before it hears so: one job, and an answer that is no replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spark_jobs.client import Client, Submission
from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.store.base import JobFilter
from tests.cli.reached import SCHEMES, through
from tests.engine.bench import PATIENCE, Bench, bench


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path / "data", FakeCluster()) as running:
        yield running


async def stored(core: Bench) -> list[str]:
    """The ids of all jobs."""
    return [job.id for job in (await core.service.list(JobFilter())).jobs]


async def submit(client: Client, count: int) -> list[Submission]:
    """Submit one job alone, or several as one."""
    spec = {"image": "a", "command": ["true"]}
    return [await client.submit(spec)] if count == 1 else await client.submit_batch([spec] * count)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("count", [1, 3])
async def test_what_was_stored_is_answered_after_the_cut_and_stored_once(core: Bench, scheme: str, count: int) -> None:
    async with through(core, scheme) as (client, relay):
        await client.queue()  # so that the connection stands
        relay.deaf = True
        submitting = asyncio.create_task(submit(client, count))
        async with asyncio.timeout(PATIENCE):
            with core.core.bus.subscribe("nothing") as never:
                while len(await stored(core)) < count:
                    await never.wait(0.02)
        assert not submitting.done()
        relay.cut()
        async with asyncio.timeout(PATIENCE):
            answers = await submitting
    assert [answer.replayed for answer in answers] == [False] * count
    assert sorted(answer.job.id for answer in answers) == sorted(await stored(core))
