"""The store over SQLite: each method of the contract, as a write or a read of one of the two databases."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from sqlite3 import Connection

from sqlalchemy import select

from spark_jobs.domain.attempt import AttemptChanges, AttemptKey, AttemptRecord, Transition
from spark_jobs.domain.errors import DataDirDamaged, StoreUnavailable
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import (
    Candidate,
    Commit,
    JobFilter,
    JobPage,
    LogBlock,
    LogChunk,
    LogPoint,
    NewClaim,
    NewJob,
    Pruned,
    QueueBound,
    QueueStatus,
    Standing,
    StoredLog,
    Submitted,
    Unsent,
)
from spark_jobs.store.sql import (
    archive,
    attempts,
    chunks,
    events,
    jobs,
    logs,
    pages,
    queue,
    retention,
    sqlite,
    submit,
    transitions,
)
from spark_jobs.store.sql.database import Database, DiskDatabase, MemoryDatabase
from spark_jobs.store.sql.folder import DataFolder
from spark_jobs.store.sql.opening import prepare_folder, renew_logs
from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.removals import Removals
from spark_jobs.store.sql.renewing import RenewingDatabase
from spark_jobs.store.sql.schema import memory_connection
from spark_jobs.store.sql.tables import JOBS, LOGS, installation
from spark_jobs.store.sql.writer import Listeners, Tx

_LOGS_AT_ONCE = 20  # so that the logs of running jobs get their turn
_BLOCKS_BYTES = 1024 * 1024  # unpacked: what one who works through a whole log is given at a time
_INSTANCE = Prepared(select(installation.c.instance))


class SqlStore:
    """The store in a data folder, or in memory (``folder`` null), where everything happens in the event loop itself.

    ``clock`` gives the UTC time; it decides what is due, never what is written.
    """

    def __init__(self, folder: Path | None, *, clock: Callable[[], datetime]) -> None:
        self._folder = None if folder is None else DataFolder(folder)
        self._clock = clock
        self._listeners = Listeners()
        self._log_listeners = Listeners()
        self._removals = Removals()
        self._forgotten: list[Callable[[AttemptKey], None]] = []
        self._databases: tuple[Database, Database] | None = None
        self._instance = ""

    async def open(self) -> None:
        """See ``Store.open``."""
        if self._folder is None:
            self._databases = (
                MemoryDatabase(memory_connection(JOBS), self._listeners),
                MemoryDatabase(memory_connection(LOGS), self._log_listeners),
            )
        else:
            await asyncio.to_thread(self._folder.acquire)
            try:
                await asyncio.to_thread(prepare_folder, self._folder)
                self._databases = (
                    DiskDatabase(self._folder.jobs, self._listeners, "spark-jobs"),
                    RenewingDatabase(
                        partial(DiskDatabase, self._folder.logs, self._log_listeners, "spark-logs"),
                        partial(renew_logs, self._folder),
                    ),
                )
            except BaseException:
                self._folder.release()
                raise
        self._instance = await self._jobs.read(_read_instance)

    async def close(self) -> None:
        """See ``Store.close``."""
        databases, self._databases = self._databases, None
        for database in databases or ():
            await database.close()
        if self._folder is not None:
            self._folder.release()

    @property
    def instance(self) -> str:
        """See ``Store.instance``."""
        return self._instance

    @property
    def _jobs(self) -> Database:
        return self._opened()[0]

    @property
    def _logs(self) -> Database:
        return self._opened()[1]

    def _opened(self) -> tuple[Database, Database]:
        if self._databases is None:
            raise StoreUnavailable("the store is closed")
        return self._databases

    def listen(self, listener: Callable[[Commit], None]) -> None:
        """See ``Store.listen``."""
        self._listeners.commits.append(listener)

    def observe_commits(self, observer: Callable[[float, int], None]) -> None:
        """See ``Store.observe_commits``."""
        self._listeners.observers.append(observer)
        self._log_listeners.observers.append(observer)

    # What the service needs

    async def submit(self, jobs: Sequence[NewJob], bound: QueueBound) -> list[Submitted]:
        """See ``ServiceStore.submit``."""
        return await self._jobs.write(lambda tx: submit.submit(tx, jobs, bound, self._clock()))

    async def get(self, job_id: str) -> Job:
        """See ``ServiceStore.get``."""
        return await self._jobs.read(lambda connection: jobs.whole_job(connection, job_id, self._clock()))

    async def standing(self, job_id: str) -> tuple[Job, Standing | None]:
        """See ``ServiceStore.standing``."""
        return await self._jobs.read(lambda connection: jobs.standing(connection, job_id, self._clock()))

    async def submitted_spec(self, job_id: str) -> JobSpec:
        """See ``ServiceStore.submitted_spec``."""
        return await self._jobs.read(lambda connection: jobs.spec(connection, job_id))

    async def list(self, which: JobFilter, *, page_size: int, after: int | None = None) -> JobPage:
        """See ``ServiceStore.list``."""
        return await self._jobs.read(lambda connection: pages.page(connection, which, page_size, after, self._clock()))

    async def request_cancel(self, job_id: str, at: datetime) -> Job:
        """See ``ServiceStore.request_cancel``."""

        def run(tx: Tx) -> Job:
            transitions.cancel(tx, job_id, at)
            return jobs.whole_job(tx.connection, job_id, self._clock())

        return await self._jobs.write(run)

    async def delete(self, job_id: str) -> None:
        """See ``ServiceStore.delete``. The log goes first, and the job says so: after a crash in between, it can be deleted
        again."""

        def begin(tx: Tx) -> Sequence[AttemptKey]:
            jobs.check_deletable(tx.connection, job_id)
            return retention.begin(tx, [job_id])

        async with self._removals.of([job_id]):
            await self._forget_logs(await self._jobs.write(begin))
            await self._jobs.write(lambda tx: jobs.forget(tx, [job_id]))

    async def queue_status(self, *, first: int = 0) -> QueueStatus:
        """See ``ServiceStore.queue_status``."""
        return await self._jobs.read(lambda connection: queue.status(connection, first, self._clock()))

    async def set_paused(self, paused: bool) -> None:
        """See ``ServiceStore.set_paused``."""
        await self._jobs.write(lambda tx: queue.pause(tx, paused))

    async def events(self, after: int, *, job_id: str | None = None, limit: int = 500) -> Sequence[JobEvent]:
        """See ``ServiceStore.events``."""
        return await self._jobs.read(lambda connection: events.read(connection, after, job_id, limit))

    async def last_event(self) -> int:
        """See ``ServiceStore.last_event``."""
        return await self._jobs.read(events.last)

    async def counts(self) -> dict[tuple[JobState, str | None], int]:
        """See ``ServiceStore.counts``."""
        return await self._jobs.read(jobs.counts)

    # What the engine needs

    async def open_attempts(self) -> builtins.list[AttemptRecord]:
        """See ``EngineStore.open_attempts``."""
        return await self._jobs.read(attempts.open_ones)

    async def attempt(self, key: AttemptKey) -> AttemptRecord:
        """See ``EngineStore.attempt``."""
        return await self._jobs.read(lambda connection: attempts.find(connection, key))

    async def candidates(self, now: datetime, *, limit: int) -> builtins.list[Candidate]:
        """See ``EngineStore.candidates``."""
        return await self._jobs.read(lambda connection: queue.candidates(connection, now, limit))

    async def next_due(self) -> datetime | None:
        """See ``EngineStore.next_due``."""
        return await self._jobs.read(lambda connection: queue.next_due(connection, self._clock()))

    async def usage(self) -> tuple[int, bool]:
        """See ``EngineStore.usage``."""
        return await self._jobs.read(lambda connection: (queue.in_use(connection), queue.is_paused(connection)))

    async def claim(self, claims: Sequence[NewClaim], *, slots: int) -> builtins.list[AttemptRecord]:
        """See ``EngineStore.claim``."""
        return await self._jobs.write(lambda tx: attempts.claim(tx, claims, slots))

    async def note(self, key: AttemptKey, changes: AttemptChanges) -> AttemptRecord:
        """See ``EngineStore.note``."""
        return await self._jobs.write(lambda tx: attempts.note(tx, key, changes, self._clock()))

    async def apply(self, transition: Transition) -> AttemptRecord | None:
        """See ``EngineStore.apply``."""
        return await self._jobs.write(lambda tx: transitions.apply(tx, transition, self._clock()))

    async def queue_overdue(self, now: datetime, *, limit: int = 100) -> builtins.list[str]:
        """See ``EngineStore.queue_overdue``."""
        return await self._jobs.read(lambda connection: queue.overdue(connection, now, limit))

    async def sweep(self, *, jobs_before: datetime, logs_before: datetime, limit: int = 500, sink: bool = False) -> int:
        """See ``EngineStore.sweep``."""
        old_jobs = partial(retention.old_jobs, before=jobs_before, limit=limit, sink=sink)
        old_logs = partial(retention.old_logs, before=logs_before, limit=limit, sink=sink)
        return await self._sweep(old_jobs, jobs.forget) + await self._sweep(old_logs, retention.mark_jobs)

    async def _sweep(
        self, find: Callable[[Connection], builtins.list[str]], finish: Callable[[Tx, builtins.list[str]], None]
    ) -> int:
        """Forget the logs of the jobs that are found, and ``finish``; how many there were."""
        found = await self._jobs.read(find)
        async with self._removals.of(found):
            ids = [job_id for job_id in await self._jobs.read(find) if job_id in found] if found else []
            if ids:
                await self._forget_logs(await self._jobs.write(lambda tx: retention.begin(tx, ids)))
                await self._jobs.write(lambda tx: finish(tx, ids))
        return len(found)

    async def prune_logs(self, max_bytes: int) -> Pruned:
        """See ``EngineStore.prune_logs``."""
        logs = unsent = 0
        while await self._logs.read(sqlite.used_bytes) > max_bytes:
            oldest = await self._jobs.read(retention.oldest_log)
            if oldest is None:
                break
            key, waits_for_sink = oldest
            async with self._removals.of([key.job_id]):
                if await self._jobs.read(retention.oldest_log) != oldest:
                    continue
                await self._jobs.write(partial(retention.mark, forgotten=[key]))
                await self._forget_logs([key])
            logs, unsent = logs + 1, unsent + waits_for_sink
        return Pruned(logs=logs, unsent=unsent)

    async def _forget_logs(self, keys: Sequence[AttemptKey]) -> None:
        """Remove logs, a few at a time, and give their space back. Those of which that is not known to be done are found
        again after a crash."""
        for at in range(0, len(keys), _LOGS_AT_ONCE):
            some = keys[at : at + _LOGS_AT_ONCE]
            while await self._logs.write(partial(logs.forget, keys=some)):
                pass  # other writes get their turn in between
            for key in some:
                for listener in self._forgotten:
                    listener(key)
            while await self._logs.write(lambda tx: sqlite.shrink(tx.connection)):
                pass  # other writes get their turn in between
            await self._jobs.write(partial(retention.mark_gone, forgotten=some))

    # What the archiver needs

    async def archive_due(self, *, limit: int) -> Sequence[Unsent]:
        """See ``ArchiveStore.archive_due``."""
        return await self._jobs.read(lambda connection: archive.due(connection, limit))

    async def archived(self, unsent: Unsent, to: str) -> bool:
        """See ``ArchiveStore.archived``."""
        return await self._jobs.write(lambda tx: archive.sent(tx, unsent, to))

    async def archive_waiting(self) -> int:
        """See ``ArchiveStore.archive_waiting``."""
        return await self._jobs.read(archive.waiting)

    # What those who write or read logs need

    def on_forgotten(self, listener: Callable[[AttemptKey], None]) -> None:
        """See ``LogStore.on_forgotten``."""
        self._forgotten.append(listener)

    async def log_append(self, key: AttemptKey, chunks: Sequence[LogChunk], point: LogPoint) -> None:
        """See ``LogStore.log_append``."""
        await self._logs.write(lambda tx: logs.append(tx, key, chunks, point))

    async def log_point(self, key: AttemptKey) -> LogPoint:
        """See ``LogStore.log_point``. Whoever is about to write has to know of damage, so that meets a write, which has it
        mended."""
        try:
            return await self._logs.read(lambda connection: logs.point(connection, key))
        except DataDirDamaged:
            return await self._logs.write(lambda tx: logs.point(tx.connection, key))

    async def log_read(self, key: AttemptKey, *, offset: int = 0, times: bool = True) -> AsyncIterator[LogChunk]:
        """See ``LogStore.log_read``. No transaction stays open between two chunks: a slow reader holds nothing up."""
        end = await self._logs.read(lambda connection: logs.end(connection, key))
        in_line = False
        while offset < end:
            read = partial(chunks.read_some, key=key, offset=offset, in_line=in_line, times=times)
            found = await self._logs.read(read)
            if not found:
                return
            for chunk in found:
                offset = chunk.offset + len(chunk.data)
                in_line = not chunk.data.endswith(b"\n")
                yield chunk

    async def log_list(self, job_ids: Sequence[str], *, since_ns: int | None = None) -> Sequence[StoredLog]:
        """See ``LogStore.log_list``."""
        return await self._logs.read(lambda connection: logs.of_jobs(connection, job_ids, since_ns or 0))

    async def log_blocks(self, places: Sequence[tuple[AttemptKey, int]]) -> Sequence[Sequence[LogBlock]]:
        """See ``LogStore.log_blocks``."""
        return await self._logs.read(lambda connection: chunks.blocks_of(connection, places, _BLOCKS_BYTES))

    async def log_seek(self, key: AttemptKey, *, tail: int | None = None, since_ns: int | None = None) -> int:
        """See ``LogStore.log_seek``."""
        return await self._logs.read(lambda connection: chunks.seek(connection, key, tail, since_ns))


def _read_instance(connection: Connection) -> str:
    return str(_INSTANCE.value(connection))
