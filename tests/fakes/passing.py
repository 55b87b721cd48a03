"""Real time that goes by, where time itself is what is tried (how long a server is down, how often somebody looks).

Nobody waits here for something to have happened: that is what conditions with a bound are for.
"""

import asyncio
import threading


async def pass_by(seconds: float) -> None:
    """Let so many seconds go by; none where it is not positive."""
    await asyncio.sleep(max(0.0, seconds))


def stand_by(seconds: float) -> None:
    """As :func:`pass_by`, for a thread."""
    threading.Event().wait(max(0.0, seconds))
