"""What the janitor forgets while a sink has not got it yet."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.domain.attempt import AttemptChanges, AttemptKey
from spark_jobs.domain.job import LogState
from spark_jobs.engine.attempts import Attempts
from spark_jobs.engine.janitor import Janitor
from spark_jobs.engine.parcel import Parcel, Torn
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.store.base import LogChunk, LogPoint
from spark_jobs.store.sql import SqlStore
from tests.contract.store.acts import START, Clock, add, finish
from tests.contract.store.test_store_archive import settle

KEY = AttemptKey("one", 1)
SIZE = 1024 * 1024


@pytest.fixture
async def store() -> AsyncIterator[SqlStore]:
    """A job whose log waits for the sink."""
    store = SqlStore(None, clock=Clock())
    await store.open()
    await add(store, "one")
    await settle(store, await finish(store, "one"))
    yield store
    await store.close()


async def sweep(store: SqlStore, rules: EngineSettings) -> int:
    """One round of the janitor, a year later; how many logs were lost unsent."""
    lost: list[int] = []
    janitor = Janitor(
        store,
        Attempts(store),
        FakeCluster(),
        rules,
        clock=lambda: START + timedelta(days=365),
        lost_unsent=lost.append,
    )
    await janitor.run_once()
    return sum(lost)


async def test_age_waits_for_the_sink(store: SqlStore) -> None:
    assert await sweep(store, EngineSettings(archive=True)) == 0
    assert (await store.log_point(KEY)).bytes > 0
    await store.archived(KEY, "file:///archive/1.log.zst")
    assert await sweep(store, EngineSettings(archive=True)) == 0
    assert await store.log_point(KEY) == LogPoint()


async def test_without_a_sink_there_is_nothing_to_wait_for(store: SqlStore) -> None:
    assert await sweep(store, EngineSettings()) == 0
    assert await store.log_point(KEY) == LogPoint()


async def test_room_does_not_wait_and_what_is_lost_is_said(store: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    assert await sweep(store, EngineSettings(archive=True, max_log_bytes=1)) == 1
    assert await store.log_point(KEY) == LogPoint()
    assert (await store.get("one")).attempts[0].log.problem == "no longer kept"
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "the log sink did not have yet" in record.getMessage()


@pytest.mark.parametrize("read", [0, 1], ids=["before it is read", "while it is read"])
async def test_a_log_that_is_forgotten_meanwhile_is_not_sent_as_if_it_were_whole(read: int) -> None:
    store = SqlStore(None, clock=Clock())
    await store.open()
    await add(store, "one")
    key = await finish(store, "one")
    for number in range(3):
        data = random.Random(number).randbytes(SIZE)
        await store.log_append(
            key,
            [LogChunk(offset=number * SIZE, line=number, data=data, stamps=(number + 1,))],
            LogPoint(bytes=(number + 1) * SIZE, lines=number + 1, stamp_ns=number + 1),
        )
    await store.note(key, AttemptChanges(log_state=LogState.COMPLETE, log_bytes=3 * SIZE, archive_due_at=START))
    job = await store.get("one")
    parcel = Parcel("instance", job, job.attempts[0], START)
    pieces = parcel.text(store)
    for _ in range(read):
        assert await anext(pieces)
    await store.prune_logs(0)
    with pytest.raises(Torn):
        b"".join([piece async for piece in pieces])
    await store.close()
