"""Logs on their way into and out of the store: buffered writing, reading that joins what is stored with what comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from spark_jobs.bus import Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.times import to_ns
from spark_jobs.store.base import LogChunk, LogPoint, LogStore

FLUSH_BYTES = 256 * 1024
LAST_LINE_BYTES = 4096


class LogBook:
    """The stored logs, and the bell that rings when one of them grows or settles."""

    def __init__(self, store: LogStore, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def recorder(self, key: AttemptKey) -> LogRecorder:
        """A recorder that goes on where the stored log ends."""
        return LogRecorder(self._store, self._bus, key, await self._store.log_point(key))

    async def stored_stamps(self, key: AttemptKey, since_ns: int) -> list[int]:
        """The stamps of all stored lines from the first one at or after ``since_ns`` on."""
        offset = await self._store.log_seek(key, since_ns=since_ns)
        return [stamp async for chunk in self._store.log_read(key, offset=offset) for stamp in chunk.stamps]

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


class LogRecorder:
    """Collects lines of one attempt's log and stores them in chunks. ``point`` is how far the stored log goes."""

    def __init__(self, store: LogStore, bus: Bus, key: AttemptKey, point: LogPoint) -> None:
        self._store = store
        self._bus = bus
        self._key = key
        self.point = point
