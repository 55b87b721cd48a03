"""Running many jobs in order: a bounded number is ahead of whoever takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from spark_jobs.app.core import Core
from spark_jobs.bus import EVERY_JOB
from spark_jobs.client import Client
from spark_jobs.domain.errors import QueueFull
from spark_jobs.domain.job import Job
from spark_jobs.runner.handle import Handle
from spark_jobs.runner.intake import LOOK_FOR_ROOM, Intake, Work


class Inputs:
    """Takes from an iterable as late as possible; one that found no room stays the next one."""

    def __init__(self, works: Iterable[Work]) -> None:
        self._works: Iterator[Work] = iter(works)
        self._held: list[Work] = []

    def more(self) -> bool:
        """Whether there is a next one."""
        self._held = self._held or list(islice(self._works, 1))
        return bool(self._held)

    @property
    def first(self) -> Work:
        """The next one, which stays the next one until it is :meth:`taken`."""
        return self._held[0]

    def taken(self) -> None:
        """The next one was taken."""
        self._held = []


class Ahead:
    """The jobs that were taken and not given yet, at most ``most``."""

    def __init__(self, intake: Intake, client: Client, core: Callable[[], Core], most: int) -> None:
        self._intake = intake
        self._client = client
        self._core = core
        self._most = most
        self._handles: deque[Handle] = deque()

    @property
    def wants_more(self) -> bool:
        """Whether there may be one more."""
        return len(self._handles) < self._most

    @property
    def is_empty(self) -> bool:
        """Whether there is none to wait for."""
        return not self._handles

    async def take(self, work: Work) -> bool:
        """Take one more; false if the queue has no room, for which the first one waits."""
        try:
            self._handles.append(await self._intake.take(work, wait_for_room=self.is_empty))
        except QueueFull:
            return False
        return True

    async def give(self, *, or_room: bool) -> Job | None:
        """The first one once it is over; null (with ``or_room``) when something changed, so that there may be room."""
        with self._core().bus.subscribe(EVERY_JOB) as changed:
            while not (await self._client.get(self._handles[0].id)).state.is_terminal:
                await changed.wait(LOOK_FOR_ROOM)
                if or_room:
                    return None
        job = await self._handles[0].wait()
        self._handles.popleft()
        return job

    async def give_up(self) -> None:
        """Cancel those that are left."""
        await self._intake.give_up(*(handle.id for handle in self._handles))
