"""Follows the log of every attempt from its first byte, and says in the end whether all of it is stored (invariant 6).

One task for each log that is being read. An end of a stream means "look again": only the pod's container being over and
one more plain read that finds nothing new make a log complete (see :mod:`spark_jobs.engine.ending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime

import msgspec

from spark_jobs import journal
from spark_jobs.cluster.base import AttemptRef, Cluster, LogLines, PodSeen, Terminated
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord
from spark_jobs.domain.errors import ClusterError, LogUnavailable, StoreUnavailable
from spark_jobs.domain.job import LogState
from spark_jobs.engine.attempts import ref_of
from spark_jobs.engine.caps import Keeper
from spark_jobs.engine.doubt import Doubt, Doubts, longer_than_the_cap, missing_after, read_once_to, rotated_before
from spark_jobs.engine.ending import Ending
from spark_jobs.engine.reading import Reading
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.logs import LogBook

log = journal.logger(__name__)

OPEN_AFTER = 0.25
FLUSH_EVERY = 0.5
_FIRST_RETRY, _LAST_RETRY = 0.25, 5.0

Settle = Callable[[AttemptRecord, AttemptChanges], Awaitable[object]]


class _Source(msgspec.Struct):
    """One log that is being read. ``ended`` is set once the container is over; ``doubts``: why not all may be stored."""

    record: AttemptRecord
    ref: AttemptRef
    pod: PodSeen
    ended: asyncio.Event
    doubts: Doubts


class Collector:
    """Reads logs into the store. ``settle`` writes a log's final state to the attempt's row."""

    def __init__(
        self,
        cluster: Cluster,
        book: LogBook,
        rules: EngineSettings,
        settle: Settle,
        *,
        clock: Callable[[], datetime],
        counted: Callable[[int], None],
    ) -> None:
        self._cluster = cluster
        self._book = book
        self._rules = rules
        self._settle = settle
        self._clock = clock
        self._counted = counted
        self._sources: dict[str, _Source] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def watch(self, record: AttemptRecord, pod: PodSeen) -> None:
        """The container has been seen: read its log, from now on or still."""
        source = self._sources.get(record.claim)
        if source is None:
            source = self._add(record, pod)
            self._start(record, lambda: self._collect(source))
        source.pod = pod
        if isinstance(pod.container, Terminated):
            source.ended.set()

    def ended(self, record: AttemptRecord, pod: PodSeen) -> None:
        """The container is over: read what is left and settle."""
        self.watch(record, pod)
        self._sources[record.claim].ended.set()

    def give_up(self, record: AttemptRecord, cause: str) -> None:
        """There is nothing left to read from, or nobody knows: one more try, then what is stored is all there will be."""
        source = self._sources.get(record.claim)
        if source is None:
            self._settle_unread(record, Doubt(cause, missing=True))
        else:
            if source.doubts.worst is None:
                source.doubts.consider(Doubt(cause))
            source.ended.set()

    def nothing_to_read(self, record: AttemptRecord) -> None:
        """No container ran: the log is empty, and complete."""
        if record.claim not in self._sources:
            self._settle_unread(record, None)

    def forget(self, record: AttemptRecord) -> None:
        """The attempt is CLOSED."""
        self._sources.pop(record.claim, None)
        self._tasks.pop(record.claim, None)

    async def close(self) -> None:
        """Stop reading; what was read is stored. A later start goes on from there."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle_unread(self, record: AttemptRecord, doubt: Doubt | None) -> None:
        self._add(record, _NO_POD)
        self._start(record, lambda: self._settle_as(record, doubt))

    def _add(self, record: AttemptRecord, pod: PodSeen) -> _Source:
        doubts = Doubts(record.log_problem, lambda text: self._settle(record, AttemptChanges(log_problem=text)))
        source = self._sources[record.claim] = _Source(record, ref_of(record), pod, asyncio.Event(), doubts)
        return source

    def _start(self, record: AttemptRecord, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks[record.claim] = asyncio.create_task(self._until_done(record, work), name=f"log of {record.claim}")

    async def _until_done(self, record: AttemptRecord, work: Callable[[], Awaitable[None]]) -> None:
        """A log that can't be collected harms nothing else. It is begun anew, from what is stored, until it is settled."""
        while not self._closed:
            try:
                await work()
            except StoreUnavailable as error:
                log.warning("can't store a log now", job=record.job_id, problem=error.message)
            except Exception:
                log.exception("collecting a log failed", job=record.job_id, attempt=record.attempt)
            else:
                return
            if not self._closed:
                await asyncio.sleep(_LAST_RETRY)

    async def _collect(self, source: _Source) -> None:
        recorder = await self._book.recorder(source.record.key)
        keeper = Keeper(recorder, log_cap=self._rules.log_cap, line_cap=self._rules.line_cap)
        if not keeper.marked:
            await _wait(source.ended, OPEN_AFTER)
            read = asyncio.Event()
            flusher = asyncio.create_task(self._flush_regularly(keeper, read))
            try:
                doubt = await self._read_to_the_end(source, keeper)
            finally:
                read.set()
                await flusher
            source.doubts.consider(doubt)
            await keeper.finish(sure=source.doubts.worst is None)
        doubt = longer_than_the_cap(self._rules.log_cap) if keeper.marked else source.doubts.worst
        await self._settle_as(source.record, doubt)

    async def _read_to_the_end(self, source: _Source, keeper: Keeper) -> Doubt | None:
        """Read until the container is over and a plain read has found the end; why it could not be read to there, if so."""
        delay, ending = 0.0, Ending(self._rules.log_grace, asyncio.get_running_loop().time)
        reading = self._reading(source, keeper)
        while True:
            if final := source.ended.is_set():
                ending.begin()
            news = False
            try:
                found = await reading.once(follow=not final)
            except StoreUnavailable as error:
                log.warning("can't store a log now", job=source.record.job_id, problem=error.message)
            except (LogUnavailable, ClusterError) as error:
                if self._refused_for_good(ending, error):
                    doubt = read_once_to if ending.read_once else missing_after
                    return doubt(keeper.stored.bytes, error.message)
            else:
                news = found.new > 0 or found.waits
                if final and ending.reached(found):
                    await reading.dispel()
                    return None
                if final and ending.overdue and not news and found.passed is False:
                    return rotated_before(keeper.stored.bytes)
            delay = _FIRST_RETRY if news else min(max(_FIRST_RETRY, delay * 2), _LAST_RETRY)
            if not (final and news):  # what brought news at the end is read on at once
                await (asyncio.sleep(delay) if final else _wait(source.ended, delay))

    def _reading(self, source: _Source, keeper: Keeper) -> Reading:
        def open_log(*, since_ns: int | None, follow: bool) -> AsyncGenerator[LogLines]:
            return self._cluster.logs(source.ref, source.pod, since_ns=since_ns, follow=follow)

        wall, counted = (lambda: self._clock().timestamp()), self._counted
        return Reading(open_log, keeper, source.doubts, source.ended, wall=wall, counted=counted)

    def _refused_for_good(self, ending: Ending, error: LogUnavailable | ClusterError) -> bool:
        """The log could not be read now: whether it never will be."""
        if not self._cluster.health().reachable:
            ending.put_off()
        return ending.overdue or (isinstance(error, LogUnavailable) and error.gone)

    async def _flush_regularly(self, keeper: Keeper, read: asyncio.Event) -> None:
        """Until all is read, or no more is to be, and then once more."""
        last = failed = False
        while not last:
            await _wait(read, FLUSH_EVERY)
            last = read.is_set()
            try:
                await keeper.flush()
                failed = False
            except StoreUnavailable as error:
                if not failed:
                    log.warning("can't store a log now", problem=error.message)
                failed = True
            except Exception:  # whoever reads finds that storing failed, and goes back to what is stored
                log.exception("storing a log failed")

    async def _settle_as(self, record: AttemptRecord, doubt: Doubt | None) -> None:
        """What is stored is all there will be. Raises StoreUnavailable."""
        point = (await self._book.recorder(record.key)).point
        changes = AttemptChanges(
            log_state=LogState.COMPLETE if doubt is None else doubt.state,
            log_problem=None if doubt is None else doubt.text,
            log_bytes=point.bytes,
            log_lines=point.lines,
            settled_at=self._clock(),
        )
        await self._settle(record, changes)
        self._book.settled(record.key)  # readers wait for this even where the job is over since before


_NO_POD = PodSeen(name="", uid="", over=True)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, but no longer than that."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
