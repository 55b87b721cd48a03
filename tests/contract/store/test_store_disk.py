"""What only a store on disk does: it survives, it locks, it keeps others out of its files, and copes with a full disk."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import DataDirInUse, StoreUnavailable
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import JobFilter, LogChunk, LogPoint
from spark_jobs.store.sql import SqlStore
from spark_jobs.store.sql.database import DiskDatabase
from spark_jobs.store.sql.writer import Listeners
from tests.contract.store import liner
from tests.contract.store.acts import ROOM, Clock, add, finish, new_job, run
from tests.fakes.full_disk import files_end_at

ROOT = Path(__file__).resolve().parents[3]


def mode(path: Path) -> int:
    """Who may do what with a file."""
    return path.stat().st_mode & 0o777


@contextmanager
def submitter(folder: Path, what: str = "submitter") -> Iterator[subprocess.Popen[str]]:
    """A process that submits (or writes a log) until it is killed, at the latest at the end."""
    command = [sys.executable, "-m", f"tests.contract.store.{what}", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Invariant 1."""
    folder = tmp_path / "data"
    acknowledged: list[str] = []
    for _ in range(2):
        with submitter(folder) as process:
            assert process.stdout is not None
            acknowledged += [process.stdout.readline().strip() for _ in range(100)]
            process.kill()
            acknowledged += process.stdout.read().split()
    store = SqlStore(folder, clock=Clock())
    await store.open()
    events = [event.job_id for event in await store.events(0, limit=10**6)]
    jobs = [await store.get(job_id) for job_id in acknowledged]
    by_label = await store.list(JobFilter(labels=(("writer", "0"),)), page_size=1000)
    await store.close()
    assert len(jobs) >= 200
    assert set(acknowledged) <= set(events)
    assert len(events) == len(set(events))
    assert {job.id for job in jobs if job.id.startswith("job-0-")} <= {job.id for job in by_label.jobs}


async def test_a_log_that_comes_line_by_line_survives_kill_9_while_its_chunks_are_put_together(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with submitter(folder, "liner") as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(300)]
        process.kill()
        acknowledged += process.stdout.read().split()
    store = SqlStore(folder, clock=Clock())
    await store.open()
    chunks = [chunk async for chunk in store.log_read(liner.KEY)]
    lines = b"".join(chunk.data for chunk in chunks).splitlines(keepends=True)
    assert (await store.log_point(liner.KEY)).lines == len(lines) >= int(acknowledged[-1])
    assert lines == [liner.line(number) for number in range(len(lines))]
    assert [stamp for chunk in chunks for stamp in chunk.stamps] == list(range(1, len(lines) + 1))
    await store.close()


async def test_a_second_process_on_the_same_folder_is_refused_and_told_whose_it_is(tmp_path: Path) -> None:
    with submitter(tmp_path / "data") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        store = SqlStore(tmp_path / "data", clock=Clock())
        with pytest.raises(DataDirInUse, match=rf"process {process.pid}\b"):
            await store.open()
        process.kill()
        process.wait()
        await store.open()
        await store.close()


async def test_a_second_store_in_the_same_process_is_refused(disk: SqlStore, tmp_path: Path) -> None:
    with pytest.raises(DataDirInUse, match=str(os.getpid())):
        await SqlStore(tmp_path / "data", clock=Clock()).open()
    await add(disk, "one")


async def test_everything_is_there_after_a_restart(disk: SqlStore, tmp_path: Path, clock: Clock) -> None:
    await add(disk, "done", "runs", "waits")
    key = await finish(disk, "done", JobState.FAILED, reason="OOMKilled", exit_code=137)
    await run(disk, "runs")
    await disk.set_paused(True)
    await disk.log_append(key, [LogChunk(offset=0, line=0, data=b"x\n", stamps=(1,))], LogPoint(bytes=2, lines=1))
    before = (
        [await disk.get(name) for name in ("done", "runs", "waits")],
        *(await disk.events(0), await disk.open_attempts(), await disk.usage(), await disk.log_point(key)),
        disk.instance,
    )
    await disk.close()
    again = SqlStore(tmp_path / "data", clock=clock)
    await again.open()
    after = (
        [await again.get(name) for name in ("done", "runs", "waits")],
        *(await again.events(0), await again.open_attempts(), await again.usage(), await again.log_point(key)),
        again.instance,
    )
    await again.close()
    assert after == before
    assert re.fullmatch("[a-z0-9]{8}", again.instance)


async def test_the_folder_and_its_files_are_private(disk: SqlStore, tmp_path: Path) -> None:
    await add(disk, "one")
    await disk.log_append(AttemptKey("one", 1), [], LogPoint())
    folder = tmp_path / "data"
    modes = {path.name: mode(path) for path in folder.iterdir()}
    assert mode(folder) == 0o700
    assert {"spark.db", "spark.db-wal", "logs.db", "logs.db-wal", "lock"} <= set(modes)
    assert set(modes.values()) == {0o600}


