"""A wall clock that goes with the event loop's own time, virtual or not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class LoopClock:
    """Callable: the time now, in UTC. It stands at ``start`` (default: the machine's time) when it is first asked, which
    must happen in an event loop; threads may ask, too, after that."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start
        self._origin: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self) -> datetime:
        """The time now."""
        if self._loop is None or _in_a_loop():
            self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        if self._start is None:
            self._start = datetime.now(UTC)
        if self._origin is None:
            self._origin = now
        return self._start + timedelta(seconds=now - self._origin)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
