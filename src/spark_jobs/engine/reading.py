"""Reads one log, stream by stream: what is new goes to its keeper, and what a stream shows to be in doubt is written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from spark_jobs import journal
from spark_jobs.cluster.base import LogLines
from spark_jobs.domain.errors import ClusterError, LogUnavailable
from spark_jobs.engine.astray import NEXT_LINES, Course
from spark_jobs.engine.caps import Keeper
from spark_jobs.engine.doubt import Doubts, behind, hole_before, passed_over, rotated_before
from spark_jobs.engine.ending import Found
from spark_jobs.engine.following import Lag, batches
from spark_jobs.recording import Replay

log = journal.logger(__name__)


class OpenLog(Protocol):
    """Opens the log, as ``Cluster.logs`` does for one attempt."""

    def __call__(self, *, since_ns: int | None, follow: bool) -> AsyncGenerator[LogLines]:
        """One stream of it."""


class Reading:
    """Reads one log into ``keeper``. ``ended`` is set once the container is over; ``wall`` is our clock (seconds since
    1970); ``counted`` is told how many bytes are kept."""

    def __init__(
        self,
        open_log: OpenLog,
        keeper: Keeper,
        doubts: Doubts,
        ended: asyncio.Event,
        *,
        wall: Callable[[], float],
        counted: Callable[[int], None],
    ) -> None:
        self._open = open_log
        self._keeper = keeper
        self._doubts = doubts
        self._ended = ended
        self._wall = wall
        self._counted = counted
        self._waited = 0

    async def once(self, *, follow: bool) -> Found:
        """One stream, from where the log was read to until it ends, or until following it makes no sense any more.

        Raises:
            LogUnavailable, ClusterUnavailable, StoreUnavailable: it broke off; the next one goes on from what is stored.
        """
        keeper = self._keeper
        replay = await keeper.replay()
        known = keeper.point.bytes > 0
        lag, course = Lag(self._wall), Course()
        lines = self._open(since_ns=keeper.point.since_ns, follow=follow)
        async with aclosing(lines), aclosing(batches(lines, self._ended if follow else None, lag)) as stream:
            async for batch in stream:
                if follow and (byte := lag.note(batch.stamps, len(batch.data), keeper.point.bytes)) is not None:
                    await self._doubts.add(behind(byte))
                for piece, back in course.pieces(batch):
                    if back:
                        replay = await self._begun_again(replay, piece.stamps)
                    await self._take(replay, *replay.fresh(piece.data, piece.stamps))
                if keeper.full:
                    await keeper.flush()
        waits = 0 if follow else await self._take_what_waits(replay)
        await keeper.flush()
        return Found(new=keeper.news, passed=replay.reached if known else None, waits=waits > 0)

    async def dispel(self) -> None:
        """A follow that was far behind has passed over nothing if no file was rotated away since: if the one file that
        is served reaches back to where that began. Files of a container that is over are not rotated any more."""
        if self._doubts.worst is None or self._doubts.worst.behind_from is None:
            return
        began = await self._keeper.stamp_at(self._doubts.worst.behind_from)
        lines = self._open(since_ns=None, follow=False)
        try:
            async with aclosing(lines):
                first = await anext(lines, None)
        except (LogUnavailable, ClusterError) as error:
            log.info("a log that was read far behind stays unverified", problem=error.message)
            return
        if began is not None and first is not None and first.stamps[0] <= began:
            self._doubts.dispel()

    async def _take(self, replay: Replay, data: bytes, stamps: Sequence[int]) -> None:
        """Keep what is new, once it is written down what the replay has shown so far: what is stored behind a gap hides it
        from the next replay."""
        await self._judge(replay)
        self._counted(await self._keeper.take(data, stamps))
        await self._doubts.add(self._keeper.cut)

    async def _take_what_waits(self, replay: Replay) -> int:
        """At the end of a plain read. Such a read may be cut off behind the cluster and ends all the same, so what waits for
        what comes behind it is new where a second one ends at the same place. How much waits on."""
        waits, before = replay.waiting, self._waited
        self._waited = waits
        if waits and waits == before:
            await self._take(replay, *replay.at_end())
            self._waited = 0
        return self._waited

    async def _begun_again(self, replay: Replay, stamps: Sequence[int]) -> Replay:
        """The stream goes back in time here, to lines of these stamps: what to drop of it from now on, if they are stored.
        If they are not, it was only a clock that was set."""
        place = await self._keeper.place_of(stamps[:NEXT_LINES])
        if place is None:
            return replay
        await self._doubts.add(passed_over(place))
        return await self._keeper.replay()

    async def _judge(self, replay: Replay) -> None:
        """Write down what a replay has shown."""
        if replay.rest is not None:
            text, before = replay.rest
            replay.settle_rest(is_half=await self._keeper.ends_with(text, before=before))
        place = min(replay.place, self._keeper.stored.bytes)  # of what is beyond a cap nothing is stored
        if replay.unknown:
            await self._doubts.add(hole_before(place))
        if replay.passed and not replay.verified:
            await self._doubts.add(rotated_before(place))
