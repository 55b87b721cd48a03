"""Follows the log of every attempt from its first byte, and says in the end whether all of it is stored (invariant 6).

One task for each log that is being read. An end of a stream means "look again": only the pod's container being over and
one more plain read that finds nothing new make a log complete (see :mod:`spark_jobs.engine.ending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime

import msgspec

from spark_jobs import journal
from spark_jobs.cluster.base import AttemptRef, Cluster, PodSeen, Terminated
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord
from spark_jobs.domain.errors import ClusterError, LogUnavailable, StoreUnavailable
from spark_jobs.domain.job import LogState
from spark_jobs.engine.attempts import ref_of
from spark_jobs.engine.ending import Ending, Found
from spark_jobs.engine.following import Lag, batches
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.logs import FLUSH_BYTES, LogBook, LogRecorder

log = journal.logger(__name__)

OPEN_AFTER = 0.25
FLUSH_EVERY = 0.5
_FIRST_RETRY, _LAST_RETRY = 0.25, 5.0

_Settled = tuple[LogState, str | None]
Settle = Callable[[AttemptRecord, AttemptChanges], Awaitable[object]]


class _Source(msgspec.Struct):
    """One log that is being read. ``ended`` is set once the container is over; ``doubt`` is why not all may be stored."""

    record: AttemptRecord
    ref: AttemptRef
    pod: PodSeen
    ended: asyncio.Event
    doubt: str | None = None


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

    def watch(self, record: AttemptRecord, pod: PodSeen) -> None:
        """The container has been seen: read its log, from now on or still."""
        source = self._sources.get(record.claim)
        if source is None:
            source = _Source(record, ref_of(record), pod, asyncio.Event())
            self._sources[record.claim] = source
            self._start(record, self._collect(source))
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
            self._sources[record.claim] = _Source(record, ref_of(record), _NO_POD, asyncio.Event())
            self._start(record, self._settle_as(record, LogState.INCOMPLETE, cause))
        else:
            source.doubt = source.doubt or cause
            source.ended.set()

    def nothing_to_read(self, record: AttemptRecord) -> None:
        """No container ran: the log is empty, and complete."""
        if record.claim not in self._sources:
            self._sources[record.claim] = _Source(record, ref_of(record), _NO_POD, asyncio.Event())
            self._start(record, self._settle_as(record, LogState.COMPLETE, None))

    def forget(self, record: AttemptRecord) -> None:
        """The attempt is CLOSED."""
        self._sources.pop(record.claim, None)
        self._tasks.pop(record.claim, None)

    async def close(self) -> None:
        """Stop reading; what was read is stored. A later start goes on from there."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, record: AttemptRecord, work: Awaitable[None]) -> None:
        self._tasks[record.claim] = asyncio.create_task(self._guard(record, work), name=f"log of {record.claim}")

    async def _guard(self, record: AttemptRecord, work: Awaitable[None]) -> None:
        """A log that can't be collected harms nothing else; forgotten, it is picked up again by the next look."""
        try:
            await work
        except Exception:
            log.exception("collecting a log failed", job=record.job_id, attempt=record.attempt)
            await asyncio.sleep(_LAST_RETRY)
            self._sources.pop(record.claim, None)

    async def _collect(self, source: _Source) -> None:
        recorder = await self._book.recorder(source.record.key)
        await _wait(source.ended, OPEN_AFTER)
        flusher = asyncio.create_task(self._flush_regularly(recorder))
        try:
            state, problem = await self._read_to_the_end(source, recorder)
        finally:
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            await recorder.flush()
        await self._settle_as(source.record, state, problem, recorder)

    async def _read_to_the_end(self, source: _Source, recorder: LogRecorder) -> _Settled:
        """Read until the container is over and a plain read has found the end; the log's state, and the problem if any."""
        delay, ending = 0.0, Ending(self._rules.log_grace, asyncio.get_running_loop().time)
        settled: _Settled | None = None
        while settled is None:
            if final := source.ended.is_set():
                ending.begin()
            news = False
            try:
                found = await self._read(source, recorder, follow=not final)
            except StoreUnavailable as error:
                log.warning("can't store a log now", job=source.record.job_id, problem=error.message)
            except (LogUnavailable, ClusterError) as error:
                settled = self._refused(recorder, ending, error)
            else:
                news = found.new > 0
                settled = self._read_well(source, recorder, ending if final else None, found)
            delay = _FIRST_RETRY if news else min(max(_FIRST_RETRY, delay * 2), _LAST_RETRY)
            if settled is None and not (final and news):  # what brought news at the end is read on at once
                await (asyncio.sleep(delay) if final else _wait(source.ended, delay))
        return settled

    def _refused(self, recorder: LogRecorder, ending: Ending, error: LogUnavailable | ClusterError) -> _Settled | None:
        """The log could not be read now: the settled state if it never will be."""
        if not self._cluster.health().reachable:
            ending.put_off()
        if ending.overdue or (isinstance(error, LogUnavailable) and error.gone):
            return LogState.INCOMPLETE, f"after byte {recorder.point.bytes}: {error.message}"
        return None

    def _read_well(
        self, source: _Source, recorder: LogRecorder, ending: Ending | None, found: Found
    ) -> _Settled | None:
        """A read ended without an error; ``ending`` is null while the container runs. The settled state if it was the last."""
        if recorder.point.bytes >= self._rules.log_cap:
            return LogState.INCOMPLETE, f"after byte {recorder.point.bytes}: longer than the log cap"
        if ending is None or not (ending.reached(found) or (ending.overdue and not found.new)):
            return None
        doubt = source.doubt or (_rotated(recorder) if found.passed is False else None)
        return (LogState.UNVERIFIED, doubt) if doubt else (LogState.COMPLETE, None)

    async def _read(self, source: _Source, recorder: LogRecorder, *, follow: bool) -> Found:
        """One stream, from where the stored log ends until it ends, or until following it makes no sense any more."""
        replay = await recorder.replay()
        before = recorder.point.bytes
        lag = Lag(lambda: self._clock().timestamp())
        lines = self._cluster.logs(source.ref, source.pod, since_ns=recorder.point.stamp_ns, follow=follow)
        async with aclosing(lines), aclosing(batches(lines, source.ended if follow else None, lag)) as stream:
            async for batch in stream:
                data, stamps = replay.fresh(batch.data, batch.stamps)
                recorder.add(data, stamps)
                self._counted(len(data))
                if follow and (doubt := lag.note(batch.stamps, len(batch.data))) is not None:
                    source.doubt = source.doubt or f"behind: {doubt}"
                if recorder.held >= FLUSH_BYTES:
                    await recorder.flush()
                if recorder.point.bytes >= self._rules.log_cap:
                    break
        await recorder.flush()
        if replay.passed and not replay.verified:
            source.doubt = source.doubt or _rotated(recorder)
        return Found(new=recorder.point.bytes - before, passed=replay.reached if before else None)

    async def _flush_regularly(self, recorder: LogRecorder) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            try:
                await recorder.flush()
            except StoreUnavailable as error:
                log.warning("can't store a log now", problem=error.message)

    async def _settle_as(
        self, record: AttemptRecord, state: LogState, problem: str | None, recorder: LogRecorder | None = None
    ) -> None:
        recorder = recorder or await self._book.recorder(record.key)
        changes = AttemptChanges(
            log_state=state,
            log_problem=problem,
            log_bytes=recorder.point.bytes,
            log_lines=recorder.point.lines,
            settled_at=self._clock(),
        )
        await self._settle(record, changes)
        self._book.settled(record.key)  # readers wait for this even where the job is over since before


def _rotated(recorder: LogRecorder) -> str:
    return f"rotated: when read again before byte {recorder.point.bytes}, the last stored line was gone"


_NO_POD = PodSeen(name="", uid="", over=True)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, but no longer than that."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
