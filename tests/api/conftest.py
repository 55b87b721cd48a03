"""The real application on a real store and a fake cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from spark_jobs.api.rest import create_api
from spark_jobs.api.wire import HealthView
from spark_jobs.app.core import Parts, running, utc_now
from spark_jobs.auth import Access
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.defaults import Defaults
from spark_jobs.metrics import Metrics
from spark_jobs.service import Policy
from spark_jobs.store.sql.store import SqlStore
from tests.api.asgi import Caller
from tests.api.rpc import Rpc, calling, rpc_server
from tests.engine.bench import RULES, Bench, scripts

LINES = Script(lines=("one", "two", "three"))
FOREVER = Script(lines=("begun",), runs=None)
SLOW = Script(runs=None)
FAILS = Script(lines=("broken",), exit_code=7)


@asynccontextmanager
async def in_memory() -> AsyncIterator[Bench]:
    """A running core with two slots; the command's first word says what a container does."""
    cluster = FakeCluster(scripts(lines=LINES, forever=FOREVER, slow=SLOW, fails=FAILS))
    parts = Parts(
        store=SqlStore(None, clock=utc_now),
        cluster=cluster,
        policy=Policy(defaults=Defaults(), slots=2),
        rules=msgspec.structs.replace(RULES, slots=2),
        metrics=Metrics(),
    )
    async with running(parts) as core:
        yield Bench(core, cluster)


@pytest.fixture
async def core() -> AsyncIterator[Bench]:
    """A core of the test's own."""
    async with in_memory() as bench:
        yield bench


@pytest.fixture
def api(core: Bench) -> Caller:
    """The API without a token."""
    return Caller(create_api(core.service, Access(), core.core.metrics, lambda: HEALTHY))


HEALTHY = HealthView(store_open=True, engine_runs=True)


@pytest.fixture
async def rpc(core: Bench) -> AsyncIterator[Rpc]:
    """A caller of the gRPC interface without a token."""
    async with rpc_server(core) as (_, port), calling(port) as caller:
        yield caller
