"""Taking jobs: each gets its id here, so that one whose taker goes away can be found and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from spark_jobs import journal
from spark_jobs.app.core import Core
from spark_jobs.bus import EVERY_JOB
from spark_jobs.client import Client, Submission
from spark_jobs.client.link import SpecLike
from spark_jobs.domain.errors import QueueFull, RunnerError, RunnerMisused
from spark_jobs.domain.ids import new_job_id
from spark_jobs.domain.job import Job
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.times import format_time
from spark_jobs.runner.closing import cancelled
from spark_jobs.runner.handle import Handle
from spark_jobs.runner.ledger import Ledger
from spark_jobs.runner.task import Task

log = journal.logger(__name__)

Work: TypeAlias = Task | JobSpec | Mapping[str, object]
"""What a Runner takes: a Task, a JobSpec, or the same as plain objects."""

LOOK_FOR_ROOM = 1.0
"""Seconds: a slot can come free without anything that rings."""


class Intake:
    """Submits to one core, and writes down in its ledger what was accepted."""

    def __init__(self, client: Client, core: Callable[[], Core]) -> None:
        self.ledger = Ledger(core())
        self._client = client
        self._core = core
        self._line = asyncio.Lock()

    async def take(self, work: Work, *, wait_for_room: bool) -> Handle:
        """Submit one job; ``wait_for_room`` waits in turn while the queue is full. Raises as ``Client.submit``."""
        job_id, spec = _named(work)
        task = work if isinstance(work, Task) else None
        if task is not None:
            self.ledger.enter(task, job_id)
        try:
            submission = await (self._when_room(spec) if wait_for_room else self._client.submit(spec))
        except BaseException as error:
            if task is not None:
                self.ledger.strike(task, job_id)
            if isinstance(error, asyncio.CancelledError):
                await self.give_up(job_id)  # it may have been accepted in this very moment
            raise
        if task is not None:
            task.id = job_id
        self.ledger.accepted(submission)
        _tell_of_replay(submission)
        return Handle(self._client, submission, self.ledger.told)

    async def result_of(self, work: Work, *, wait_for_room: bool) -> Job:
        """Take one job and wait for its result; whoever cancels this cancels the job."""
        return await self.result_or_cancel(await self.take(work, wait_for_room=wait_for_room))

    async def result_or_cancel(self, handle: Handle) -> Job:
        """The result of a job that was taken; whoever cancels this cancels the job."""
        try:
            return await handle.result()
        except asyncio.CancelledError:
            await self.give_up(handle.id)
            raise

    async def give_up(self, *job_ids: str) -> None:
        """Nobody waits for these jobs any more: cancel those that are not over."""
        try:
            await asyncio.gather(*(cancelled(self._client, job_id) for job_id in job_ids))
        except RunnerError as error:
            log.debug("jobs that nobody waits for were not cancelled", problem=error.message)

    async def _when_room(self, spec: SpecLike) -> Submission:
        async with self._line:
            with self._core().bus.subscribe(EVERY_JOB) as changed:
                while True:
                    try:
                        return await self._client.submit(spec)
                    except QueueFull:
                        await changed.wait(LOOK_FOR_ROOM)


def _named(work: Work) -> tuple[str, SpecLike]:
    """The job with an id, and that id. An id that is none is found by whoever checks the rest."""
    if isinstance(work, JobSpec):
        job_id = work.id or new_job_id()
        return job_id, msgspec.structs.replace(work, id=job_id)
    spec = work.spec() if isinstance(work, Task) else work
    if not isinstance(spec, Mapping):
        raise RunnerMisused(f"a Runner takes a Task, a JobSpec or a mapping, not a {type(work).__name__}")
    job_id = new_job_id() if spec.get("id") is None else str(spec["id"])
    return job_id, spec if spec.get("id") is not None else {**spec, "id": job_id}


def _tell_of_replay(submission: Submission) -> None:
    job = submission.job
    if submission.replayed:
        since = format_time(job.created_at)
        log.warning("the job exists already: nothing was started", job=job.id, since=since, state=job.state)
