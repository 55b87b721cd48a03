"""An event loop whose idle time goes by faster: minutes of waiting in seconds, with real sockets and real threads.

Only waiting is sped up. Work counts as long as it takes, also that of threads which the loop waits for, and what a busy
machine makes a wait longer than it was meant to be does not count: so it does not make a test late.
"""

from __future__ import annotations

import asyncio
import functools
import math
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

import pytest

from spark_jobs.store.sql.writer import ThreadWriter

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE = 600.0
"""Seconds of a loop's own clock after which a test counts as stuck."""


class _HurriedSelector(selectors.DefaultSelector):
    """Waits a fraction of what it is asked to wait, or all of it while others are at work for the loop; ``gained`` seconds
    were skipped so far."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor
        self.gained = 0.0
        self.at_work = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As every selector does."""
        factor = 1.0 if self.at_work else self._factor
        began = time.monotonic()
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout and timeout / factor)
        waited = time.monotonic() - began
        self.gained += min(waited * factor, math.inf if timeout is None else timeout) - waited
        return ready


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its clock goes ``factor`` times as fast while it waits for nothing but time and sockets."""

    def __init__(self, factor: float) -> None:
        self._hurried = _HurriedSelector(factor)
        super().__init__(self._hurried)

    def time(self) -> float:
        """Seconds of the steady clock."""
        return super().time() + self._hurried.gained

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """As every loop does. Nothing may stay in there for long: time would go by at its own pace until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._hurried.at_work += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: object) -> None:
        self._hurried.at_work -= 1

    def works_in(self, work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """The same, and as long as it is waited for a thread is at work."""

        @functools.wraps(work)
        async def run(*args: P.args, **kwargs: P.kwargs) -> T:
            self._hurried.at_work += 1
            try:
                return await work(*args, **kwargs)
            finally:
                self._hurried.at_work -= 1

        return run


def hurried(factor: float = 10.0) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]:
    """Run an asynchronous test in a loop that hurries. Its fixtures have to be synchronous ones."""

    def decorate(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            loop = HurriedLoop(factor)
            with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=lambda: loop) as runner:
                # The only threads beside executors that tests in this loop wait for.
                patch.setattr(ThreadWriter, "write", loop.works_in(ThreadWriter.write))
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
