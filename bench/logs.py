"""A stored log of 1 GB: until its first byte comes, its last lines, those since a time, and what a search finds in it, beside
grep and zstdgrep on the same text as a file; what it takes on the disk, beside zstd -3."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.request import Request, urlopen

from spark_jobs.api.stream import closing
from spark_jobs.bus import Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.search import LogMatch
from spark_jobs.domain.times import to_ns
from spark_jobs.logs import LogBook
from spark_jobs.search.query import LogSearch
from spark_jobs.service import JobService, LogPart, Policy
from spark_jobs.store.base import LogChunk, LogPoint
from spark_jobs.store.sql.store import SqlStore
from tests.contract.store.acts import add, finish
from tests.e2e.server import SPARK, Server, environment, serving

LINES = int(os.environ.get("SPARK_BENCH_LINES", "10000000"))
NEEDLE = "needle-in-a-haystack"
_PER_CHUNK = 2500
_PER_WRITE = 16  # chunks
_APART = 100_000  # ns between two lines
_TIMES = 5  # each time to a first byte is taken so often; the median counts


class Haystack:
    """The log, in a store and as a file; one line of it, in its middle, holds the needle."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / "log.txt"
        self.packed = home / "log.txt.zst"
        self.begun = datetime.now(UTC) - timedelta(hours=1)
        self.bytes = 0

    async def fill(self) -> float:
        """Write both; the seconds that the store took."""
        store = SqlStore(self.home / "data", clock=lambda: datetime.now(UTC))
        await store.open()
        await add(store, "big", at=self.begun)
        key = await finish(store, "big", at=self.begun)
        seconds = 0.0
        batch: list[LogChunk] = []
        with self.file.open("wb") as file:
            for chunk in self._chunks():
                file.write(chunk.data)
                batch.append(chunk)
                self.bytes = chunk.offset + len(chunk.data)
                if len(batch) == _PER_WRITE or chunk.line + len(chunk.stamps) == LINES:
                    seconds += await self._store(store, key, batch)
                    batch = []
        await store.close()
        return seconds

    async def _store(self, store: SqlStore, key: AttemptKey, batch: list[LogChunk]) -> float:
        began = time.perf_counter()
        last = batch[-1]
        await store.log_append(key, batch, LogPoint(bytes=self.bytes, lines=last.line + len(last.stamps)))
        return time.perf_counter() - began

    def _chunks(self) -> Iterator[LogChunk]:
        chance, first = random.Random(1), to_ns(self.begun)  # noqa: S311 - numbers in lines, no secrets
        offset = 0
        for begin in range(0, LINES, _PER_CHUNK):
            numbers = range(begin, min(begin + _PER_CHUNK, LINES))
            lines = [
                f"2026-11-25T12:{n // 600000 % 60:02d}:{n // 10000 % 60:02d}.{n % 10000:04d}Z INFO worker-{n % 7} "
                f"processed item {chance.getrandbits(30)} of {LINES} in {chance.getrandbits(10)} ms, {n} done\n"
                for n in numbers
            ]
            if LINES // 2 in numbers:
                lines[LINES // 2 - begin] = f"{NEEDLE}\n"
            data = "".join(lines).encode()
            stamps = tuple(first + n * _APART + chance.getrandbits(16) for n in numbers)
            yield LogChunk(offset=offset, line=begin, data=data, stamps=stamps)
            offset += len(data)

    @property
    def late(self) -> datetime:
        """A time shortly before the log's end."""
        return self.begun + timedelta(microseconds=(LINES - 1000) * _APART // 1000)

    @property
    def stored_bytes(self) -> int:
        """What the store's files take."""
        return sum(file.stat().st_size for file in (self.home / "data").glob("logs.db*"))


def run() -> str:
    """The table."""
    with tempfile.TemporaryDirectory(prefix="spark-bench-") as folder:
        hay = Haystack(Path(folder))
        stored = asyncio.run(hay.fill())
        subprocess.run(["zstd", "-q", "-3", str(hay.file), "-o", str(hay.packed)], check=True)
        rows = [
            ("stored by the log store", f"{hay.bytes / stored / 1e6:.0f} MB/s"),
            ("on disk, with line and time index", f"{hay.stored_bytes / 1e6:.0f} MB"),
            ("zstd -3 of the text alone", f"{hay.packed.stat().st_size / 1e6:.0f} MB"),
            *asyncio.run(_in_process(hay)),
            *_by_command(hay),
            *_beside(hay),
            *asyncio.run(_deleted(hay)),
        ]
    head = f"a log of {hay.bytes / 1e9:.2f} GB, {LINES} lines; median of {_TIMES} where first bytes are timed"
    return "\n".join([head, *(f"{name:<62} {figure:>12}" for name, figure in rows)])


async def _in_process(hay: Haystack) -> list[tuple[str, str]]:
    store = SqlStore(hay.home / "data", clock=lambda: datetime.now(UTC))
    await store.open()
    bus = Bus()
    service = JobService(store, LogBook(store, bus), bus, Policy(defaults=Defaults()), clock=lambda: datetime.now(UTC))
    rows = []
    for name, part in (
        ("from its begin", LogPart()),
        ("--tail 100", LogPart(tail=100)),
        ("--since its last 0.1 s", LogPart(since=hay.late)),
    ):
        times = [await _first_piece(service, part) for _ in range(_TIMES)]
        rows.append((f"service: first bytes, {name}", f"{sorted(times)[_TIMES // 2] * 1000:.1f} ms"))
    for name, search in _searches():
        began = time.perf_counter()
        found = [item async for item in service.search(search) if isinstance(item, LogMatch)]
        seconds = time.perf_counter() - began
        _expect([match.found.line for match in found] == [LINES // 2 + 1], search.pattern)
        rows.append((f"service: search, {name}", f"{seconds:.2f} s"))
    await store.close()
    return rows


def _searches() -> list[tuple[str, LogSearch]]:
    return [
        ("a literal, one line found", LogSearch(pattern=NEEDLE, fixed=True)),
        ("a literal in any case", LogSearch(pattern=NEEDLE.upper(), fixed=True, ignore_case=True)),
        ("an expression (needle|pin)-in-[a-z]+", LogSearch(pattern="(needle|pin)-in-[a-z]+")),
        ("an expression ^[a-z-]+$", LogSearch(pattern="^[a-z-]+$")),
    ]


async def _first_piece(service: JobService, part: LogPart) -> float:
    began = time.perf_counter()
    async with closing(service.logs("big", part)) as pieces:
        async for piece in pieces:
            if piece.chunk.data:
                return time.perf_counter() - began
    raise RuntimeError("nothing came")


def _by_command(hay: Haystack) -> list[tuple[str, str]]:
    """The command line, a new process each time, against a server process."""
    since = hay.late.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with serving(hay.home, "--cluster", "local") as server:
        ways = [("logs", []), ("logs --tail 100", ["--tail", "100"]), ("logs --since", ["--since", since])]
        address = "/v1/jobs/big/logs"
        rows = [
            (f"over HTTP, {name}: first byte", _median(partial(_first_byte_of, _asked(server, f"{address}{query}"))))
            for name, query in (("from its begin", ""), ("tail=100", "?tail=100"), ("since", f"?since={since}"))
        ]
        search = f"/v1/logs/search?fixed=true&pattern={NEEDLE}"
        rows.append(("over HTTP: search for a literal", _took(partial(_whole, _asked(server, search)))))
        rows += [
            (f"spark {name}: first byte", _median(partial(_first_byte, server, "logs", "big", *flags)))
            for name, flags in ways
        ]
        rows.append(("spark version, to compare: first byte", _median(lambda: _first_byte(server, "version"))))
        rows.append(("python -c pass, to compare: begin to end", _median(_nothing)))
        rows.append(("spark grep -F", _took(lambda: server.spark("grep", "-F", NEEDLE).stdout)))
    return rows


def _median(measure: Callable[[], float]) -> str:
    return f"{sorted(measure() for _ in range(_TIMES))[_TIMES // 2] * 1000:.0f} ms"


def _took(search: Callable[[], str]) -> str:
    began = time.perf_counter()
    _expect(NEEDLE in search(), "a search")
    return f"{time.perf_counter() - began:.2f} s"


def _asked(server: Server, path: str) -> Request:
    token = (server.home / "data" / "token").read_text().strip()
    return Request(f"{server.url}{path}", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - our own server


def _whole(request: Request) -> str:
    with urlopen(request) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode())


def _first_byte_of(request: Request) -> float:
    began = time.perf_counter()
    with urlopen(request) as answer:  # noqa: S310 - our own server
        _expect(answer.read(1) != b"", request.full_url)
        return time.perf_counter() - began


def _first_byte(server: Server, *words: str) -> float:
    env = {**environment(server.home), "SPARK_SERVER": server.url}
    began = time.perf_counter()
    with subprocess.Popen([*SPARK, *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        _expect(process.stdout is not None and process.stdout.read(1) != b"", " ".join(words))
        seconds = time.perf_counter() - began
        process.kill()
    return seconds


def _nothing() -> float:
    """What every command written in Python takes at least."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


async def _deleted(hay: Haystack) -> list[tuple[str, str]]:
    """What others wait at most while the log goes."""
    store = SqlStore(hay.home / "data", clock=lambda: datetime.now(UTC))
    await store.open()
    commits: list[float] = []
    store.observe_commits(lambda seconds, _writes: commits.append(seconds))
    began = time.perf_counter()
    await store.delete("big")
    seconds = time.perf_counter() - began
    left = hay.stored_bytes
    await store.close()
    return [
        ("deleted, its space given back", f"{seconds:.2f} s"),
        ("the longest that another write waits meanwhile", f"{max(commits) * 1000:.0f} ms"),
        ("on disk afterwards, with the journal", f"{left / 1e6:.1f} MB"),
    ]


def _expect(holds: bool, what: str) -> None:
    """A figure of something that did not work is none."""
    if not holds:
        raise RuntimeError(f"{what}: not what was expected")


def _beside(hay: Haystack) -> list[tuple[str, str]]:
    """The same lines found by others, on files that are in memory already."""
    rows = []
    for name, words, file in (
        ("grep -F", ["grep", "-F"], hay.file),
        ("grep -Fi", ["grep", "-Fi"], hay.file),
        ("grep -E", ["grep", "-E"], hay.file),
        ("zstdgrep -F", ["zstdgrep", "-F"], hay.packed),
    ):
        if shutil.which(words[0]) is None:
            rows.append((name, "not there"))
            continue
        pattern = "(needle|pin)-in-[a-z]+" if words[-1] == "-E" else NEEDLE
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        began = time.perf_counter()
        done = subprocess.run([*words, "-n", pattern, str(file)], env=env, capture_output=True, text=True, check=True)
        rows.append((f"{name} on the file", f"{time.perf_counter() - began:.2f} s"))
        _expect(NEEDLE in done.stdout, name)
    return rows


if __name__ == "__main__":
    print(run())
    sys.exit(0)
