"""A damaged database of logs keeps nothing from running: a new one takes over what can be read, and what is lost is said."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from spark_jobs.domain.attempt import AttemptChanges, AttemptKey
from spark_jobs.domain.errors import DataDirDamaged, DataDirNotWritable, StoreUnavailable
from spark_jobs.domain.job import LogState, LogSummary
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import LogChunk, LogPoint, Pruned
from spark_jobs.store.sql import SqlStore
from spark_jobs.store.sql.folder import DataFolder
from tests.contract.store.acts import Clock, add, finish, run
from tests.contract.store.test_store_damage import SIZE, content, packed

PAGE = 4096
NAMES = [f"job-{i:02}" for i in range(12)]


async def write(store: SqlStore, key: AttemptKey, count: int = 2) -> list[LogChunk]:
    """A log of so many chunks, and what is known of it: it is whole."""
    chunks = [LogChunk(offset=i * SIZE, line=i, data=content(i), stamps=(i + 1,)) for i in range(count)]
    await store.log_append(key, chunks, LogPoint(bytes=count * SIZE, lines=count))
    changes = AttemptChanges(log_state=LogState.COMPLETE, log_bytes=count * SIZE, log_lines=count, settled_at=Clock()())
    await store.note(key, changes)
    return chunks


@pytest.fixture
async def folder(tmp_path: Path, clock: Clock) -> Path:
    """A closed folder: jobs that are over with a log of two chunks each, and one that runs."""
    store = SqlStore(tmp_path / "data", clock=clock)
    await store.open()
    await add(store, *NAMES, "runs")
    for name in NAMES[:5]:
        await write(store, await finish(store, name))
    await run(store, "runs")
    await store.close()
    return tmp_path / "data"


async def opened(folder: Path) -> SqlStore:
    """The store over it, in which jobs are found, started and ended, and a log is kept."""
    store = SqlStore(folder, clock=Clock())
    await store.open()
    assert [record.job_id for record in await store.open_attempts()] == ["runs"]
    return store


async def works(store: SqlStore) -> None:
    """A job goes through it, and its log."""
    key = await finish(store, NAMES[-1])
    chunks = await write(store, key)
    assert [chunk async for chunk in store.log_read(key)] == chunks


async def text(store: SqlStore, name: str) -> list[LogChunk]:
    """The log as it is read."""
    return [chunk async for chunk in store.log_read(AttemptKey(name, 1))]


async def summary(store: SqlStore, name: str) -> LogSummary:
    """What is known of the log."""
    return (await store.get(name)).attempts[0].log


def overwrite(file: Path, at: int, data: bytes) -> None:
    """Other bytes in the file."""
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(data)


def change(file: Path, statement: str) -> None:
    """Do something behind the store's back."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(statement)


