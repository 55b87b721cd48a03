"""Searches through the stored logs of many jobs, on a real store."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spark_jobs.bus import Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.errors import Draining, InvalidSpec, JobNotFound, TooManySearches
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.domain.state import JobState
from spark_jobs.domain.times import to_ns
from spark_jobs.logs import LogBook
from spark_jobs.search import searches
from spark_jobs.search.query import LogSearch
from spark_jobs.service import JobService, Policy
from spark_jobs.store.base import JobFilter, LogBlock, LogChunk, LogPoint
from spark_jobs.store.sql.store import SqlStore
from tests import figures
from tests.contract.store.acts import START, Clock, add, finish, retry, run

SIZE = 300_000  # bytes in a chunk: too large for two to be put together


class Library:
    """Jobs with logs, and a service that searches them."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        bus = Bus()
        self.service = JobService(store, LogBook(store, bus), bus, Policy(defaults=Defaults()), clock=Clock())

    async def job(
        self, job_id: str, log: bytes = b"", *, over: JobState | None = JobState.SUCCEEDED, **spec: Any
    ) -> None:
        """A job with this log; it runs still with ``over`` null."""
        await add(self.store, job_id, **spec)
        key = (await run(self.store, job_id)).key if over is None else await finish(self.store, job_id, over)
        if log:
            await self.write(key, log)

    async def write(self, key: AttemptKey, log: bytes, *, at: datetime = START, offset: int = 0, line: int = 0) -> None:
        """Store what follows; each line's time is a second after that of the one before it."""
        count = log.count(b"\n") + (not log.endswith(b"\n"))
        stamps = tuple(to_ns(at) + i * 1_000_000_000 for i in range(count))
        point = LogPoint(bytes=offset + len(log), lines=line + count)
        await self.store.log_append(key, [LogChunk(offset=offset, line=line, data=log, stamps=stamps)], point)

    async def search(self, pattern: str, **how: Any) -> list[LogMatch | SearchProgress]:
        """Everything that a search says."""
        return [item async for item in self.service.search(LogSearch(pattern=pattern, **how))]

    async def lines(self, pattern: str, **how: Any) -> list[tuple[str, int, int]]:
        """What is found: jobs, attempts and lines."""
        return [(each.job_id, each.attempt, each.found.line) for each in matches(await self.search(pattern, **how))]


def matches(items: Sequence[LogMatch | SearchProgress]) -> list[LogMatch]:
    """What was found."""
    return [item for item in items if isinstance(item, LogMatch)]


@pytest.fixture(params=["memory", "disk"])
async def library(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Library]:
    """Every kind of store."""
    store = SqlStore(tmp_path / "data" if request.param == "disk" else None, clock=Clock())
    await store.open()
    yield Library(store)
    await store.close()


async def test_the_newest_job_and_attempt_comes_first_and_lines_in_their_order(library: Library) -> None:
    await library.job("old", b"an error\nfine\nan error, too\n", name="nightly")
    await library.job("silent")
    await library.job("none of it", b"fine\n")
    await library.job("new", b"error")
    await add(library.store, "twice")
    first = (await run(library.store, "twice")).key
    await library.write(first, b"error of the first\n")
    await retry(library.store, first, not_before=START)
    await library.write(await finish(library.store, "twice"), b"fine\nerror of the second\n")
    items = await library.search("error")
    assert [(each.job_id, each.attempt, each.found.line, each.found.text) for each in matches(items)] == [
        ("twice", 2, 2, "error of the second"),
        ("twice", 1, 1, "error of the first"),
        ("new", 1, 1, "error"),
        ("old", 1, 1, "an error"),
        ("old", 1, 3, "an error, too"),
    ]
    *_, before_last, last = matches(items)
    assert (before_last.name, last.found.offset, last.found.time) == ("nightly", 14, "2026-01-02T03:04:07.678901000Z")
    assert items[-1] == SearchProgress(logs=5, bytes=82, matches=5, complete=True)


async def test_filters_choose_the_jobs(library: Library) -> None:
    await library.job("failed", b"error\n", over=JobState.FAILED, labels={"team": "a"}, name="x")
    await library.job("failed-2", b"error\n", over=JobState.FAILED)
    await library.job("fine", b"error\n", labels={"team": "a"})

    async def jobs(**how: Any) -> list[str]:
        return [job_id for job_id, _, _ in await library.lines("error", **how)]

    assert await jobs(which=JobFilter(states=frozenset({JobState.FAILED}))) == ["failed-2", "failed"]
    assert await jobs(which=JobFilter(labels=(("team", "a"),))) == ["fine", "failed"]
    assert await jobs(which=JobFilter(name="x")) == ["failed"]
    assert await jobs(job_id="failed") == ["failed"]
    assert await jobs(job_id="fine", which=JobFilter(name="x")) == []
    with pytest.raises(JobNotFound):
        await jobs(job_id="nobody")


