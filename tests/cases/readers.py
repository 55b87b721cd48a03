"""A server process over a data folder with a long log in it, and readers of it that are slow, quick, or many."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.store.base import LogChunk
from tests.e2e.server import Server
from tests.engine.bench import bench
from tests.fakes.passing import pass_by

MIB = 1024 * 1024
PATIENCE = 60.0
_NO_LIMIT = aiohttp.ClientTimeout(total=None, sock_read=PATIENCE)
_BEGIN = 1_900_000_000 * 10**9


async def store_log(folder: Path, job_id: str, blocks: Iterable[bytes]) -> str:
    """Make a data folder with one job, which is over, and this log of it; the log's digest."""
    digest = hashlib.sha256()
    async with bench(folder, FakeCluster()) as core:
        await core.ends(await core.submit(id=job_id))
        await core.closed()
        key, in_line = AttemptKey(job_id, 1), False
        point = await core.core.store.log_point(key)
        for data in blocks:
            lines = data.count(b"\n", 0, len(data) - 1) + (not in_line)
            stamps = tuple(range(_BEGIN + point.lines, _BEGIN + point.lines + lines))
            chunk = LogChunk(offset=point.bytes, line=point.lines, data=data, stamps=stamps)
            point = msgspec.structs.replace(point, bytes=point.bytes + len(data), lines=point.lines + lines)
            await core.core.store.log_append(key, [chunk], point)
            digest.update(data)
            in_line = not data.endswith(b"\n")
    return digest.hexdigest()


class Watched:
    """A server process whose memory is looked at."""

    def __init__(self, server: Server) -> None:
        self.server = server
        facts = next(json.loads(line) for line in server.lines if '"serving"' in line)
        self.token = Path(facts["token_file"]).read_text(encoding="ascii").strip()
        self.address = server.grpc.partition("://")[2]

    def memory(self, what: str = "VmRSS") -> float:
        """What the process holds in MiB; ``VmHWM`` is the most that it held since :meth:`forget_peak`."""
        status = Path(f"/proc/{self.server.number()}/status").read_text(encoding="ascii")
        return int(status.partition(f"{what}:")[2].split()[0]) / 1024

    def forget_peak(self) -> float:
        """What it holds now, in MiB; its peak counts from now on."""
        Path(f"/proc/{self.server.number()}/clear_refs").write_text("5", encoding="ascii")
        return self.memory()

    async def submit(self, **spec: Any) -> str:
        """Submit a job; its id."""
        async with self.session() as http, http.post("/v1/jobs", json={"image": "any", **spec}) as answer:
            assert answer.status == 201, await answer.text()
            return str((await answer.json())["id"])

    def session(self) -> aiohttp.ClientSession:
        """Connections to the server, as many as are wanted."""
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        headers = {"Authorization": f"Bearer {self.token}"}
        return aiohttp.ClientSession(self.server.url, connector=connector, headers=headers, timeout=_NO_LIMIT)


@asynccontextmanager
async def watched(home: Path) -> AsyncIterator[Watched]:
    """`spark dev` on the data folder in ``home``."""
    server = Server(home, command="dev")
    await asyncio.to_thread(server.start)
    try:
        yield Watched(server)
    finally:
        code = await asyncio.to_thread(server.end)
    assert (code, server.unexpected()) == (0, [])


class Reader:
    """Reads one answer, as fast as it is told, and keeps a digest of it."""

    def __init__(self, path: str, accept: str = "text/plain", *, slow: bool = False) -> None:
        self._path = path
        self._accept = accept
        self.digest = hashlib.sha256()
        self.taken = 0
        self.quick = asyncio.Event()
        if not slow:
            self.quick.set()

    async def read(self, http: aiohttp.ClientSession) -> str:
        """Read to the end, at 1 KiB a second until ``quick`` is set; the digest."""
        async with http.get(self._path, headers={"Accept": self._accept}) as answer:
            assert answer.status == 200, await answer.text()
            while data := await (answer.content.readany() if self.quick.is_set() else answer.content.read(1024)):
                self.digest.update(data)
                self.taken += len(data)
                if not self.quick.is_set():
                    await self._pause()
        return self.digest.hexdigest()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.quick.wait()


@asynccontextmanager
async def slow_readers(watched: Watched, path: str, count: int, accept: str) -> AsyncIterator[list[Reader]]:
    """So many readers at 1 KiB a second for as long as the block lasts, once each has begun."""
    readers = [Reader(path, accept, slow=True) for _ in range(count)]
    async with watched.session() as http:
        tasks = [asyncio.create_task(reader.read(http)) for reader in readers]
        try:
            async with asyncio.timeout(PATIENCE):
                while not all(reader.taken for reader in readers):
                    await pass_by(0.1)
            yield readers
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def numbered(size: int) -> Iterator[bytes]:
    """Blocks of short numbered lines, about so many bytes in all."""
    number = done = 0
    while done < size:
        block = b"".join([b"%d\n" % each for each in range(number, number + 32_000)])
        yield block
        number, done = number + 32_000, done + len(block)
