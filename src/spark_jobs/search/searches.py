"""Searches at work: some at a time, each a bounded piece of work after the other, so that nobody else waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from datetime import datetime

import msgspec

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import DataDirDamaged, Draining, TooManySearches
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.logs import LogBook
from spark_jobs.search.found import Surroundings
from spark_jobs.search.pattern import Pattern
from spark_jobs.search.query import LogSearch
from spark_jobs.search.scan import LogScan, Step
from spark_jobs.store.base import LogBlock, ServiceStore

AT_WORK = 2
"""So many searches work at the same moment; the others' turns come in between."""

MOST_SEARCHES = 32
"""So many are open at most: one that nobody reads from, as under a pager, costs a place and little else."""

PROGRESS_EVERY = 2.0
"""Seconds."""

MOST_PROBLEMS = 100
"""So many are named; of the others only the number."""

_JOBS_AT_ONCE = 200
_LOGS_AT_ONCE = 50  # that are read together, where they are small
_TURN = 0.1  # seconds of work after which others get their turn, and a search that was closed ends
_LINES_AT_ONCE = 200  # shown lines that are held at a time, with those around them


class _Tally:
    """How far a search is."""

    def __init__(self) -> None:
        self.logs = 0
        self.bytes = 0
        self.matches = 0
        self.unnamed = 0
        self.problems: list[str] = []

    def take(self, scan: LogScan) -> None:
        """This log was looked through, as far as that goes."""
        self.bytes += scan.bytes
        scan.bytes = 0
        if scan.done:
            self.logs += 1
            room = MOST_PROBLEMS - len(self.problems)
            self.problems += scan.problems[:room]
            self.unnamed += len(scan.problems[room:])

    def progress(self, *, complete: bool = False) -> SearchProgress:
        """As it is told."""
        more = [f"{self.unnamed} more"] if self.unnamed else []
        return SearchProgress(
            logs=self.logs,
            bytes=self.bytes,
            matches=self.matches,
            complete=complete,
            problems=[*self.problems, *more],
        )


class LogSearches:
    """Searches through the stored logs."""

    def __init__(self, store: ServiceStore, logs: LogBook) -> None:
        self._store = store
        self._logs = logs
        self._turns = asyncio.Semaphore(AT_WORK)
        self._count = 0
        self._stopped = False

    def stop(self) -> None:
        """Let those that work end soon, with the error that the server is about to stop."""
        self._stopped = True

    async def run(self, query: LogSearch) -> AsyncGenerator[LogMatch | SearchProgress, None]:
        """See ``JobService.search``."""
        query.check()
        pattern = Pattern(query.pattern, fixed=query.fixed, ignore_case=query.ignore_case)
        with self._counted():
            if query.job_id is not None:
                await self._store.get(query.job_id)
            tally = _Tally()
            async with aclosing(self._found(query, pattern, tally)) as found, aclosing(_paced(found)) as batches:
                async for batch in batches:
                    if batch is None:
                        yield tally.progress()
                        continue
                    for match in batch[: query.limit - tally.matches]:
                        tally.matches += 1
                        yield match
                    if tally.matches == query.limit:
                        break
            yield tally.progress(complete=tally.matches < query.limit)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._count >= MOST_SEARCHES:
            raise TooManySearches(f"{self._count} searches are open, which is the most; try again in a while")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    async def _found(self, query: LogSearch, pattern: Pattern, tally: _Tally) -> AsyncGenerator[list[LogMatch], None]:
        most = max(1, _LINES_AT_ONCE // (1 + 2 * query.context))
        async for scans in self._pages(query, pattern):
            left = scans
            while left:
                blocks = await self._blocks(left[:_LOGS_AT_ONCE])
                begun = left[: len(blocks)]
                work = (step for scan, found in zip(begun, blocks, strict=True) for step in scan.look(found))
                done = False
                while not done:
                    batch, done = await self._turn(work, most)
                    if batch:
                        yield batch
                for scan in begun:
                    tally.take(scan)
                left = [scan for scan in left if not scan.done]

    async def _pages(self, query: LogSearch, pattern: Pattern) -> AsyncIterator[list[LogScan]]:
        """The logs to look through, each as far as it is stored now; those of a page of jobs at a time."""
        which = query.which if query.job_id is None else msgspec.structs.replace(query.which, id_prefix=query.job_id)
        after: int | None = None
        while True:
            page = await self._store.list(which, page_size=_JOBS_AT_ONCE, after=after)
            names = {job.id: job.spec.name for job in page.jobs if query.job_id in {None, job.id}}
            stored = await self._logs.stored(list(names), since=query.since)
            arounds = [Surroundings(each.key, names[each.key.job_id], query.context) for each in stored]
            begins = [await self._begin(each.key, query.since) for each in stored]
            yield [
                LogScan(pattern, around, begin, each.end)
                for each, around, begin in zip(stored, arounds, begins, strict=True)
            ]
            after = page.next_after
            if after is None:
                return

    async def _begin(self, key: AttemptKey, since: datetime | None) -> int:
        try:
            return await self._logs.seek(key, since=since)
        except DataDirDamaged:
            return 0  # what can't be found can't be read either, and is named then

    async def _blocks(self, scans: Sequence[LogScan]) -> Sequence[Sequence[LogBlock]]:
        """The next blocks of the first of these logs, at least of one."""
        try:
            return await self._logs.blocks([(scan.key, scan.offset) for scan in scans])
        except DataDirDamaged as error:
            if len(scans) > 1:
                return await self._blocks(scans[:1])
            key = scans[0].key
            scans[0].lose(f"the log of job {key.job_id}, attempt {key.attempt}: {error.message}")
            return [[]]

    async def _turn(self, work: Iterator[Step], most: int) -> tuple[list[LogMatch], bool]:
        """Some work, when it is this search's turn: what was found, and whether it is done."""
        async with self._turns:
            if self._stopped:
                raise Draining("the server is about to stop; send the search again to the next one")
            return await asyncio.to_thread(_do, work, most)


def _do(work: Iterator[Step], most: int) -> tuple[list[LogMatch], bool]:
    until = time.monotonic() + _TURN
    found: list[LogMatch] = []
    for step in work:
        if step is not None:
            found.append(step)
        if len(found) >= most or time.monotonic() > until:
            return found, False
    return found, True


async def _paced(batches: AsyncIterator[list[LogMatch]]) -> AsyncGenerator[list[LogMatch] | None, None]:
    """The batches as they come, and null whenever it is time to say how far the search is."""
    loop = asyncio.get_running_loop()
    due = loop.time() + PROGRESS_EVERY
    step: asyncio.Future[list[LogMatch] | None] | None = None
    try:
        while True:
            step = step or asyncio.ensure_future(anext(batches, None))
            await asyncio.wait({step}, timeout=max(0.0, due - loop.time()))
            if loop.time() >= due:
                yield None
                due = loop.time() + PROGRESS_EVERY
            if step.done():
                batch, step = step.result(), None
                if batch is None:
                    return
                yield batch
    finally:
        if step is not None:
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)  # nobody is left who would want its outcome
