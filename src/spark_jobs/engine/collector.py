"""Follows the log of every attempt from its first byte, and says in the end whether all of it is stored (invariant 6).

One task for each log that is being read. An end of a stream means "look again": only the pod's container being over and
one more plain read that finds nothing new make a log complete (see :mod:`spark_jobs.engine.ending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime

import msgspec

from spark_jobs import journal
from spark_jobs.cluster.base import AttemptRef, Cluster, PodSeen, Terminated
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord
from spark_jobs.domain.errors import ClusterError, LogUnavailable, StoreUnavailable
from spark_jobs.domain.job import LogState
from spark_jobs.engine.astray import NEXT_LINES, Course
from spark_jobs.engine.attempts import ref_of
from spark_jobs.engine.caps import Keeper
from spark_jobs.engine.doubt import (
    Doubt,
    behind,
    hole_before,
    longer_than_the_cap,
    missing_after,
    passed_over,
    read_once_to,
    remembered,
    rotated_before,
    worse,
)
from spark_jobs.engine.ending import Ending, Found
from spark_jobs.engine.following import Lag, batches
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.logs import LogBook
from spark_jobs.recording import Replay

log = journal.logger(__name__)

OPEN_AFTER = 0.25
FLUSH_EVERY = 0.5
_FIRST_RETRY, _LAST_RETRY = 0.25, 5.0

Settle = Callable[[AttemptRecord, AttemptChanges], Awaitable[object]]


class _Source(msgspec.Struct):
    """One log that is being read. ``ended`` is set once the container is over; ``doubt`` is why not all may be stored."""

    record: AttemptRecord
    ref: AttemptRef
    pod: PodSeen
    ended: asyncio.Event
    doubt: Doubt | None = None


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
            source = _Source(record, ref_of(record), pod, asyncio.Event(), remembered(record.log_problem))
            self._sources[record.claim] = source
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
            source.doubt = source.doubt or Doubt(cause)
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
        self._sources[record.claim] = _Source(record, ref_of(record), _NO_POD, asyncio.Event())
        self._start(record, lambda: self._settle_as(record, doubt))

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
            source.doubt = worse(source.doubt, doubt)
            await keeper.finish(sure=source.doubt is None)
        if keeper.marked:
            source.doubt = longer_than_the_cap(self._rules.log_cap)
        await self._settle_as(source.record, source.doubt)

    async def _read_to_the_end(self, source: _Source, keeper: Keeper) -> Doubt | None:
        """Read until the container is over and a plain read has found the end; why it could not be read to there, if so."""
        delay, ending = 0.0, Ending(self._rules.log_grace, asyncio.get_running_loop().time)
        while True:
            if final := source.ended.is_set():
                ending.begin()
            news = False
            try:
                found = await self._read(source, keeper, follow=not final)
            except StoreUnavailable as error:
                log.warning("can't store a log now", job=source.record.job_id, problem=error.message)
            except (LogUnavailable, ClusterError) as error:
                if self._refused_for_good(ending, error):
                    doubt = read_once_to if ending.read_once else missing_after
                    return doubt(keeper.stored.bytes, error.message)
            else:
                news = found.new > 0
                if final and ending.reached(found):
                    await self._dispel(source, keeper)
                    return None
                if final and ending.overdue and not news and found.passed is False:
                    return rotated_before(keeper.stored.bytes)
            delay = _FIRST_RETRY if news else min(max(_FIRST_RETRY, delay * 2), _LAST_RETRY)
            if not (final and news):  # what brought news at the end is read on at once
                await (asyncio.sleep(delay) if final else _wait(source.ended, delay))

    def _refused_for_good(self, ending: Ending, error: LogUnavailable | ClusterError) -> bool:
        """The log could not be read now: whether it never will be."""
        if not self._cluster.health().reachable:
            ending.put_off()
        return ending.overdue or (isinstance(error, LogUnavailable) and error.gone)

    async def _read(self, source: _Source, keeper: Keeper, *, follow: bool) -> Found:
        """One stream, from where the log was read to until it ends, or until following it makes no sense any more."""
        replay = await keeper.replay()
        known = keeper.point.bytes > 0
        lag, course = Lag(lambda: self._clock().timestamp()), Course()
        lines = self._cluster.logs(source.ref, source.pod, since_ns=keeper.point.stamp_ns, follow=follow)
        async with aclosing(lines), aclosing(batches(lines, source.ended if follow else None, lag)) as stream:
            async for batch in stream:
                at = keeper.point.bytes
                for piece, back in course.pieces(batch):
                    if back:
                        replay = await self._begun_again(source, keeper, replay, piece.stamps)
                    self._counted(await keeper.take(*replay.fresh(piece.data, piece.stamps)))
                await self._doubt(source, keeper.cut)
                if follow and (byte := lag.note(batch.stamps, len(batch.data), at)) is not None:
                    await self._doubt(source, behind(byte))
                if keeper.full:
                    await keeper.flush()
        if not follow:
            self._counted(await keeper.take(*replay.at_end()))
        await keeper.flush()
        await self._judge(source, keeper, replay)
        return Found(new=keeper.news, passed=replay.reached if known else None)

    async def _begun_again(self, source: _Source, keeper: Keeper, replay: Replay, stamps: Sequence[int]) -> Replay:
        """The stream goes back in time here, to lines of these stamps: what to drop of it from now on, if they are stored.
        If they are not, it was only a clock that was set."""
        place = await keeper.place_of(stamps[:NEXT_LINES])
        if place is None:
            return replay
        await self._judge(source, keeper, replay)
        await self._doubt(source, passed_over(place))
        return await keeper.replay()

    async def _judge(self, source: _Source, keeper: Keeper, replay: Replay) -> None:
        """Write down what a replay has shown."""
        place = min(replay.place, keeper.stored.bytes)  # of what is beyond a cap nothing is stored
        other_half = replay.rest is None or await keeper.ends_with(replay.rest[0], before=replay.rest[1])
        if replay.unknown or not other_half:
            await self._doubt(source, hole_before(place))
        if replay.passed and not replay.verified:
            await self._doubt(source, rotated_before(place))

    async def _doubt(self, source: _Source, doubt: Doubt | None) -> None:
        """Not all may be stored: written down at once, so that a restart does not forget it. Raises StoreUnavailable."""
        if (told := worse(source.doubt, doubt)) != source.doubt and told is not None:
            source.doubt = told
            await self._settle(source.record, AttemptChanges(log_problem=told.text))

    async def _dispel(self, source: _Source, keeper: Keeper) -> None:
        """A follow that was far behind has passed over nothing if no file was rotated away since: if the one file that
        is served reaches back to where that began. Files of a container that is over are not rotated any more."""
        if source.doubt is None or source.doubt.behind_from is None:
            return
        began = await keeper.stamp_at(source.doubt.behind_from)
        lines = self._cluster.logs(source.ref, source.pod)
        try:
            async with aclosing(lines):
                first = await anext(lines, None)
        except (LogUnavailable, ClusterError) as error:
            log.info("a log that was read far behind stays unverified", job=source.record.job_id, problem=error.message)
            return
        if began is not None and first is not None and first.stamps[0] <= began:
            source.doubt = None

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
