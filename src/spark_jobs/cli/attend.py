"""Staying with a job to its end: its log, its state, lost contact, and what an interrupt does."""

from __future__ import annotations

import asyncio
import enum
import signal
from datetime import UTC, datetime

from spark_jobs.cli.failures import INTERRUPTED, TERMINATED
from spark_jobs.cli.interrupts import Interrupts
from spark_jobs.cli.outcome import exit_code_of, summary
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.text import span
from spark_jobs.client import Client, Contact
from spark_jobs.domain.errors import NotCancellable, SparkError
from spark_jobs.domain.job import Activity, Job

SECOND_INTERRUPT = 2.0
STATUS_EVERY = 1.0


class OnInterrupt(enum.StrEnum):
    """What an interrupt does to the job."""

    DETACH = "detach"
    CANCEL = "cancel"


class Attendance:
    """Follows one job until it is over, or until an interrupt says that it goes on alone."""

    def __init__(
        self, client: Client, job_id: str, screen: Screen, *, on_interrupt: OnInterrupt, reconnect_timeout: float
    ) -> None:
        self._client = client
        self._job_id = job_id
        self._screen = screen
        self._on_interrupt = on_interrupt
        self._contact = patient(screen, reconnect_timeout)
        self._cancelling = False
        self.job: Job | None = None  # once it is over

    async def run(self) -> int:
        """The exit code of `spark run`."""
        with Interrupts() as interrupts:
            following = asyncio.create_task(self._follow())
            status = asyncio.create_task(show_status(self._client, self._job_id, self._screen))
            try:
                interrupted = await self._until_over(following, interrupts)
                left = not following.done()
            finally:
                await stop(status, following)
                self._screen.close()
        if interrupted is not None and left:
            return _code(interrupted)
        job = following.result()
        for line in summary(job):
            self._screen.note(line)
        code = exit_code_of(job)
        return _code(interrupted) if interrupted is not None and code == INTERRUPTED else code

    async def _until_over(self, following: asyncio.Task[Job], interrupts: Interrupts) -> int | None:
        """Wait for the end; returns the signal if one came that had an effect."""
        interrupted: int | None = None
        while not following.done():
            number = await _first(following, interrupts)
            if number is None:
                break
            if self._cancelling:
                self._screen.say(f"the job {self._job_id} is being cancelled; not waiting for its end")
                return number
            interrupted = number
            if await self._detach(number, following, interrupts):
                return number
        return interrupted

    async def _detach(self, number: int, following: asyncio.Task[Job], interrupts: Interrupts) -> bool:
        """Whether to leave now, after this interrupt."""
        if self._on_interrupt is OnInterrupt.CANCEL:
            await self._cancel()
            return False
        again = ""
        if number == signal.SIGINT:
            again = f"; Ctrl-C again within {SECOND_INTERRUPT:g} s cancels it"
        self._screen.say(
            f"the job {self._job_id} goes on{again} (`spark logs -f {self._job_id}`, `spark cancel {self._job_id}`)"
        )
        if number != signal.SIGINT:
            return True
        try:
            async with asyncio.timeout(SECOND_INTERRUPT):
                second = await _first(following, interrupts)
        except TimeoutError:
            return True
        if second == signal.SIGINT:
            await self._cancel()
        return second not in {None, signal.SIGINT}

    async def _cancel(self) -> None:
        self._cancelling = True
        try:
            await self._client.cancel(self._job_id)
            self._screen.say(f"cancelling {self._job_id}; waiting until it has stopped")
        except NotCancellable:
            pass  # it is over already, which is about to be shown
        except SparkError as error:
            self._screen.say(f"could not cancel {self._job_id}: {error.message}")

    async def _follow(self) -> Job:
        async for piece in self._client.follow(self._job_id, contact=self._contact):
            self._screen.output(piece.data)
        self.job = await self._client.wait(self._job_id, contact=self._contact)
        return self.job


async def show_status(client: Client, job_id: str, screen: Screen) -> None:
    """Keep the status line current, until cancelled."""
    while screen.live:
        try:
            screen.status(status_text(await client.get(job_id), datetime.now(UTC)))
        except SparkError:
            screen.status(f"{job_id}: no contact")
        await asyncio.sleep(STATUS_EVERY)


def patient(screen: Screen, reconnect_timeout: float) -> Contact:
    """A contact that says when it is lost and found."""
    return Contact(
        reconnect_timeout,
        on_lost=lambda error: screen.note(f"{error.message}; trying again for {span(reconnect_timeout)}"),
        on_found=lambda: screen.note("in contact again"),
    )


def status_text(job: Job, now: datetime) -> str:
    """One line about a job under way."""
    what = str(job.activity or job.state.lower())
    if job.activity is Activity.QUEUED and job.position is not None:
        what = f"queued at position {job.position}"
    elif job.activity is Activity.RUNNING and job.started_at is not None:
        what = f"running {span((now - job.started_at).total_seconds())}"
    elif job.activity is Activity.BACKOFF and job.not_before is not None:
        what = f"next attempt in {span((job.not_before - now).total_seconds())}"
    return f"{job.id}: {what}" + (f" ({job.reason})" if job.reason else "")


async def _first(following: asyncio.Task[Job], interrupts: Interrupts) -> int | None:
    """The next signal; null when the job's end comes first."""
    waiting = asyncio.create_task(interrupts.next())
    try:
        await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        waiting.cancel()


async def stop(*tasks: asyncio.Task[Job] | asyncio.Task[None]) -> None:
    """Cancel the tasks that are not done, and wait until they are."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


def _code(number: int) -> int:
    return INTERRUPTED if number == signal.SIGINT else TERMINATED
