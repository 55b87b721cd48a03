"""The stored logs: who writes one, and reading that joins what is stored with what still comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from spark_jobs.bus import Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.times import to_ns
from spark_jobs.recording import LogRecorder
from spark_jobs.store.base import LogChunk, LogStore


class LogBook:
    """The stored logs, and the bell that rings when one of them grows."""

    def __init__(self, store: LogStore, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def recorder(self, key: AttemptKey) -> LogRecorder:
        """A recorder that goes on where the stored log ends."""
        return LogRecorder(self._store, self._bus, key, await self._store.log_point(key))

    def settled(self, key: AttemptKey) -> None:
        """Wake those who wait for more of this log: what is stored is all that there will be."""
        self._bus.ring(key)

    async def seek(self, key: AttemptKey, *, tail: int | None = None, since: datetime | None = None) -> int:
        """The byte where the last ``tail`` lines, or the lines ``since`` a time, begin; 0 if neither is asked for."""
        if tail is None and since is None:
            return 0
        return await self._store.log_seek(key, tail=tail, since_ns=to_ns(since) if since else None)

    async def stream(
        self, key: AttemptKey, *, offset: int, done: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[LogChunk]:
        """The log from byte ``offset`` on, waiting for more until ``done()`` says that no more will come."""
        with self._bus.subscribe(key, key.job_id) as changed:
            while True:
                last = await done()
                async for chunk in self._store.log_read(key, offset=offset):
                    offset = chunk.offset + len(chunk.data)
                    yield chunk
                if last:
                    return
                await changed.wait()


def with_stamps(chunk: LogChunk, render: Callable[[int], bytes]) -> bytes:
    """The chunk's bytes with ``render(stamp)`` before each line that begins in it."""
    out: list[bytes] = []
    data, at = chunk.data, 0
    lines = data.count(b"\n") + (0 if data.endswith(b"\n") or not data else 1)
    inside = lines - len(chunk.stamps)
    for index in range(lines):
        end = data.find(b"\n", at) + 1 or len(data)
        if index >= inside:
            out.append(render(chunk.stamps[index - inside]))
        out.append(data[at:end])
        at = end
    return b"".join(out)
