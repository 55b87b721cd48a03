"""`spark run` while its server is gone for a time and another one takes its place, over both interfaces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from spark_jobs.cluster.fake import FakeCluster, Script
from tests.cli.oneway import OneWay
from tests.cli.process import PATIENCE
from tests.cli.reached import SCHEMES, served
from tests.e2e.server import SPARK
from tests.engine.bench import bench

LINES = tuple(f"line {number}" for number in range(1500))
LOG = "".join(f"{line}\n" for line in LINES).encode()


@asynccontextmanager
async def server(folder: Path, cluster: FakeCluster) -> AsyncIterator[dict[str, int]]:
    """A server on this folder and cluster; its ports by scheme."""
    async with bench(folder, cluster) as core, served(core) as ports:
        yield ports


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_log_is_whole_and_each_byte_there_once_when_the_server_comes_back(tmp_path: Path, scheme: str) -> None:
    cluster = FakeCluster(lambda _: Script(lines=LINES, line_every=0.002, runs=3.5, exit_code=7))
    async with asyncio.timeout(PATIENCE), OneWay() as relay, AsyncExitStack() as stack:
        async with server(tmp_path / "data", cluster) as ports:
            relay.to = ports[scheme]
            spark = await stack.enter_async_context(run(f"{scheme}://127.0.0.1:{relay.port}"))
            assert spark.stdout is not None
            assert spark.stderr is not None
            begin = await spark.stdout.readexactly(100)
            await relay.close()
            assert b"trying again" in await spark.stderr.readline()
        async with server(tmp_path / "data", cluster) as ports:
            relay.to = ports[scheme]
            await relay.open()
            rest, told = await spark.communicate()
    assert begin + rest == LOG
    assert spark.returncode == 7
    assert b"in contact again" in told


@asynccontextmanager
async def run(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`spark run` of a job at this server; it is gone after the block."""
    words = ["run", "--server", url, "--image", "a", "--timeout", "60", "--", "x"]
    pipe = asyncio.subprocess.PIPE
    spark = await asyncio.create_subprocess_exec(*SPARK, *words, stdout=pipe, stderr=pipe)
    try:
        yield spark
    finally:
        if spark.returncode is None:
            spark.kill()
            await spark.communicate()
