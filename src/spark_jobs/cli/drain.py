"""`spark queue drain`: waits until nothing runs in a queue that was paused."""

from __future__ import annotations

import asyncio
import signal

from spark_jobs.cli.attend import patient
from spark_jobs.cli.failures import INTERRUPTED, REFUSED, TERMINATED, TRY_AGAIN
from spark_jobs.cli.interrupts import Interrupts
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.text import span
from spark_jobs.client import Client, QueueStatus
from spark_jobs.domain.errors import SparkError

LOOK_EVERY = 0.5
RECONNECT_TIMEOUT = 300.0
_STAYS = "the queue stays paused, `spark queue resume` starts jobs again"


class Drain:
    """Looks at the queue, as ``status`` showed it last, until nothing runs, the time is over, or an interrupt comes.
    Whatever happens, the queue stays paused."""

    def __init__(self, client: Client, screen: Screen, status: QueueStatus) -> None:
        self._client = client
        self._screen = screen
        self._status = status

    async def run(self, limit: float | None) -> tuple[QueueStatus, int]:
        """The queue as it is in the end, and the exit code; ``limit`` is seconds.

        Raises:
            ServerUnreachable: the server was away for too long.
        """
        if self._status.running:
            self._screen.note(f"the queue is paused, waiting for {_jobs(self._status.running)} to end")
        with Interrupts() as interrupts:
            idle = asyncio.create_task(self._until_idle())
            interrupt = asyncio.create_task(interrupts.next())
            try:
                await asyncio.wait({idle, interrupt}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                if interrupt.done():
                    return self._status, self._interrupted(interrupt.result())
                if not idle.done():
                    return self._status, self._gave_up(limit)
                idle.result()
                return self._status, self._over()
            finally:
                idle.cancel()
                interrupt.cancel()
                await asyncio.wait({idle, interrupt})
                self._screen.close()

    async def _until_idle(self) -> None:
        contact = patient(self._screen, RECONNECT_TIMEOUT)
        while self._status.paused and self._status.running:
            self._screen.status(f"waiting for {_jobs(self._status.running)} to end")
            await asyncio.sleep(LOOK_EVERY)
            try:
                self._status = await self._client.queue()
            except SparkError as error:
                await contact.lost(error)
                continue
            contact.kept()

    def _over(self) -> int:
        if not self._status.paused:
            self._screen.say("the queue was resumed meanwhile: jobs start again")
            return REFUSED
        waiting = f", {_jobs(self._status.depth)} in the queue" if self._status.depth else ""
        self._screen.note(f"nothing runs any more{waiting}; {_STAYS}")
        return 0

    def _gave_up(self, limit: float | None) -> int:
        self._screen.say(f"{_jobs(self._status.running)} not over after {span(limit or 0)}: giving up; {_STAYS}")
        return TRY_AGAIN

    def _interrupted(self, number: int) -> int:
        self._screen.say(f"no longer waiting for {_jobs(self._status.running)} to end; {_STAYS}")
        return INTERRUPTED if number == signal.SIGINT else TERMINATED


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
