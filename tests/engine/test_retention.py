"""What the janitor forgets while a sink has not got it yet."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spark_jobs.api.stream import closing
from spark_jobs.cluster.fake import FakeCluster, Script
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
from tests.engine.bench import bench

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
    await janitor.sweep()
    await janitor.make_room()
    return sum(lost)


async def test_age_waits_for_the_sink(store: SqlStore) -> None:
    assert await sweep(store, EngineSettings(archive=True)) == 0
    assert (await store.log_point(KEY)).bytes > 0
    await store.archived((await store.archive_due(limit=1))[0], "file:///archive/1.log.zst")
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


class Slow(SqlStore):
    """A sweep of this store never comes to its end."""

    async def sweep(self, *, jobs_before: datetime, logs_before: datetime, limit: int = 500, sink: bool = False) -> int:
        await asyncio.Event().wait()
        return 0


async def test_a_long_sweep_holds_up_nothing_else(tmp_path: Path) -> None:
    async with bench(tmp_path, FakeCluster(lambda _: Script(runs=None)), slots=1, kind=Slow) as on:
        await on.submit()
        waits = await on.ends(await on.submit(queue_timeout=0.2))
        assert waits.reason == "QueueTimeout"


async def test_room_is_made_soon_after_it_is_exceeded(tmp_path: Path) -> None:
    """Not with the next sweep, which may be 10 minutes away: in that time a server can store what fills a disk."""
    chance = random.Random(3)
    lines = tuple(chance.randbytes(500).hex() for _ in range(400))
    cluster = FakeCluster(lambda _: Script(lines=lines, runs=0.1))
    async with bench(tmp_path, cluster, max_log_bytes=300_000, room_every=0.05) as on:
        first = await on.submit()
        await on.ends(first)
        await on.closed()
        assert await on.log(first)
        await on.ends(await on.submit())
        job = await on.until(first, lambda job: job.attempts[0].log.problem is not None)
        assert job.attempts[0].log.problem == "no longer kept"


async def test_a_log_that_was_swept_is_not_read_under_its_successors_name(tmp_path: Path) -> None:
    lines = iter(["old", "new"])
    async with bench(tmp_path, FakeCluster(lambda _: Script(lines=(next(lines),)))) as on:
        store, service = on.core.store, on.core.service
        await on.ends(await on.submit(id="one"))
        await on.closed()
        async with closing(service.logs("one")) as lingers:
            while (await anext(lingers)).chunk.data != b"old\n":
                pass
            never = datetime.max.replace(tzinfo=UTC)
            assert await store.sweep(jobs_before=never, logs_before=never) == 1
            await on.ends(await on.submit(id="one"))
            assert b"".join([piece.chunk.data async for piece in service.logs("one")]) == b"new\n"


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
