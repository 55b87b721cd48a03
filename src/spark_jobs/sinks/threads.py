"""Calls that block, in threads of their own. A process may end while one still hangs: a disk of the network that is gone,
a store that does not answer. The event loop's own threads would keep it from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")

LAST_WORD = 5.0
"""Seconds that a call is waited for when nobody wants its result any more."""


async def in_thread(call: Callable[[], T], *, cut: Callable[[], None] = lambda: None) -> T:
    """The call's result. A cancellation calls ``cut``, which may shorten the call, and waits for its end for a moment."""
    running = _started(call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cut()
        await asyncio.wait([running], timeout=LAST_WORD)
        raise


async def clean_up(call: Callable[[], object]) -> None:
    """Call it and wait for its end for a moment, whatever that is: something else went wrong before, or all is well."""
    await asyncio.wait([_started(call)], timeout=LAST_WORD)


def _started(call: Callable[[], T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody has to ask for it

    def run() -> None:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - raised by whoever waits
            _tell(loop, future, partial(future.set_exception, error))
        except BaseException as error:  # noqa: BLE001 - a panic in a library, which would end the whole server
            panic = RuntimeError(f"{type(error).__name__}: {error}")
            _tell(loop, future, partial(future.set_exception, panic))
        else:
            _tell(loop, future, partial(future.set_result, result))

    threading.Thread(target=run, name="log sink", daemon=True).start()
    return future


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], how: Callable[[], None]) -> None:
    """Settle the future in its loop, unless that has ended or nobody waits."""
    try:
        loop.call_soon_threadsafe(lambda: None if future.done() else how())
    except RuntimeError:  # the loop is closed
        return