async def test_since_leaves_out_older_lines_and_does_not_read_older_logs(library: Library) -> None:
    await library.job("old", b"error\n" * 3)
    await library.job("both", b"error\n" * 10)
    found = await library.search("error", since=START + timedelta(seconds=7.5))
    assert [(each.job_id, each.found.line) for each in matches(found)] == [("both", 9), ("both", 10)]
    assert found[-1] == SearchProgress(logs=1, bytes=12, matches=2, complete=True)


async def test_it_stops_at_its_limit_and_says_so(library: Library) -> None:
    await library.job("one", b"error\n" * 50)
    items = await library.search("error", limit=7)
    assert [each.found.line for each in matches(items)] == list(range(1, 8))
    assert isinstance(items[-1], SearchProgress)
    assert (items[-1].matches, items[-1].complete) == (7, False)


async def test_how_it_is_looked_for(library: Library) -> None:
    await library.job("one", b"A.b\naxb\n\xc3\x84rger\n")
    assert await library.lines("A.b", fixed=True) == [("one", 1, 1)]
    assert await library.lines("a.b", ignore_case=True) == [("one", 1, 1), ("one", 1, 2)]
    assert await library.lines("ä", ignore_case=True) == [("one", 1, 3)]
    (match,) = matches(await library.search("x", context=5))
    assert [line.text for line in (*match.before, *match.after)] == ["A.b", "Ärger"]


@pytest.mark.parametrize(
    ("how", "pointer"),
    [
        ({"pattern": "("}, "pattern"),
        ({"context": 101}, "context"),
        ({"context": -1}, "context"),
        ({"limit": 0}, "limit"),
    ],
)
async def test_what_is_refused_is_refused_before_anything_else(
    library: Library, how: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidSpec) as caught:
        await anext(library.service.search(LogSearch(**{"pattern": "x", **how})))
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


async def test_a_log_that_still_grows_is_looked_through_as_far_as_it_is_stored(library: Library) -> None:
    await library.job("runs", b"error\nerr", over=None)
    assert await library.lines("err") == [("runs", 1, 1), ("runs", 1, 2)]
    key = AttemptKey("runs", 1)
    more = LogChunk(offset=9, line=2, data=b"or\nerror\n", stamps=(to_ns(START),))
    await library.store.log_append(key, [more], LogPoint(bytes=18, lines=3))
    assert await library.lines("error") == [("runs", 1, 1), ("runs", 1, 2), ("runs", 1, 3)]


async def test_a_log_that_is_deleted_meanwhile_is_named(library: Library) -> None:
    data = b"error".ljust(99) + b"\n"
    await library.job("one")
    for number in range(6):
        await library.write(AttemptKey("one", 1), data * 3000, offset=number * SIZE, line=number * 3000)
    async with aclosing(library.service.search(LogSearch(pattern="error", limit=10**5))) as items:
        await anext(items)
        await library.store.delete("one")
        *_, end = [item async for item in items if isinstance(item, SearchProgress)]
    (problem,) = end.problems
    assert "the log of job one, attempt 1 was deleted while it was searched" in problem


async def test_jobs_without_logs_are_not_asked_for_one(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    await add(library.store, *(f"waits-{i}" for i in range(450)))
    await library.job("one", b"error\n")
    asked: list[AttemptKey] = []
    read = library.store.log_blocks

    async def counted(places: Sequence[tuple[AttemptKey, int]]) -> Sequence[Sequence[LogBlock]]:
        asked.extend(key for key, _ in places)
        return await read(places)

    monkeypatch.setattr(library.store, "log_blocks", counted)
    assert await library.lines("error") == [("one", 1, 1)]
    assert asked == [AttemptKey("one", 1)]


async def test_what_is_damaged_is_named_and_the_search_goes_on(disk: Library, tmp_path: Path) -> None:
    await disk.job("old", b"error\n")
    await disk.job("hurt", b"")
    lines = b"error" + b"." * (SIZE - 6) + b"\n"
    for i in range(3):
        await disk.write(AttemptKey("hurt", 1), lines, offset=i * SIZE, line=i)
    with closing(sqlite3.connect(tmp_path / "data" / "logs.db", isolation_level=None)) as other:
        other.execute('UPDATE chunks SET data = zeroblob(length(data)) WHERE "offset" = ?', (SIZE,))
    items = await disk.search("error")
    assert [(each.job_id, each.found.line) for each in matches(items)] == [("hurt", 1), ("hurt", 3), ("old", 1)]
    last = items[-1]
    assert isinstance(last, SearchProgress)
    assert last.complete
    (problem,) = last.problems
    assert "job hurt, attempt 1 is damaged in the 300000 bytes from byte 300000 on" in problem


async def test_logs_that_the_database_can_not_find_any_more_are_named(disk: Library, tmp_path: Path) -> None:
    await disk.job("old", b"error\n")
    await disk.job("new", b"error\n")
    file = tmp_path / "data" / "logs.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = other.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_chunks_1'"
        ).fetchone()
        (size,) = other.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as stream:
        stream.seek((page - 1) * size)
        stream.write(b"\xff")
    (last,) = await disk.search("error")
    assert isinstance(last, SearchProgress)
    assert (last.logs, last.complete) == (2, True)
    assert [problem.split(":")[0] for problem in last.problems] == [
        "the log of job new, attempt 1",
        "the log of job old, attempt 1",
    ]


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Library]:
    """A store on disk."""
    store = SqlStore(tmp_path / "data", clock=Clock())
    await store.open()
    yield Library(store)
    await store.close()


