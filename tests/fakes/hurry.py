"""An event loop whose idle time goes by faster: minutes of waiting in seconds, with real sockets and real threads.

Only waiting is sped up. Work counts as long as it takes, so that a busy machine does not make a test late.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

PATIENCE = 600.0
"""Seconds of a loop's own clock after which a test counts as stuck."""


class _HurriedSelector(selectors.DefaultSelector):
    """Waits a fraction of what it is asked to wait; ``gained`` seconds were skipped so far."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor
        self.gained = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As every selector does."""
        began = time.monotonic()
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout and timeout / self._factor)
        self.gained += (time.monotonic() - began) * (self._factor - 1)
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its clock goes ``factor`` times as fast while it waits."""

    def __init__(self, factor: float) -> None:
        self._hurried = _HurriedSelector(factor)
        super().__init__(self._hurried)

    def time(self) -> float:
        """Seconds of the steady clock."""
        return super().time() + self._hurried.gained


def hurried(factor: float = 10.0) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]:
    """Run an asynchronous test in a loop that hurries. Its fixtures have to be synchronous ones."""

    def decorate(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            with asyncio.Runner(loop_factory=lambda: HurriedLoop(factor)) as runner:
                runner.run(_bounded(test(*args, **kwargs)))

        return run

    return decorate


async def _bounded(test: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(PATIENCE):
        await test


async def until(holds: Callable[[], object], patience: float) -> None:
    """Wait until this holds, where what is waited for has many parts and no event of its own.

    Raises:
        TimeoutError: it did not, within so many seconds of the loop's own clock.
    """
    async with asyncio.timeout(patience):
        while not holds():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)
