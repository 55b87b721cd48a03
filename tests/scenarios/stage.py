"""One fake cluster behind one of the interfaces: REST and gRPC over real sockets, and the Runner in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from spark_jobs import Client, Job, JobSpec, JobState, Runner
from spark_jobs.api.rest import create_api
from spark_jobs.api.wire import HealthView
from spark_jobs.app.choose import choose_fake
from spark_jobs.app.core import Core, running
from spark_jobs.auth import Access
from spark_jobs.client import find_address
from spark_jobs.client.link import Link
from spark_jobs.client.links import link_to
from spark_jobs.domain.errors import NotDeletable
from spark_jobs.runner.keywords import settings_from
from spark_jobs.testing import FakeCluster, Script
from tests.api.rpc import rpc_server
from tests.api.served import serving
from tests.engine.bench import Bench

PATIENCE = 20.0
SETTINGS = {"max_concurrent_jobs": 1, "queue_size": 2}
HEALTHY = HealthView(store_open=True, engine_runs=True)


def script(spec: JobSpec) -> Script:
    """What a container does, by its command: ``exit N``, ``forever``, ``slow`` (three lines), ``flaky`` (twice 7)."""
    program, *arguments = spec.command or [""]
    if program == "exit":
        return Script(lines=("out", "err"), exit_code=int(arguments[0]))
    if program == "slow":
        return Script(lines=("one", "two", "three"), line_every=0.1, runs=0.4)
    if program == "forever":
        return Script(lines=("begun",), runs=None)
    return Script()


class Stage:
    """A client of one interface, and the cluster behind it."""

    def __init__(self, client: Client, link: Link, cluster: FakeCluster) -> None:
        self.client = client
        self.link = link
        self.cluster = cluster

    async def submit(self, *command: str, **spec: object) -> str:
        """Submit a job with this command; its id."""
        submission = await self.client.submit({"image": "busybox:1", "command": list(command), **spec})
        return submission.job.id

    async def ended(self, *command: str, **spec: object) -> Job:
        """Submit a job with this command; the job once it is over."""
        return await self.client.wait(await self.submit(*command, **spec), timeout=PATIENCE)

    async def until(self, job_id: str, state: JobState) -> None:
        """Return once the job is in this state."""
        async with asyncio.timeout(PATIENCE):
            async for event in self.client.events(job_id, after=0):
                if event.target is state:
                    return

    async def forget(self, job_id: str) -> None:
        """Delete a job that is over, as soon as the cluster holds nothing of it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await self.client.delete(job_id)
                except NotDeletable:
                    await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=0.02)


Enter = Callable[[], AbstractAsyncContextManager[Stage]]


@asynccontextmanager
async def _served() -> AsyncIterator[tuple[Core, FakeCluster]]:
    cluster = FakeCluster(script)
    parts = choose_fake(settings_from(SETTINGS), cluster, in_memory=True)
    async with running(parts) as core:
        yield core, cluster


@asynccontextmanager
async def _client(url: str, cluster: FakeCluster) -> AsyncIterator[Stage]:
    link = link_to(find_address(url))
    async with Client(link=link, submit_timeout=0) as client:
        yield Stage(client, link, cluster)


@asynccontextmanager
async def rest() -> AsyncIterator[Stage]:
    """Behind a real HTTP server."""
    async with _served() as (core, cluster):
        app = create_api(core.service, Access(), core.metrics, lambda: HEALTHY)
        async with serving(app) as served, _client(f"http://127.0.0.1:{served.port}", cluster) as stage:
            yield stage
            core.drain()  # streams that nobody reads any more end


@asynccontextmanager
async def grpc() -> AsyncIterator[Stage]:
    """Behind a real gRPC server."""
    async with (
        _served() as (core, cluster),
        rpc_server(Bench(core, cluster)) as (_, port),
        _client(f"grpc://127.0.0.1:{port}", cluster) as stage,
    ):
        yield stage


@asynccontextmanager
async def runner() -> AsyncIterator[Stage]:
    """The library."""
    cluster = FakeCluster(script)
    async with Runner(cluster=cluster, max_concurrent_jobs=1, queue_size=2) as own:
        yield Stage(own.client, vars(own.client)["_link"], cluster)
        await own.shutdown(cancel=True)


INTERFACES: dict[str, Enter] = {"rest": rest, "grpc": grpc, "runner": runner}
