"""Running many jobs in order: a bounded number is ahead of whoever takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

from spark_jobs.app.core import Core
from spark_jobs.bus import EVERY_JOB
from spark_jobs.client import Client
from spark_jobs.domain.errors import QueueFull
from spark_jobs.domain.job import Job
from spark_jobs.runner.handle import Handle
from spark_jobs.runner.intake import LOOK_FOR_ROOM, Intake, Work


class Inputs:
    """Takes from an iterable as late as possible; one that found no room is kept for the next time."""

    def __init__(self, works: Iterable[Work]) -> None:
        self._works: Iterator[Work] = iter(works)
        self._held: list[Work] = []

    def first(self) -> Work | None:
        """The next one, which stays the next one until :meth:`taken`; null at the end."""
        if not self._held:
            self._held = [work for work in [next(self._works, None)] if work is not None]
        return self._held[0] if self._held else None

    def taken(self) -> None:
        """The next one was taken."""
        self._held.clear()


class Ahead:
    """The jobs that were taken and not given yet, ``most`` at a time."""

    def __init__(self, intake: Intake, client: Client, core: Callable[[], Core], most: int) -> None:
        self._intake = intake
        self._client = client
        self._core = core
        self._most = most
        self._handles: deque[Handle] = deque()

    async def jobs(self, works: Iterable[Work]) -> AsyncGenerator[Job, None]:
        """Each job once it is over, in the order of the works; what is left is cancelled when nobody goes on."""
        inputs = Inputs(works)
        try:
            while await self._first_over(inputs):
                job = await self._handles[0].wait()
                self._handles.popleft()
                yield job
        finally:
            await self._intake.give_up(*(handle.id for handle in self._handles))

    async def _first_over(self, inputs: Inputs) -> bool:
        """Wait until the first one is over; whenever something changes, there may be room for more. False at the end."""
        with self._core().bus.subscribe(EVERY_JOB) as changed:
            while True:
                await self._fill(inputs)
                if not self._handles:
                    return False
                if (await self._client.get(self._handles[0].id)).state.is_terminal:
                    return True
                await changed.wait(LOOK_FOR_ROOM)

    async def _fill(self, inputs: Inputs) -> None:
        """Take as many as there is room for; the first one waits for it."""
        while len(self._handles) < self._most and (work := inputs.first()) is not None:
            try:
                handle = await self._intake.take(work, wait_for_room=not self._handles)
            except QueueFull:
                return
            self._handles.append(handle)
            inputs.taken()
