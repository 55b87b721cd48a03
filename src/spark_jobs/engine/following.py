"""Reading one log stream: batch by batch, until it ends or until waiting for more makes no sense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from spark_jobs.cluster.base import LogLines

CLOSE_BEHIND = 1.0
"""Seconds: a follow that lags less than this when the container ends is closed, and one plain read takes the rest."""

FAR_BEHIND = 2.0
"""Seconds: a follow that lags more than this may jump over a file that is rotated away."""

SAFE_BEHIND_BYTES = 1024 * 1024
"""So much read while far behind proves nothing: no node rotates files smaller than this."""

QUIET_AT_END = 1.0
SILENT_REOPEN = 300.0


class Lag:
    """How far a follow is behind what the container writes: arrival less stamp, less the stream's smallest such figure
    (which takes care of clocks that differ)."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._smallest: float | None = None
        self._far_from: int | None = None
        self.seconds = 0.0

    def note(self, stamps: Sequence[int], size: int, at: int) -> int | None:
        """Take a batch that arrived just now, ``size`` bytes from byte ``at`` of the log on; the byte from which on the
        stream can no longer be called gapless, if there is one."""
        if not stamps:  # the midst of a long line: nobody knows
            self.seconds = max(self.seconds, CLOSE_BEHIND)
            return None
        behind = self._wall() - stamps[-1] / 1e9
        self._smallest = behind if self._smallest is None else min(self._smallest, behind)
        self.seconds = behind - self._smallest
        if self.seconds < FAR_BEHIND:
            self._far_from = None
            return None
        self._far_from = at if self._far_from is None else self._far_from
        return self._far_from if at + size - self._far_from > SAFE_BEHIND_BYTES else None


async def batches(stream: AsyncGenerator[LogLines], ended: asyncio.Event | None, lag: Lag) -> AsyncGenerator[LogLines]:
    """The stream's batches. ``ended`` is set once the container is over; null for a plain read, which ends by itself.

    A follow is given up when the container is over and it has caught up or fallen quiet, or when nothing came for 5
    minutes: a connection can be dead without a sign.
    """
    over = asyncio.ensure_future(ended.wait()) if ended else None
    following: asyncio.Future[LogLines] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(stream))
            if over is not None and over.done() and lag.seconds < CLOSE_BEHIND and not following.done():
                return
            patience = QUIET_AT_END if over is not None and over.done() else SILENT_REOPEN
            waiting: set[asyncio.Future[Any]] = {following} if over is None or over.done() else {following, over}
            done, _ = await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if following in done:
                finished, following = following, None
                try:
                    batch = finished.result()
                except StopAsyncIteration:
                    return
                yield batch
            elif not done:
                return
    finally:
        unfinished = [task for task in (over, following) if task is not None]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
