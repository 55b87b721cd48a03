"""The stored logs: who writes one, and reading that joins what is stored with what still comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime

from spark_jobs.bus import Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import AttemptNotFound
from spark_jobs.domain.times import to_ns
from spark_jobs.recording import LogRecorder
from spark_jobs.shelf import Shelf
from spark_jobs.store.base import LogBlock, LogChunk, LogStore, StoredLog


class LogBook:
    """The stored logs, and the bell that rings when one of them grows."""

    def __init__(self, store: LogStore, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._shelf = Shelf(store)
        store.on_forgotten(self._shelf.drop)

    async def recorder(self, key: AttemptKey) -> LogRecorder:
        """A recorder that goes on where the stored log ends."""
        return LogRecorder(self._store, self._bus, key, await self._store.log_point(key))

    def settled(self, key: AttemptKey) -> None:
        """Wake those who wait for more of this log: what is stored is all that there will be."""
        self._bus.ring(key, key.job_id)

    async def seek(self, key: AttemptKey, *, tail: int | None = None, since: datetime | None = None) -> int:
        """The byte where the last ``tail`` lines, or the lines ``since`` a time, begin; 0 if neither is asked for."""
        if tail is None and since is None:
            return 0
        return await self._store.log_seek(key, tail=tail, since_ns=to_ns(since) if since else None)

    async def stored(self, job_ids: Sequence[str], *, since: datetime | None = None) -> Sequence[StoredLog]:
        """The logs of these jobs that have something in them (from a time on): jobs as given, latest attempts first."""
        return await self._store.log_list(job_ids, since_ns=to_ns(since) if since else None)

    async def blocks(self, places: Sequence[tuple[AttemptKey, int]]) -> Sequence[Sequence[LogBlock]]:
        """The next blocks, still packed, of the first of these logs from these bytes on; none at the end of one."""
        return await self._store.log_blocks(places)

    async def stream(
        self, key: AttemptKey, *, offset: int, times: bool = False, done: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[LogChunk]:
        """The log from byte ``offset`` on, in small pieces, waiting for more until ``done()`` says that no more will come.
        Pieces have the times of their lines only where they are asked for.

        Raises:
            AttemptNotFound: the log was deleted while it was read, so what came is not all; or there is none that byte
                ``offset`` could be of, though some of it may have been read before.
        """
        with (
            self._bus.subscribe(key, key.job_id) as changed,
            self._bus.subscribe(key.job_id) as judged,
            self._shelf.reader(key, offset, times=times) as reader,
        ):
            # Most of what rings tells of more bytes; whether those were the last is another question, and a costly one.
            judged.ring()
            last = False
            while True:
                while (piece := await reader.next()) is not None:
                    yield piece
                if last:
                    break
                if judged.take():
                    last = await done()
                if not last:
                    await changed.wait()
            end = (await self._store.log_point(key)).bytes
            if reader.offset > max(offset, end):
                raise AttemptNotFound(
                    f"the log of job {key.job_id}, attempt {key.attempt} was deleted while it was read; "
                    f"its first {reader.offset} bytes were there"
                )
            if offset > end == 0:
                raise AttemptNotFound(
                    f"the log of job {key.job_id}, attempt {key.attempt} was asked for from byte {offset} on, and nothing "
                    "of it is stored: it is no longer kept, or there never was one"
                )


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
