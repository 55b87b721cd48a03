"""Two stored logs on their way to a sink, a folder and an object store on loopback: how fast they go, how much memory that
takes, which must not depend on their size, and how long the event loop is held up meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from spark_jobs.app.choose import sink_at
from spark_jobs.domain.attempt import AttemptChanges, AttemptKey
from spark_jobs.domain.job import LogState
from spark_jobs.engine.archiver import Archiver
from spark_jobs.metrics import Metrics
from spark_jobs.sinks.address import parse_address
from spark_jobs.store.base import LogChunk, LogPoint
from spark_jobs.store.sql import SqlStore
from tests.contract.store.acts import START, Clock, add, finish
from tests.fakes.s3 import object_store

SIZES = (100, 400)  # MiB in each of the logs
LOGS = 2
_PER_CHUNK = 6500  # lines, about half a MiB
_LOOK_EVERY = 0.005
_MIB = 1024 * 1024


class Sent(NamedTuple):
    """One run: seconds, memory beyond what was there before, and the longest that the loop came late."""

    seconds: float
    memory: float
    late: float


def run() -> str:
    """The table."""
    rows = ["| Logs | Sink | MiB/s | Memory | Loop held up |", "|---|---|---|---|---|"]
    for size in SIZES:
        with tempfile.TemporaryDirectory() as home, object_store() as store, _environment(store.environment):
            store.make_bucket("logs")
            (Path(home) / "archive").mkdir()
            rows += asyncio.run(_rows(Path(home), size))
    return "\n".join(rows)


@contextmanager
def _environment(names: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(names)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _rows(home: Path, size: int) -> list[str]:
    store = SqlStore(home / "data", clock=Clock())
    await store.open()
    keys = [await _fill(store, f"job-{number}", size) for number in range(LOGS)]
    total = sum([(await store.log_point(key)).bytes for key in keys]) / _MIB
    rows = []
    for url in ((home / "archive").as_uri(), "s3://logs/bench"):
        for key in keys:
            await store.note(key, AttemptChanges(archive_due_at=START))
        sent = await _send(store, url)
        figures = f"{total / sent.seconds:.0f} | +{sent.memory:.1f} MiB | {sent.late * 1000:.0f} ms"
        rows.append(f"| {LOGS}, {total:.0f} MiB in all | {url.partition(':')[0]} | {figures} |")
    await store.close()
    return rows


async def _fill(store: SqlStore, job_id: str, size: int) -> AttemptKey:
    """A log of so many MiB, of lines that look like a service's own."""
    await add(store, job_id)
    key = await finish(store, job_id)
    chance, end, line = random.Random(size), 0, 0  # noqa: S311 - guards nothing
    while end < size * _MIB:
        lines = [_line(chance, end + number) for number in range(_PER_CHUNK)]
        data = b"".join(lines)
        stamps = tuple(range(line + 1, line + 1 + len(lines)))
        chunk = LogChunk(offset=end, line=line, data=data, stamps=stamps)
        end, line = end + len(data), line + len(lines)
        await store.log_append(key, [chunk], LogPoint(bytes=end, lines=line, stamp_ns=stamps[-1]))
    await store.note(key, AttemptChanges(log_state=LogState.COMPLETE, log_bytes=end, log_lines=line))
    return key


def _line(chance: random.Random, number: int) -> bytes:
    worker, took, code = chance.randrange(64), chance.randrange(5000), chance.choice((200, 404, 500))
    return b"2026-01-02 03:04:05 INFO worker %d handled request %d in %d ms with code %d\n" % (
        worker,
        number,
        took,
        code,
    )


async def _send(store: SqlStore, url: str) -> Sent:
    gc.collect()
    archiver = Archiver(store, sink_at(parse_address(url)), "bench", Metrics())
    before, most, late = _memory(), 0.0, 0.0
    begun = time.perf_counter()
    sending = asyncio.create_task(archiver.run())
    while await store.archive_waiting():
        looked = time.perf_counter()
        await asyncio.sleep(_LOOK_EVERY)
        late = max(late, time.perf_counter() - looked - _LOOK_EVERY)
        most = max(most, _memory() - before)
    seconds = time.perf_counter() - begun
    sending.cancel()
    await asyncio.wait([sending])
    return Sent(seconds, most, late)


def _memory() -> float:
    """Resident memory of this process, in MiB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB
