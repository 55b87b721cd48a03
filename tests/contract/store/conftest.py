"""The stores that the suite runs over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spark_jobs.store.base import Store
from spark_jobs.store.sql import SqlStore
from tests.contract.store.acts import Clock


@pytest.fixture
def clock() -> Clock:
    """The time, by hand."""
    return Clock()


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    """Every kind of store, open and empty."""
    store = SqlStore(tmp_path / "data" if request.param == "disk" else None, clock=clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def disk(tmp_path: Path, clock: Clock) -> AsyncIterator[SqlStore]:
    """A store in the folder ``tmp_path / "data"``, open and empty."""
    store = SqlStore(tmp_path / "data", clock=clock)
    await store.open()
    yield store
    await store.close()
