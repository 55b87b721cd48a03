"""A core from its start to its end, in a task of its own: when the engine fails, whoever waits hears of it, and nobody
else's work is cancelled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from spark_jobs.app.core import Core, Parts, running
from spark_jobs.domain.errors import RunnerFailed, RunnerMisused

_NOT_STARTED = "this Runner is not started: write `async with Runner(...) as runner:`, or await its start()"
_CLOSED = "this Runner is closed: make a new one"
_LEFT_BEHIND = "the event loop of this Runner ended before it was closed: use it within `async with`"
_OTHER_LOOP = "this Runner belongs to another event loop: make one in each, or use spark_jobs.sync.Runner"


class Life:
    """One core, made of ``parts``, which are entered when it starts and left when it has ended."""

    def __init__(self, parts: Callable[[], AbstractContextManager[Parts]]) -> None:
        self._parts = parts
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._core: Core | None = None
        self._stop = asyncio.Event()
        self._problem: str | None = _NOT_STARTED
        self._failure: BaseException | None = None

    def core(self) -> Core:
        """The running core. Raises RunnerMisused or RunnerFailed where there is none, or not for this caller."""
        self._check_place()
        if self._failure is not None:
            text = f"the engine of this Runner broke down, which is a fault in Spark: {_told(self._failure)}"
            raise RunnerFailed(f"{text}; jobs under way go on until their limits") from self._failure
        if self._core is None or self._problem is not None:
            raise RunnerMisused(self._problem or _CLOSED)
        return self._core

    async def start(self) -> Core:
        """Start the core; it runs until :meth:`stop`.

        Raises:
            CredentialsError, DataDirError: it can't start; nothing is left open. RunnerMisused: it was started before.
        """
        self._check_place()
        if self._task is not None:
            raise RunnerMisused("this Runner was started before: make a new one")
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[Core] = self._loop.create_future()
        self._task = asyncio.create_task(self._live(ready), name="Runner")
        try:
            return await asyncio.shield(ready)
        except BaseException:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise

    async def stop(self) -> None:
        """End it, and return when nothing of it is left in this process; does nothing if there is nothing to end."""
        self._stop.set()
        await self.ended()

    async def ended(self) -> None:
        """Return when it has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _live(self, ready: asyncio.Future[Core]) -> None:
        try:
            with self._parts() as parts:
                async with running(parts) as core:
                    self._core = core
                    ready.set_result(core)
                    await self._until_stopped(core)
        except Exception as error:  # noqa: BLE001 - raised by whoever uses the Runner from now on
            if ready.done():
                self._failure = error
            else:
                ready.set_exception(error)

    async def _until_stopped(self, core: Core) -> None:
        """Wait for the wish to stop, a failure of the engine, or the loop's end; then let go of everybody who waits."""
        self._problem = None
        try:
            await self._stop.wait()
        finally:
            self._problem = _CLOSED if self._stop.is_set() else _LEFT_BEHIND
            core.drain()

    def _check_place(self) -> None:
        if os.getpid() != self._pid:
            raise RunnerMisused(f"this Runner belongs to process {self._pid}, not to a fork of it: make one here")
        if self._loop is not None and asyncio.get_running_loop() is not self._loop:
            raise RunnerMisused(_OTHER_LOOP)


def _told(failure: BaseException) -> str:
    """The first of the errors inside, in a few words."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return f"{type(failure).__name__}: {failure}"