@pytest.fixture
def shared_folder(tmp_path: Path) -> Path:
    """Somebody's folder, with something else in it."""
    tmp_path.chmod(0o755)
    (tmp_path / "mine").touch()
    return tmp_path


async def test_a_folder_with_other_things_in_it_keeps_its_mode(shared_folder: Path, clock: Clock) -> None:
    store = SqlStore(shared_folder, clock=clock)
    await store.open()
    await store.close()
    assert mode(shared_folder) == 0o755


async def test_alembic_is_not_imported_for_a_folder_of_this_version(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys, datetime, pathlib; from spark_jobs.store.sql import SqlStore\n"
        "async def main():\n"
        "  for _ in range(2):\n"
        "    store = SqlStore(pathlib.Path(sys.argv[1]), clock=datetime.datetime.now)\n"
        "    await store.open(); await store.close()\n"
        "asyncio.run(main()); print([name for name in sys.modules if name.startswith('alembic')])"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, str(tmp_path / "data")), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == "[]"


async def test_a_full_disk_refuses_writes_and_the_next_ones_succeed_once_there_is_space(disk: SqlStore) -> None:
    await add(disk, "before")
    heard: list[object] = []
    disk.listen(heard.append)
    log = LogChunk(offset=0, line=0, data=os.urandom(400_000), stamps=(1,))
    key = AttemptKey("before", 1)
    with files_end_at(200_000):
        with pytest.raises(StoreUnavailable) as caught:
            await disk.submit([new_job("big", env={"A": "x" * 400_000})], ROOM)
        with pytest.raises(StoreUnavailable):
            await disk.log_append(key, [log], LogPoint(bytes=400_000))
        assert (await disk.get("before")).state is JobState.QUEUED
    assert caught.value.retry_after > 0
    assert heard == []
    await disk.submit([new_job("big", env={"A": "x" * 400_000})], ROOM)
    await disk.log_append(key, [log], LogPoint(bytes=400_000))
    assert [event.job_id for event in await disk.events(0)] == ["before", "big"]
    assert await disk.log_point(key) == LogPoint(bytes=400_000)


async def test_reads_do_not_wait_for_a_write_under_way(disk: SqlStore, tmp_path: Path) -> None:
    await add(disk, "one")
    with closing(sqlite3.connect(tmp_path / "data" / "spark.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(add(disk, "two"))
        for _ in range(20):
            assert (await disk.get("one")).id == "one"
        assert not writing.done()
        other.execute("ROLLBACK")
    await asyncio.wait_for(writing, 10)


async def test_writes_that_wait_are_committed_together(disk: SqlStore, tmp_path: Path) -> None:
    groups: list[int] = []
    disk.observe_commits(lambda _seconds, writes: groups.append(writes))
    with closing(sqlite3.connect(tmp_path / "data" / "spark.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = [asyncio.create_task(add(disk, f"job-{i}")) for i in range(50)]
        await asyncio.sleep(0)  # each task runs up to its first wait: all writes are queued
        other.execute("ROLLBACK")
    await asyncio.wait_for(asyncio.gather(*writing), 10)
    assert sum(groups) == 50
    assert len(groups) <= 2, "what was there when the writer came, and what came while it waited"


async def test_closing_commits_what_waits(tmp_path: Path, clock: Clock) -> None:
    store = SqlStore(tmp_path / "data", clock=clock)
    await store.open()
    writing = [asyncio.create_task(add(store, f"job-{i}")) for i in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.wait_for(asyncio.gather(*writing), 10)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("spark-")] == []
    await store.open()
    assert (await store.queue_status()).depth == 20
    await store.close()


async def test_forgotten_logs_give_their_space_back(disk: SqlStore, tmp_path: Path) -> None:
    await add(disk, "one")
    key = await finish(disk, "one")
    size = 12_000_000
    for offset in range(0, size, 1_000_000):
        chunk = LogChunk(offset=offset, line=0, data=os.urandom(1_000_000), stamps=())
        await disk.log_append(key, [chunk], LogPoint(bytes=offset + 1_000_000))
    await disk.delete("one")
    await disk.close()
    assert (tmp_path / "data" / "logs.db").stat().st_size < size / 10


async def test_a_read_that_runs_out_of_something_fails_and_does_not_hang(tmp_path: Path) -> None:
    """A future holds any error but StopIteration, which it drops: whoever waits then does so for ever."""
    database = DiskDatabase(tmp_path / "some.db", Listeners(), "some")
    async with asyncio.timeout(30):
        with pytest.raises(RuntimeError, match="more of something than there was"):
            await database.read(lambda _: next(iter(())))
    await database.close()
