"""The real application on a real store and a fake cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spark_jobs.api.rest import create_api
from spark_jobs.api.wire import HealthView
from spark_jobs.auth import Access
from spark_jobs.cluster.fake import FakeCluster, Script
from tests.api.asgi import Caller
from tests.engine.bench import Bench, bench, scripts

LINES = Script(lines=("one", "two", "three"))
FOREVER = Script(lines=("begun",), runs=None)
SLOW = Script(runs=None)
FAILS = Script(lines=("broken",), exit_code=7)


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Bench]:
    """A running core with two slots; the command's first word says what a container does."""
    cluster = FakeCluster(scripts(lines=LINES, forever=FOREVER, slow=SLOW, fails=FAILS))
    async with bench(tmp_path, cluster, slots=2) as running:
        yield running


@pytest.fixture
def api(core: Bench) -> Caller:
    """The API without a token."""
    return Caller(create_api(core.service, Access(), core.core.metrics, lambda: HEALTHY))


HEALTHY = HealthView(store_open=True, engine_runs=True)