class Gate:
    """Holds the reading of logs up."""

    def __init__(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = library.store.log_blocks
        self.open = asyncio.Event()
        self.waiting = 0
        self._changed = asyncio.Event()
        monkeypatch.setattr(library.store, "log_blocks", self.log_blocks)

    async def log_blocks(self, places: Sequence[tuple[AttemptKey, int]]) -> Sequence[Sequence[LogBlock]]:
        """As the store, but later."""
        self.waiting += 1
        self._changed.set()
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1
        return await self.read(places)

    async def reached(self, count: int) -> None:
        """Until so many wait."""
        async with asyncio.timeout(10):
            while self.waiting != count:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def memory() -> AsyncIterator[Library]:
    """A store in memory, with a job."""
    store = SqlStore(None, clock=Clock())
    await store.open()
    library = Library(store)
    await library.job("one", b"error\n")
    yield library
    await store.close()


@pytest.mark.looptime
async def test_it_says_how_far_it_is_even_while_nothing_is_found(
    memory: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(memory, monkeypatch)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with aclosing(memory.service.search(LogSearch(pattern="error"))) as items:
        for i in range(1, 4):
            assert await anext(items) == SearchProgress(logs=0, bytes=0, matches=0, complete=False)
            assert loop.time() - begun == pytest.approx(2.0 * i, abs=0.1)
        gate.open.set()
        assert isinstance(await anext(items), LogMatch)


async def test_one_search_too_many_is_refused_and_one_that_ends_makes_room(
    memory: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(memory, monkeypatch)
    tasks = [asyncio.create_task(memory.lines("error")) for _ in range(searches.MOST_SEARCHES)]
    await gate.reached(searches.MOST_SEARCHES)
    with pytest.raises(TooManySearches, match=f"{searches.MOST_SEARCHES} searches are open"):
        await memory.lines("error")
    tasks[0].cancel()
    await asyncio.wait({tasks[0]})
    another = asyncio.create_task(memory.lines("error"))
    await gate.reached(searches.MOST_SEARCHES)
    gate.open.set()
    assert await asyncio.gather(*tasks[1:], another) == [[("one", 1, 1)]] * searches.MOST_SEARCHES


async def test_closing_a_search_ends_it_at_once_and_makes_room(
    memory: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(memory, monkeypatch)
    monkeypatch.setattr(searches, "PROGRESS_EVERY", 0.01)
    for _ in range(searches.MOST_SEARCHES + 1):
        async with aclosing(memory.service.search(LogSearch(pattern="error"))) as items:
            assert isinstance(await anext(items), SearchProgress)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    gate.open.set()
    assert await memory.lines("error") == [("one", 1, 1)]


async def test_a_server_that_is_about_to_stop_ends_searches(memory: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(memory, monkeypatch)
    task = asyncio.create_task(memory.lines("error"))
    await gate.reached(1)
    memory.service.drain()
    gate.open.set()
    with pytest.raises(Draining, match="about to stop"):
        await task


async def test_a_reader_who_is_slow_keeps_no_other_search_from_its_turn(library: Library) -> None:
    await library.job("one", b"error\n" * 1000)
    slow = [library.service.search(LogSearch(pattern="error")) for _ in range(searches.MOST_SEARCHES - 1)]
    for each in slow:
        await anext(each)
    assert len(await library.lines("error")) == 1000
    for each in slow:
        await each.aclose()


async def test_a_search_that_stands_still_lets_the_journal_of_the_database_be_emptied(
    disk: Library, tmp_path: Path
) -> None:
    await disk.job("one", b"error\n" * 50_000)
    await disk.job("other", over=None)
    async with aclosing(disk.service.search(LogSearch(pattern="error"))) as items:
        await anext(items)
        for i in range(40):
            await disk.write(AttemptKey("other", 1), os.urandom(2**20), offset=i * 2**20)
        size = (tmp_path / "data" / "logs.db-wal").stat().st_size
        figures.at_most("search: the journal while one stands still and 40 MiB are written", size / 2**20, 12, "MiB")


async def test_a_log_that_is_deleted_meanwhile_ends_there(disk: Library) -> None:
    await disk.job("old", b"error\n")
    await disk.job("one", b"")
    lines = b"error" + b"." * (SIZE - 6) + b"\n"
    for i in range(20):
        await disk.write(AttemptKey("one", 1), lines, offset=i * SIZE, line=i)
    async with aclosing(disk.service.search(LogSearch(pattern="error"))) as items:
        first = await anext(items)
        await disk.service.delete("one")
        rest = [item async for item in items]
    assert isinstance(first, LogMatch)
    assert len(matches(rest)) < 19
    assert matches(rest)[-1].job_id == "old"