def spoil_row(file: Path, size: int) -> None:
    """The page on which the second chunk of that size of bytes begins."""
    overwrite(file, file.read_bytes().index(packed(file, "data", SIZE)[:64]) // PAGE * PAGE, b"\xff" * size)


def spoil_index(file: Path, name: str) -> None:
    """The first page of an index."""
    with closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    overwrite(file, (root - 1) * PAGE, b"\xff" * 100)


def old_ones(folder: Path) -> list[str]:
    """What was set aside."""
    return sorted(path.name for path in folder.iterdir() if "damaged" in path.name)


WHOLE: dict[str, Callable[[Path], None]] = {
    "no database at all": lambda file: overwrite(file, 0, b"Dear diary, " * 10),
    "the schema is overwritten": lambda file: overwrite(file, 100, b"\xff" * 500),
    "the table of logs is gone": lambda file: change(file, "DROP TABLE logs"),
    "everything is": lambda file: os.truncate(file, PAGE // 2),
}


@pytest.mark.parametrize("damage", WHOLE)
async def test_where_nothing_can_be_read_logs_are_lost_and_jobs_go_on(folder: Path, damage: str) -> None:
    WHOLE[damage](folder / "logs.db")
    store = await opened(folder)
    (old,) = old_ones(folder)
    assert await store.prune_logs(0) == Pruned(logs=0, unsent=0), "there is nothing of them left"
    for name in NAMES[:5]:
        told = await summary(store, name)
        assert (told.state, told.complete, told.bytes) == (LogState.INCOMPLETE, False, 0)
        assert told.problem == f"lost, as the database of logs was damaged; what is left of it is in {old}"
        assert await text(store, name) == []
    told = await summary(store, "runs")
    assert told.state is LogState.COLLECTING
    assert (told.problem or "").startswith(
        "read once more, from where the node still had it, as the database of logs was"
    )
    await works(store)
    await store.close()
    again = await opened(folder)
    assert old_ones(folder) == [old], "it is whole again"
    assert (await summary(again, NAMES[-1])).complete
    await again.close()


INDEXES = ("sqlite_autoindex_logs_1", "sqlite_autoindex_chunks_1", "chunks_by_line", "chunks_by_time")


@pytest.mark.parametrize("index", INDEXES)
async def test_where_an_index_is_damaged_nothing_is_lost(folder: Path, index: str) -> None:
    spoil_index(folder / "logs.db", index)
    store = await opened(folder)
    assert len(old_ones(folder)) == 1
    for name in NAMES[:5]:
        assert (await summary(store, name)).complete
        assert [chunk.data for chunk in await text(store, name)] == [content(0), content(1)]
    await works(store)
    await store.close()


async def test_where_the_revision_is_lost_nothing_else_is(folder: Path) -> None:
    change(folder / "logs.db", "DELETE FROM alembic_version")
    store = await opened(folder)
    assert [len(await text(store, name)) for name in NAMES[:5]] == [2] * 5
    await store.close()


@pytest.mark.parametrize("size", [1, PAGE])
async def test_where_a_page_is_damaged_all_others_are_read_and_the_hole_is_named(folder: Path, size: int) -> None:
    spoil_row(folder / "logs.db", size)
    store = await opened(folder)
    hurt = 0
    for name in NAMES[:5]:
        told, chunks = await summary(store, name), await text(store, name)
        assert chunks[-1].offset + len(chunks[-1].data) == told.bytes == 2 * SIZE, "what is lost keeps its place"
        whole = [chunk for chunk in chunks if chunk.stamps]
        assert all(chunk.data == content(chunk.offset // SIZE) for chunk in whole)
        lost = [at for at in (0, SIZE) if at not in {chunk.offset for chunk in whole}]
        assert told.complete == (not lost)
        if lost:
            hurt += 1
            missing = SIZE * len(lost)
            marker = f"{missing} bytes are missing here: the stored log is damaged from byte {lost[0]} on"
            assert any(marker.encode() in chunk.data for chunk in chunks)
            assert told.state is LogState.INCOMPLETE
            assert (told.problem or "").startswith(
                f"after byte {lost[0]}: {missing} bytes are lost, as the database of"
            )
            assert await store.log_seek(AttemptKey(name, 1), tail=1) == (0 if len(lost) == 2 else SIZE)
    assert 1 <= hurt < 5
    await works(store)
    await store.close()


async def test_of_a_file_that_was_cut_what_is_there_is_read(folder: Path) -> None:
    file = folder / "logs.db"
    os.truncate(file, file.stat().st_size // 2 // PAGE * PAGE)
    store = await opened(folder)
    told = [(await summary(store, name)).complete for name in NAMES[:5]]
    assert told[0]
    assert not told[-1]
    assert [chunk.data for chunk in await text(store, NAMES[0])] == [content(0), content(1)]
    await works(store)
    await store.close()


async def test_what_is_lost_of_a_log_that_is_still_collected_is_remembered_for_its_end(folder: Path) -> None:
    store = await opened(folder)
    await store.note(AttemptKey(NAMES[0], 1), AttemptChanges(log_state=LogState.COLLECTING))
    await store.close()
    spoil_row(folder / "logs.db", PAGE)
    store = await opened(folder)
    told = await summary(store, NAMES[0])
    assert told.state is LogState.COLLECTING
    assert (told.problem or "").startswith("after byte 0: 600000 bytes are lost")
    await store.close()


async def test_it_is_written_down_what_is_lost_before_the_new_one_takes_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(5, "as it should")

    WHOLE["the schema is overwritten"](folder / "logs.db")
    with monkeypatch.context() as patch:
        patch.setattr(DataFolder, "set_aside", fails)
        with pytest.raises(DataDirNotWritable, match="as it should"):
            await SqlStore(folder, clock=Clock()).open()
    assert old_ones(folder) == []
    with closing(sqlite3.connect(folder / "spark.db")) as jobs:
        (count,) = jobs.execute("SELECT count(*) FROM attempts WHERE log_problem LIKE 'lost, %'").fetchone()
    assert count == 5
    store = await opened(folder)
    await works(store)
    await store.close()


async def until_renewed(store: SqlStore) -> None:
    """Ask until there is an answer again."""
    async with asyncio.timeout(20):
        while True:
            try:
                await store.log_point(AttemptKey("runs", 1))
            except StoreUnavailable:
                await store.queue_status()  # jobs are served meanwhile
            else:
                return


async def test_damage_that_who_is_about_to_write_meets_is_mended(folder: Path) -> None:
    store = await opened(folder)
    spoil_index(folder / "logs.db", "sqlite_autoindex_logs_1")
    with pytest.raises(StoreUnavailable, match="is begun anew"):
        await store.log_point(AttemptKey(NAMES[0], 1))
    await until_renewed(store)
    assert await store.log_point(AttemptKey(NAMES[0], 1)) == LogPoint(bytes=2 * SIZE, lines=2)
    await works(store)
    await store.close()


async def test_damage_that_a_write_meets_is_mended_while_the_store_is_open(folder: Path) -> None:
    store = await opened(folder)
    chunk = LogChunk(offset=0, line=0, data=b"new\n", stamps=(1,))
    spoil_index(folder / "logs.db", "chunks_by_time")
    with pytest.raises(StoreUnavailable, match="is begun anew"):
        await store.log_append(AttemptKey("runs", 1), [chunk], LogPoint(bytes=4, lines=1))
    assert (await store.get(NAMES[0])).state is JobState.SUCCEEDED
    await until_renewed(store)
    await store.log_append(AttemptKey("runs", 1), [chunk], LogPoint(bytes=4, lines=1))
    assert [each.data for each in await text(store, "runs")] == [b"new\n"]
    assert [len(await text(store, name)) for name in NAMES[:5]] == [2] * 5
    await works(store)
    change(folder / "logs.db", "UPDATE logs SET lines = lines")  # so that no page is remembered
    change(folder / "logs.db", "PRAGMA wal_checkpoint(TRUNCATE)")
    spoil_index(folder / "logs.db", "sqlite_autoindex_logs_1")
    with pytest.raises(DataDirDamaged):
        await store.log_append(AttemptKey("runs", 2), [chunk], LogPoint(bytes=4, lines=1))
    assert len(old_ones(folder)) == 1, "not again and again"
    await store.close()
