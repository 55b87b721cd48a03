"""The one limiter that every request to the Kubernetes API passes, retries included (invariant 8)."""

from __future__ import annotations

import asyncio
import enum
import heapq
import itertools
from collections.abc import Callable


class Priority(enum.IntEnum):
    """Who goes first where requests wait for the limiter."""

    STOP = 0
    WATCH = 1
    CREATE = 2
    FINAL_LOG = 3
    FOLLOW = 4
    CLEAN = 5


class Limiter:
    """A token bucket with classes. For use in one event loop.

    ``qps`` tokens come in a second (0: no limit), at most ``burst`` are kept. ``waited`` is told how long each request
    was held back, in seconds.
    """

    def __init__(self, qps: float, burst: int, *, waited: Callable[[float], None] | None = None) -> None:
        self._qps = qps
        self._burst = max(1.0, float(burst))
        self._waited = waited
        self._tokens = self._burst
        self._counted_at: float | None = None
        self._closed_until = 0.0
        self._order = itertools.count()
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self, priority: Priority) -> None:
        """Wait until a request of this class may be sent."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        turn: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), turn))
        self._let_through()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._tokens += 1  # it was let through and will send nothing
                self._let_through()
            raise
        if self._waited is not None:
            self._waited(loop.time() - asked_at)

    def pause(self, seconds: float) -> None:
        """Let nothing through for so long: the API said Retry-After."""
        loop = asyncio.get_running_loop()
        self._closed_until = max(self._closed_until, loop.time() + seconds)

    def wait(self) -> float:
        """Seconds that a request of the last class would wait now."""
        now = asyncio.get_running_loop().time()
        self._fill(now)
        short = len(self._waiting) + 1 - self._tokens
        queued = short / self._qps if self._qps > 0 and short > 0 else 0.0
        return max(queued, self._closed_until - now, 0.0)

    def _let_through(self) -> None:
        now = asyncio.get_running_loop().time()
        self._fill(now)
        while self._waiting and now >= self._closed_until and (self._qps <= 0 or self._tokens >= 1):
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                self._tokens -= 1
        self._wake_later(now)

    def _fill(self, now: float) -> None:
        if self._counted_at is not None and self._qps > 0:
            self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._qps)
        self._counted_at = now

    def _wake_later(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        next_token = now if self._qps <= 0 or self._tokens >= 1 else now + (1 - self._tokens) / self._qps
        # A hair later, so that rounding does not make it wake up just too early.
        at = max(next_token, self._closed_until) + 1e-4
        self._timer = asyncio.get_running_loop().call_at(at, self._let_through)
