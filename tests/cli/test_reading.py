"""Reading logs and changes over real connections that break, of jobs that have several attempts or are deleted."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spark_jobs.client import Client, Contact, LogOptions
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import JobNotFound, NotFound
from spark_jobs.domain.job import JobEvent
from spark_jobs.logs import LogBook
from spark_jobs.recording import LogRecorder
from tests.cli.oneway import OneWay
from tests.cli.reached import SCHEMES, through
from tests.engine.bench import PATIENCE, Bench, bench, scripts

BEGIN = 1_900_000_000 * 10**9
STAMP = re.compile(rb"2030-03-17T17:46:4[0-9]\.[0-9]{9}Z ")


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Bench]:
    kinds = scripts(
        lines=Script(lines=("one", "two", "three")),
        silent=Script(runs=None),
        fails=Script(lines=("a", "b"), exit_code=1),
    )
    async with bench(tmp_path / "data", FakeCluster(kinds)) as running:
        yield running


@pytest.fixture(params=SCHEMES)
async def reached(core: Bench, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Client, OneWay]]:
    """A client of the core with a relay in between, over each interface."""
    async with through(core, request.param) as found:
        yield found


class Heard(Contact):
    """A contact that can be waited for."""

    def __init__(self) -> None:
        super().__init__(PATIENCE)
        self._heard = asyncio.Event()

    def kept(self) -> None:
        """The server said something."""
        super().kept()
        self._heard.set()

    async def heard(self) -> None:
        """Until it said something."""
        async with asyncio.timeout(PATIENCE):
            await self._heard.wait()


class Following:
    """A reader that keeps what it got."""

    def __init__(self, client: Client, job_id: str, options: LogOptions) -> None:
        self.data = b""
        self.contact = Heard()
        self._came = asyncio.Event()
        self._task = asyncio.create_task(self._read(client, job_id, options))

    async def _read(self, client: Client, job_id: str, options: LogOptions) -> None:
        async for piece in client.follow(job_id, options, contact=self.contact):
            assert piece.data
            self.data += piece.data
            self._came.set()

    async def until(self, holds: Callable[[bytes], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds(self.data):
                self._came.clear()
                await self._came.wait()

    async def all(self) -> bytes:
        """What it got by the end of the log."""
        async with asyncio.timeout(PATIENCE):
            await self._task
        return self.data


async def whole(client: Client, job_id: str, options: LogOptions) -> bytes:
    """What there is of a log now."""
    async with asyncio.timeout(PATIENCE):
        return b"".join([data async for data in client.logs(job_id, options)])


async def followed(client: Client, job_id: str, options: LogOptions) -> list[tuple[int, bytes]]:
    """The pieces of a log up to its end, with their attempts."""
    async with asyncio.timeout(PATIENCE):
        return [(piece.attempt, piece.data) async for piece in client.follow(job_id, options)]


async def _written(core: Bench, job_id: str) -> LogRecorder:
    """What writes more to the log of a running job."""
    await core.until(job_id, lambda job: job.state == "RUNNING")
    return await LogBook(core.core.store, core.core.bus).recorder(AttemptKey(job_id, 1))


async def test_times_stand_once_before_each_line_though_the_connection_breaks_within_it(
    core: Bench, reached: tuple[Client, OneWay]
) -> None:
    client, relay = reached
    job_id = await core.submit(command=["silent"])
    log = await _written(core, job_id)
    following = Following(client, job_id, LogOptions(timestamps=True))
    log.add(b"first\nbegun, ", [BEGIN, BEGIN + 1])
    await log.flush()
    await following.until(lambda data: data.endswith(b"begun, "))
    relay.cut()
    log.add(b"and ended\nlast\n", [BEGIN + 2])
    await log.flush()
    await following.until(lambda data: data.endswith(b"last\n"))
    await core.service.cancel(job_id)
    assert STAMP.sub(b"* ", await following.all()) == b"* first\n* begun, and ended\n* last\n"


async def test_a_follow_from_the_end_misses_nothing_of_a_gap_before_the_first_line(
    core: Bench, reached: tuple[Client, OneWay]
) -> None:
    client, relay = reached
    job_id = await core.submit(command=["silent"])
    log = await _written(core, job_id)
    log.add(b"old\n", [BEGIN])
    await log.flush()
    following = Following(client, job_id, LogOptions(tail=0))
    await following.contact.heard()
    relay.cut()
    log.add(b"in the gap\n", [BEGIN + 1])
    await log.flush()
    await following.until(lambda data: data.endswith(b"gap\n"))
    await core.service.cancel(job_id)
    assert await following.all() == b"in the gap\n"


async def test_changes_from_now_on_miss_nothing_of_a_gap_before_the_first(
    core: Bench, reached: tuple[Client, OneWay]
) -> None:
    client, relay = reached
    contact, told = Heard(), asyncio.Queue[JobEvent]()

    async def watch() -> None:
        async for event in client.events(contact=contact):
            await told.put(event)

    await core.ends(await core.submit(command=["lines"]))
    watching = asyncio.create_task(watch())
    await contact.heard()
    relay.cut()
    missed = await core.submit(command=["lines"])
    async with asyncio.timeout(PATIENCE):
        first = await told.get()
        watching.cancel()
        await asyncio.wait({watching})
    assert (first.job_id, first.target) == (missed, "QUEUED")


async def test_changes_of_a_job_end_when_it_is_deleted(core: Bench, reached: tuple[Client, OneWay]) -> None:
    client, _ = reached
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    await core.closed()
    contact = Heard()

    async def all_of_them() -> list[str]:
        return [str(event.target) async for event in client.events(job_id, after=0, contact=contact)]

    watching = asyncio.create_task(all_of_them())
    await contact.heard()
    await core.service.delete(job_id)
    async with asyncio.timeout(PATIENCE):
        assert (await watching)[-1] == "SUCCEEDED"
        with pytest.raises(JobNotFound):
            await anext(client.events(job_id, after=0))


async def test_a_log_that_is_deleted_while_it_is_followed_is_said_so(
    core: Bench, reached: tuple[Client, OneWay]
) -> None:
    client, _ = reached
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    await core.closed()
    log = await LogBook(core.core.store, core.core.bus).recorder(AttemptKey(job_id, 1))
    for _ in range(64):
        log.add(b"x" * 1023 + b"\n" + b"y" * 250_000 + b"\n", [BEGIN, BEGIN])
        await log.flush()
    async with asyncio.timeout(PATIENCE), aclosing(client.follow(job_id)) as pieces:
        await anext(pieces)
        await core.service.delete(job_id)
        with pytest.raises(NotFound, match="was deleted while"):
            async for _ in pieces:
                pass


@pytest.mark.parametrize("options", [LogOptions(), LogOptions(tail=10**6), LogOptions(json=True)])
async def test_what_there_is_now_is_read_to_its_end_over_connections_that_break(
    core: Bench, reached: tuple[Client, OneWay], options: LogOptions
) -> None:
    client, relay = reached
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    await core.closed()
    log = await LogBook(core.core.store, core.core.bus).recorder(AttemptKey(job_id, 1))
    for number in range(40):
        log.add(b"%d" % number + b"x" * 200_000 + b"\n", [BEGIN])
        await log.flush()
    undisturbed = await whole(client, job_id, options)
    assert len(undisturbed) > 40 * 200_000
    parts = [0]
    async with asyncio.timeout(PATIENCE), aclosing(client.logs(job_id, options)) as pieces:
        read = b""
        async for piece in pieces:
            read += piece
            if len(read) > len(parts) * 2_000_000:
                relay.cut()
                parts.append(len(read))
    assert len(parts) > 3
    assert read == undisturbed


async def test_all_attempts_with_the_last_lines_of_each(core: Bench, reached: tuple[Client, OneWay]) -> None:
    client, _ = reached
    job_id = await core.submit(command=["fails"], retries=2, backoff=0)
    await core.ends(job_id)
    options = LogOptions(all_attempts=True, tail=1)
    assert await whole(client, job_id, options) == b"b\n" * 3
    assert await followed(client, job_id, options) == [(1, b"b\n"), (2, b"b\n"), (3, b"b\n")]
    assert await followed(client, job_id, LogOptions(tail=1)) == [(3, b"b\n")]
    assert await followed(client, job_id, LogOptions(tail=1, since="1d")) == [(3, b"b\n")]
    everything = [(attempt, b"a\nb\n") for attempt in (1, 2, 3)]
    assert await followed(client, job_id, LogOptions()) == everything
    assert await followed(client, job_id, LogOptions(since="1d")) == everything
    timed = await followed(client, job_id, LogOptions(timestamps=True))
    assert [(attempt, re.sub(rb"(?m)^\S+Z ", b"", data)) for attempt, data in timed] == everything


async def test_the_last_lines_since_a_time_are_those_that_are_both(core: Bench, reached: tuple[Client, OneWay]) -> None:
    client, _ = reached
    job_id = await core.submit(command=["silent"])
    log = await _written(core, job_id)
    log.add(b"1\n2\n3\n4\n", [BEGIN + second * 10**9 for second in range(4)])
    await log.flush()
    begin = datetime.fromtimestamp(BEGIN // 10**9, UTC)
    for tail, seconds, expected in ((3, 2, b"3\n4\n"), (1, 2, b"4\n"), (9, 0, b"1\n2\n3\n4\n"), (2, 9, b"")):
        since = (begin + timedelta(seconds=seconds)).isoformat()
        assert await whole(client, job_id, LogOptions(tail=tail, since=since)) == expected


async def test_lines_as_json_are_the_same_however_they_are_read(core: Bench, reached: tuple[Client, OneWay]) -> None:
    client, _ = reached
    job_id = await core.submit(command=["silent"])
    log = await _written(core, job_id)
    log.add(b"one\n\xff\nlast", [BEGIN, BEGIN + 1, BEGIN + 2])
    await log.flush()
    await core.service.cancel(job_id)
    await core.ends(job_id)
    options = LogOptions(json=True)
    read = await whole(client, job_id, options)
    assert [(line["offset"], line.get("text"), line.get("bytes")) for line in map(json.loads, read.splitlines())] == [
        (0, "one\n", None),
        (4, None, "/wo="),
        (6, "last", None),
    ]
    assert json.loads(read.splitlines()[0])["time"] == "2030-03-17T17:46:40.000000000Z"
    assert b"".join([data for _, data in await followed(client, job_id, options)]) == read
