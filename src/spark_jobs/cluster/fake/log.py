"""The log of one fake container: which lines it has written by now, and streams of them with scripted faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta

from spark_jobs.cluster.base import LogLines
from spark_jobs.cluster.fake.script import LogFault, LogTrouble, Script
from spark_jobs.domain.errors import ClusterUnavailable, LogUnavailable

_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BATCH_LINES = 1000


class FakeLog:
    """Grows by the script's rhythm while the container runs."""

    def __init__(self, script: Script, clock: Callable[[], datetime]) -> None:
        self.opens = 0
        self._script = script
        self._clock = clock
        self._started: datetime | None = None
        self._ended: datetime | None = None
        self._lost = False
        self._reachable = True
        self._news = asyncio.Event()

    def begin(self, at: datetime) -> None:
        """The container runs."""
        self._started = at
        self._tell()

    def end(self, at: datetime) -> None:
        """The container ended: nothing more is written."""
        self._ended = at
        self._tell()

    def lose(self) -> None:
        """The pod is gone, and its log with it."""
        self._lost = True
        self._tell()

    def set_reachable(self, reachable: bool) -> None:
        """Whether the node gives the log out."""
        self._reachable = reachable
        self._tell()

    def interrupt(self) -> None:
        """Wake every stream, to look whether it may go on."""
        self._tell()

    async def stream(self, *, since_ns: int | None, follow: bool, away: Callable[[], bool]) -> AsyncGenerator[LogLines]:
        """Lines from the whole second of ``since_ns`` on; ``away`` says whether the cluster answers.

        Raises:
            LogUnavailable, ClusterUnavailable: as the cluster's contract says.
        """
        fault = self._next_fault()
        self._check(away)
        position = self._first_since(since_ns)
        stop_at = None if fault is None else position + fault.lines
        while True:
            news = self._news
            ended = self._ended is not None or not follow
            count = self._written() if stop_at is None else min(self._written(), stop_at)
            for first in range(position, count, _BATCH_LINES):
                yield self._lines(first, min(count, first + _BATCH_LINES))
            position = max(position, count)
            if fault is not None and position == stop_at:
                await self._fail(fault)
                return
            if ended:
                return
            await self._wait_for(news, position)
            self._check(away)

    def _next_fault(self) -> LogFault | None:
        self.opens += 1
        faults = self._script.log_faults
        return faults[self.opens - 1] if self.opens <= len(faults) else None

    def _check(self, away: Callable[[], bool]) -> None:
        if away() or not self._reachable:
            raise ClusterUnavailable("the fake cluster does not answer")
        if self._lost:
            raise LogUnavailable("the pod is gone", gone=True)
        if self._started is None:
            raise LogUnavailable("the container is waiting to start")

    async def _fail(self, fault: LogFault) -> None:
        match fault.trouble:
            case LogTrouble.UNAVAILABLE:
                raise LogUnavailable("the node gives no log now")
            case LogTrouble.GONE:
                raise LogUnavailable("the pod is gone", gone=True)
            case LogTrouble.AWAY:
                raise ClusterUnavailable("the connection broke")
            case LogTrouble.SILENT:
                while self._ended is None and not self._lost:
                    await self._news.wait()
            case LogTrouble.ENDS:
                return

    async def _wait_for(self, news: asyncio.Event, position: int) -> None:
        due = self._due(position) if position < len(self._script.lines) else None
        try:
            async with asyncio.timeout(None if due is None else (due - self._clock()).total_seconds()):
                await news.wait()
        except TimeoutError:
            return

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _due(self, index: int) -> datetime:
        """When the whole line of this index is written."""
        if self._started is None:
            raise LogUnavailable("the container is waiting to start")
        return self._started + timedelta(seconds=index * self._script.line_every)

    def _whole_lines(self) -> int:
        lines, every = len(self._script.lines), self._script.line_every
        if every == 0:
            return lines
        until = self._ended or self._clock()
        return min(lines, (until + _MICROSECOND - self._due(0)) // timedelta(seconds=every) + 1)

    def _written(self) -> int:
        return self._whole_lines() + (1 if self._ended is not None and self._script.unfinished else 0)

    def _first_since(self, since_ns: int | None) -> int:
        if since_ns is None:
            return 0
        second = since_ns // _NS * _NS
        count = self._written()
        return next((index for index in range(count) if self._stamp(index) >= second), count)

    def _stamp(self, index: int) -> int:
        at = self._ended if self._ended is not None and index >= self._whole_lines() else self._due(index)
        return (at - _EPOCH) // _MICROSECOND * 1000

    def _lines(self, first: int, end: int) -> LogLines:
        whole = min(end, self._whole_lines())
        data = "".join(line + "\n" for line in self._script.lines[first:whole])
        if end > whole:
            data += self._script.unfinished
        return LogLines(
            data=data.encode(errors="surrogateescape"), stamps=tuple(self._stamp(index) for index in range(first, end))
        )
