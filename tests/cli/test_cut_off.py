"""A client that is cut off after its job was stored and before it hears so: one job, and an answer that is no replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spark_jobs.api.rest import create_api
from spark_jobs.auth import Access
from spark_jobs.client import Client, Submission
from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.store.base import JobFilter
from tests.api.conftest import HEALTHY
from tests.api.rpc import rpc_server
from tests.api.served import serving
from tests.cli.oneway import OneWay
from tests.engine.bench import Bench, bench


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path / "data", FakeCluster()) as running:
        yield running


@asynccontextmanager
async def through(core: Bench, scheme: str) -> AsyncIterator[tuple[Client, OneWay]]:
    """A client of this core with a relay in between."""
    app = create_api(core.service, Access(), core.core.metrics, lambda: HEALTHY)
    async with serving(app) as served, rpc_server(core) as (_, grpc_port), OneWay() as relay:
        relay.to = served.port if scheme == "http" else grpc_port
        async with Client(f"{scheme}://127.0.0.1:{relay.port}") as client:
            await client.queue()
            yield client, relay


async def stored(core: Bench) -> list[str]:
    """The ids of all jobs."""
    return [job.id for job in (await core.service.list(JobFilter())).jobs]


async def submit(client: Client, count: int) -> list[Submission]:
    """Submit one job alone, or several as one."""
    spec = {"image": "a", "command": ["true"]}
    return [await client.submit(spec)] if count == 1 else await client.submit_batch([spec] * count)


@pytest.mark.parametrize("scheme", ["http", "grpc"])
@pytest.mark.parametrize("count", [1, 3])
async def test_what_was_stored_is_answered_after_the_cut_and_stored_once(core: Bench, scheme: str, count: int) -> None:
    async with through(core, scheme) as (client, relay):
        relay.deaf = True
        submitting = asyncio.create_task(submit(client, count))
        async with asyncio.timeout(20):
            with core.core.bus.subscribe("nothing") as never:
                while len(await stored(core)) < count:
                    await never.wait(0.02)
        assert not submitting.done()
        relay.cut()
        answers = await submitting
    assert [answer.replayed for answer in answers] == [False] * count
    assert sorted(answer.job.id for answer in answers) == sorted(await stored(core))
