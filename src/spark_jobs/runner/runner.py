"""Runner: the whole of Spark inside the caller's program, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from spark_jobs import journal
from spark_jobs.client import Client
from spark_jobs.cluster.base import Cluster
from spark_jobs.config import Settings
from spark_jobs.domain.errors import RunnerError, RunnerMisused, SparkError
from spark_jobs.domain.job import Job, succeeded
from spark_jobs.runner import closing
from spark_jobs.runner.ahead import Ahead, Inputs
from spark_jobs.runner.handle import Handle
from spark_jobs.runner.intake import Intake, Work
from spark_jobs.runner.keywords import Keywords, check_cluster, in_python, settings_from
from spark_jobs.runner.ledger import Ledger
from spark_jobs.runner.life import Life
from spark_jobs.runner.link import ServiceLink
from spark_jobs.runner.setup import Setup

log = journal.logger(__name__)

_LONGEST_LOOK_AHEAD = 1000
_CLEAN_WITHIN = 60.0


class Runner:
    """Runs jobs as long as its block lasts: ``async with Runner() as runner: handle = await runner.add_task(...)``.

    ``kubeconfig`` is a path, ``default`` for ~/.kube/config, empty for the pod's own account; by default what `kubectl`
    would take. ``cluster`` is ``kubernetes``, ``local`` (jobs are processes of this machine, and images are not used), or
    a FakeCluster of :mod:`spark_jobs.testing`. ``default_timeout`` is in seconds, or ``none``. ``data_dir`` keeps jobs
    and logs, for one process at a time; by default they are gone at the end. Further keywords are settings by their
    names. Nothing is read from ``SPARK_*``.

    The end of the block waits for all jobs that it took. An exception that leaves the block cancels them first. Either
    way the cluster holds nothing of them afterwards; ``left`` names what it still held after a minute.

    Raises:
        SettingError: a keyword is unknown or its value is wrong.
    """

    def __init__(
        self,
        kubeconfig: str | Path | None = None,
        *,
        cluster: str | Cluster = "kubernetes",
        max_concurrent_jobs: int = 5,
        queue_size: int = 100,
        default_timeout: float | str = 300.0,
        data_dir: str | Path | None = None,
        **settings: Unpack[Keywords],
    ) -> None:
        given = {
            "kubeconfig": kubeconfig,
            "max_concurrent_jobs": max_concurrent_jobs,
            "queue_size": queue_size,
            "default_timeout": default_timeout,
            "data_dir": data_dir,
            **settings,
        }
        check_cluster(cluster)
        fake = None if cluster in {"kubernetes", "local"} else cluster
        checked = settings_from(given if fake is not None else {**given, "cluster": cluster})
        self._make(Setup(settings=checked, fake=fake, folder=None if data_dir is None else checked.data_dir))

    @classmethod
    def with_settings(cls, settings: Settings) -> Self:
        """A Runner with settings that were loaded already; their data folder is not used, but a private one."""
        runner = cls.__new__(cls)
        runner._make(Setup(settings=settings, by_keywords=False))
        return runner

    def _make(self, setup: Setup) -> None:
        self._setup = setup
        self._life = Life(setup.parts)
        self._intake: Intake | None = None
        self._closing: asyncio.Task[Any] | None = None  # who ends it
        self._submissions: set[asyncio.Task[Job]] = set()
        self.client = Client(link=ServiceLink(self._life.core), submit_timeout=0.0)
        self.left: list[str] = []

    async def start(self) -> Self:
        """Start it without a block: then :meth:`shutdown` is the end.

        Raises:
            CredentialsError, DataDirError: it can't run as it is set up. RunnerMisused: it was started before.
        """
        try:
            await self._life.start()
        except SparkError as error:
            raise (in_python(error) if self._setup.by_keywords else error) from error.__cause__
        self._intake = Intake(self.client, self._life.core)
        return self

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._closing:
            return
        try:
            await self._close(cancel=error is not None)
        except RunnerError:
            if error is None:
                raise  # else what left the block tells more

    async def shutdown(self, *, wait: bool = True, cancel: bool = False) -> None:
        """End it: wait for all jobs that it took (``cancel``: after cancelling them), or, with ``wait`` false, leave them
        running for the next Runner on the same ``data_dir``. Does nothing if it is closed.

        Raises:
            RunnerMisused: nobody could find the jobs again, or they can't go on without this process.
        """
        if not wait:
            self.check_can_leave()
        if self._closing:
            return
        if wait:
            await self._close(cancel=cancel)
        else:
            self._running()
            self._closing = asyncio.current_task()
            await self._life.stop()

    def check_can_leave(self) -> None:
        """Return if jobs can be left running. Raises RunnerMisused."""
        if self._setup.private:
            raise RunnerMisused("jobs can't be left running without a data_dir, in which the next Runner finds them")
        if not self._setup.outlived:
            raise RunnerMisused("jobs of the local cluster are processes of this one: they can't be left running")

    async def add_task(self, task: Work, *, wait_for_room: bool = False) -> Handle:
        """Take a job. A full queue is an error at once, or waited for in turn (``wait_for_room``).

        Raises:
            InvalidSpec, IdConflict: not accepted. QueueFull: not now. RunnerMisused, RunnerFailed.
        """
        return await self._open().take(task, wait_for_room=wait_for_room)

    def submit(self, task: Work, *, wait_for_room: bool = False) -> asyncio.Task[Job]:
        """Take a job and give its result, as an awaitable that can be passed around.

        The result is the job if it SUCCEEDED; else JobFailed, JobTimedOut or JobCancelled is raised, or what
        :meth:`add_task` raises. Cancelling the awaitable cancels the job.
        """
        return self._attended(self._open().result_of(task, wait_for_room=wait_for_room))

    def attend(self, handle: Handle) -> asyncio.Task[Job]:
        """The result of a job that was taken, as :meth:`submit` gives it."""
        return self._attended(self._running().result_or_cancel(handle))

    def _attended(self, work: Coroutine[Any, Any, Job]) -> asyncio.Task[Job]:
        running = asyncio.create_task(work, name="job of a Runner")
        self._submissions.add(running)
        running.add_done_callback(self._submissions.discard)
        return running

    async def map(self, tasks: Iterable[Work], *, return_failed: bool = False) -> AsyncGenerator[Job, None]:
        """Run all of them, and give the jobs in the order of the tasks, which are taken as there is room for them.

        A job that did not succeed raises JobFailed, JobTimedOut or JobCancelled, unless ``return_failed``. Whatever ends
        the iteration early cancels the jobs that it has started and not given yet.
        """
        inputs, ahead = Inputs(tasks), self.ahead()
        try:
            while True:
                while ahead.wants_more and inputs.more() and await ahead.take(inputs.first):
                    inputs.taken()
                if ahead.is_empty:
                    return
                job = await ahead.give(or_room=ahead.wants_more and inputs.more())
                if job is not None:
                    yield job if return_failed else succeeded(job)
        finally:
            await ahead.give_up()

    def ahead(self) -> Ahead:
        """What :meth:`map` keeps its jobs in; for one that works otherwise."""
        settings = self._setup.settings
        most = settings.max_concurrent_jobs + min(settings.queue_size, _LONGEST_LOOK_AHEAD)
        return Ahead(self._open(), self.client, self._life.core, most)

    @property
    def unfinished(self) -> list[str]:
        """The ids of jobs that it took and that are not over."""
        return list(self._intake.ledger.active) if self._intake else []

    async def abandon(self) -> None:
        """Leave at once: stop nothing and wait for nothing. What runs in Kubernetes ends by its limits there."""
        self._closing = asyncio.current_task()
        await self._life.stop()

    async def interrupted(self) -> None:
        """Return when it has ended, its jobs cancelled. Whoever was ending it may not have come to begin with that, and may
        not be able to cancel it."""
        if self._closing is None:
            await self._close(cancel=True)
        elif not self._closing.cancelling():
            self._closing.cancel()
        await self._life.ended()

    async def _close(self, *, cancel: bool) -> None:
        """End it. A cancellation that comes meanwhile cancels the jobs; a second one leaves at once."""
        ledger, self._closing = self._running().ledger, asyncio.current_task()
        try:
            try:
                await self._wind_up(ledger, cancel=cancel)
            except asyncio.CancelledError:
                if not cancel:
                    await self._wind_up(ledger, cancel=True)
                raise
        finally:
            await self._life.stop()

    async def _wind_up(self, ledger: Ledger, *, cancel: bool) -> None:
        await (self._stop_jobs(ledger) if cancel else self._finish_jobs(ledger))
        await ledger.settled()
        await self._clean_up()

    async def _finish_jobs(self, ledger: Ledger) -> None:
        while self._submissions:
            await asyncio.wait(self._submissions)
        await closing.until_over(self.client, ledger.active)

    async def _stop_jobs(self, ledger: Ledger) -> None:
        for submission in self._submissions:
            submission.cancel()
        while self._submissions:
            await asyncio.wait(self._submissions)
        await closing.stop_all(self.client, ledger.active)

    async def _clean_up(self) -> None:
        if self._setup.keeps_objects:
            return
        core, private = self._life.core(), self._setup.private
        self.left = await closing.until_clean(core, seconds=_CLEAN_WITHIN, private=private)
        if self.left:
            log.warning("the cluster still holds objects of jobs that are over", objects=", ".join(self.left))

    def _open(self) -> Intake:
        """Raises RunnerMisused, RunnerFailed where no more jobs are taken."""
        intake = self._running()
        if self._closing:
            raise RunnerMisused("this Runner is closing and takes no more jobs: make a new one")
        return intake

    def _running(self) -> Intake:
        self._life.core()
        if self._intake is None:
            raise RunnerMisused("this Runner is still starting: await its start")
        return self._intake
