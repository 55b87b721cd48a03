"""Keys of things to look at, one at a time for each key, many keys at once.

A key added while it is being handled is handled once more afterwards. An unexpected exception in one key is reported and
that key tried again with back-off; the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from spark_jobs import journal
from spark_jobs.domain.errors import ClusterError, ClusterUnavailable, TryAgain

log = journal.logger(__name__)

AT_ONCE = 64
_FIRST_RETRY = 1.0
_LAST_RETRY = 300.0
_LAST_EXPECTED_RETRY = 5.0
_LAST_REFUSED_RETRY = 30.0


class WorkQueue:
    """Calls ``handle(key)`` for keys that were added; ``handle`` returns seconds until it wants the key again, or null."""

    def __init__(self, handle: Callable[[str], Awaitable[float | None]], *, crashed: Callable[[], None]) -> None:
        self._handle = handle
        self._crashed = crashed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    def add(self, key: str) -> None:
        """Look at this key soon; after the current look if there is one."""
        if self._closed:
            return
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        if key in self._tasks:
            self._again.add(key)
        else:
            self._tasks[key] = asyncio.create_task(self._run(key), name=f"attempt {key}")

    def add_later(self, key: str, delay: float) -> None:
        """Look at this key after ``delay`` seconds, unless it is added before."""
        if self._closed:
            return
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(max(0.0, delay), self.add, key)

    def forget(self, key: str) -> None:
        """The key is done with; a look that is under way goes on."""
        self._failures.pop(key, None)
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    async def close(self) -> None:
        """Cancel what runs, and wait for it."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: str) -> None:
        try:
            async with self._places:
                delay = await self._try(key)
        finally:
            del self._tasks[key]
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif delay is not None:
            self.add_later(key, delay)

    async def _try(self, key: str) -> float | None:
        """One look; the seconds until the next one. Never raises, but for a cancellation."""
        try:
            delay = await self._handle(key)
        except (ClusterUnavailable, TryAgain) as error:
            return error.retry_after or self._backoff(key, _LAST_EXPECTED_RETRY)
        except ClusterError as error:
            if key not in self._failures:  # said once, not at every try
                log.warning("cluster refused", problem=error.message, code=error.code)
            return self._backoff(key, _LAST_REFUSED_RETRY)
        except Exception:
            log.exception("attempt failed to be handled; trying again", claim=key)
            self._crashed()
            return self._backoff(key, _LAST_RETRY)
        self._failures.pop(key, None)
        return delay

    def _backoff(self, key: str, longest: float) -> float:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return float(min(longest, _FIRST_RETRY * 2 ** min(failures, 16)))
