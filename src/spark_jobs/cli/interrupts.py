"""Ctrl-C, SIGTERM and SIGHUP as things to wait for."""

from __future__ import annotations

import asyncio
import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
# So many that nobody has taken notice of mean that the program hangs, in a write to a pipe that nobody reads, say.
_UNHEARD = 3


class Interrupts:
    """Collects interrupts while it is entered; in the main thread only. Works on Windows, too."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[int] = asyncio.Queue()
        self._unheard = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None and not self._ignored_from_outside(number):
                self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def _ignored_from_outside(number: int) -> bool:
        """Whether `nohup` began this program, to go on without its terminal. (Shells that begin one in the background make
        it ignore SIGINT as well, but who sends that on purpose means it.)"""
        return number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN

    async def next(self) -> int:
        """The number of the next signal."""
        return await self._waiting.get()

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        self._unheard += 1
        if self._unheard >= _UNHEARD:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._loop.call_soon_threadsafe(self._heard, number)

    def _heard(self, number: int) -> None:
        self._unheard = 0
        self._waiting.put_nowait(number)
