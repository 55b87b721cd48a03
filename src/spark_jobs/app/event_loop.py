"""The server's event loop: uvloop's where there is one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from spark_jobs import journal

log = journal.logger(__name__)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop; null for the standard one."""
    return None if sys.platform == "win32" else _new_loop


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop = uvloop.new_event_loop()
    loop.set_exception_handler(_tell)
    return loop


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell as every loop does of what nobody caught, but for one thing that is no fault of anybody's.

    A TLS connection of uvloop (0.23) may be closed beneath it while it hands on what has come; what it still has to send
    then is refused by its own transport, and it reports that as fatal. Standard asyncio drops it. The connection is over
    either way, which those who use it are told as always (MagicStack/uvloop, issues 506 and 685).
    """
    error = context.get("exception")
    if isinstance(error, RuntimeError) and str(error).endswith("the handler is closed") and "protocol" in context:
        log.info("a connection was closed before all was sent", problem=str(error))
    else:
        loop.default_exception_handler(context)
