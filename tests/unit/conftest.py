"""Set-up of the unit tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.api_server import ApiServer
from tests.fakes.door import serve
from tests.fakes.watching import Watched, watching

# A busy machine is no fault of the code under test.
settings.register_profile("spark", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spark")


@pytest.fixture
async def api() -> AsyncIterator[ApiServer]:
    """A scripted API server with nothing in it."""
    async with serve(ApiServer()) as server:
        yield server


@pytest.fixture
async def watched(api: ApiServer, tmp_path: Path) -> AsyncIterator[Watched]:
    """A cluster that watches it."""
    async with watching(api, tmp_path) as started:
        yield started
