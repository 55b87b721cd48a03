"""An event loop in a thread of its own, and the way into it for everybody else."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from spark_jobs.domain.errors import RunnerMisused

_T = TypeVar("_T")


class Portal:
    """Runs coroutines of other threads. Ctrl-C in a thread that waits cancels what it waits for."""

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._stop: asyncio.Event | None = None
        started: Future[asyncio.AbstractEventLoop] = Future()
        # A daemon: a program that forgets to close it shall end all the same.
        self._thread = threading.Thread(target=self._run, args=(started,), name=name, daemon=True)
        self._thread.start()
        self._loop = started.result()

    def call(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """The coroutine's value, or what it raises. Raises RunnerMisused where this can't be waited for."""
        future = self.spawn(work)
        try:
            return future.result()
        finally:
            future.cancel()  # does nothing to one that is done, so this is about Ctrl-C

    def spawn(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> Future[_T]:
        """Start the coroutine; cancelling the future cancels it. Raises RunnerMisused."""
        self._check()
        return asyncio.run_coroutine_threadsafe(work(), self._loop)

    def iterate(self, items: Callable[[], AsyncGenerator[_T, None]], *, at_once: int = 1) -> Iterator[_T]:
        """What the generator yields, fetched as it is asked for, up to ``at_once`` items together."""
        opened: list[AsyncGenerator[_T, None]] = []

        async def fetch() -> list[_T]:
            if not opened:
                opened.append(items())
            batch: list[_T] = []
            async for item in opened[0]:
                batch.append(item)
                if len(batch) == at_once:
                    break
            return batch

        try:
            while batch := self.call(fetch):
                yield from batch
        finally:
            for each in opened:
                self.finish(each.aclose)

    def finish(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what tidies up after an iteration, which may end where the garbage collector finds it: in the loop's own
        thread, or after the loop, which has then tidied up itself."""
        if not self.is_open:
            return
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        if threading.current_thread() is not self._thread:
            future.result()

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet, nor is of another process."""
        return self._stop is not None and os.getpid() == self._pid

    def close(self) -> None:
        """End the loop and the thread; does nothing a second time, and in a forked process."""
        stop, self._stop = self._stop, None
        if stop is not None and os.getpid() == self._pid:
            self._loop.call_soon_threadsafe(stop.set)
            self._thread.join()

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise RunnerMisused(f"this belongs to process {self._pid}, not to a fork of it: make one here")
        if self._stop is None:
            raise RunnerMisused("this is closed: make a new one")
        if threading.current_thread() is self._thread:
            text = "a callback of a future runs in the Runner's own thread, which can't wait for itself"
            raise RunnerMisused(f"{text}: do this in another thread")

    def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        asyncio.run(self._until_stopped(started))

    async def _until_stopped(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        self._stop = stop = asyncio.Event()
        started.set_result(asyncio.get_running_loop())
        await stop.wait()
