"""Who removes which jobs now. A job goes in several steps, its log first, and once it is gone another one may get its id:
what was found out about an id must not be acted upon after somebody else has removed the job that had it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager


class Removals:
    """Lets one at a time remove a job, or its log."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def of(self, ids: Collection[str]) -> AsyncIterator[None]:
        """Nobody else removes any of these jobs or their logs within the block. What is known of them from before it has to
        be looked up again."""
        while not self._held.isdisjoint(ids):
            self._freed.clear()
            await self._freed.wait()
        self._held.update(ids)
        try:
            yield
        finally:
            self._held.difference_update(ids)
            self._freed.set()
