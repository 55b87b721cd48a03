"""What a Runner keeps in mind: the jobs it took that are not over, and the Tasks that tell their users about them."""

from __future__ import annotations

import asyncio

from spark_jobs import journal
from spark_jobs.api.original import Original, status_word
from spark_jobs.api.proto.spark_service_pb2 import GetJobLogsRequest
from spark_jobs.app.core import Core
from spark_jobs.client import Submission
from spark_jobs.domain.errors import RunnerMisused, SparkError
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.runner.task import Task
from spark_jobs.store.base import Commit

log = journal.logger(__name__)


class Ledger:
    """Hears of every commit of its core. ``active`` has the ids of jobs that are not over, as they were taken."""

    def __init__(self, core: Core) -> None:
        self.active: dict[str, None] = {}
        self._original = Original(core.service, "")
        self._tasks: dict[str, list[Task]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        core.store.listen(self._committed)

    def enter(self, task: Task, job_id: str) -> None:
        """Keep this Task current. Raises RunnerMisused for one that was taken before."""
        if task.taken:
            raise RunnerMisused(f"this Task was added already, as job {task.id}: make a new one for another run")
        task.taken = True
        self._tasks.setdefault(job_id, []).append(task)

    def strike(self, task: Task, job_id: str) -> None:
        """The job was not accepted after all."""
        task.taken = False
        self._tasks[job_id].remove(task)

    def accepted(self, submission: Submission) -> None:
        """A job was accepted. Of a new one every change is told by the commits; one that was there may have been over."""
        job = submission.job
        if submission.replayed and job.state.is_terminal:
            self._end(job)
        elif submission.replayed:
            self.active[job.id] = None
        for task in self._tasks.get(job.id, ()):
            if task.status is None:
                task.show(job, status_word(job.state))

    async def told(self, job: Job) -> None:
        """Return once the Task of this job, which is over, says so."""
        self._end(job)
        if (ending := self._ending.get(job.id)) is not None:
            await asyncio.shield(ending)

    async def settled(self) -> None:
        """Return once every Task whose job is over says so."""
        while self._ending:
            await asyncio.wait(list(self._ending.values()))

    def _committed(self, commit: Commit) -> None:
        for event in commit.events:
            self._happened(event)

    def _happened(self, event: JobEvent) -> None:
        if event.target.is_terminal:
            self.active.pop(event.job_id, None)
        elif event.source is None:
            self.active[event.job_id] = None
        if event.target.is_terminal:
            self._end(event.job)
            return
        for task in self._tasks.get(event.job_id, ()):
            task.show(event.job, status_word(event.target))

    def _end(self, job: Job) -> None:
        if tasks := self._tasks.pop(job.id, None):
            self._ending[job.id] = ending = asyncio.create_task(self._tell(tasks, job), name=f"log of {job.id}")
            ending.add_done_callback(lambda _: self._ending.pop(job.id))

    async def _tell(self, tasks: list[Task], job: Job) -> None:
        """The log first: who sees the end finds it there."""
        try:
            text = (await self._original.get_job_logs(GetJobLogsRequest(job_id=job.id))).logs
        except SparkError as error:
            log.warning("the log of a Task can't be read", job=job.id, problem=error.message)
            text = ""
        for task in tasks:
            task.logs = text
            task.show(job, status_word(job.state))
