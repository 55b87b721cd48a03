"""Runner without `async`: queue, engine and store in a thread of this process."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from spark_jobs import journal
from spark_jobs.cluster.base import Cluster
from spark_jobs.domain.errors import RunnerMisused
from spark_jobs.domain.job import Job, succeeded
from spark_jobs.runner import Runner as AsyncRunner
from spark_jobs.runner.ahead import Ahead, Inputs
from spark_jobs.runner.intake import Work
from spark_jobs.runner.keywords import Keywords
from spark_jobs.sync.client import Client
from spark_jobs.sync.handle import Handle
from spark_jobs.sync.portal import Portal

log = journal.logger(__name__)


class Runner:
    """Runs jobs as long as its block lasts, as :class:`spark_jobs.Runner`: ``with Runner() as runner: ...``. In a notebook:
    ``runner = Runner().start()``, and :meth:`shutdown` at the end.

    Its methods may be called from any thread. Ctrl-C in one that waits ends the wait; what leaves the block cancels the
    jobs, and a second Ctrl-C does not wait for that.
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
        self._runner = AsyncRunner(
            kubeconfig,
            cluster=cluster,
            max_concurrent_jobs=max_concurrent_jobs,
            queue_size=queue_size,
            default_timeout=default_timeout,
            data_dir=data_dir,
            **settings,
        )
        self._portal: Portal | None = None

    @property
    def client(self) -> Client:
        """All that a client offers, over this Runner."""
        return Client.over(self._entered(), self._runner.client)

    @property
    def left(self) -> list[str]:
        """What the cluster still held of finished jobs at the end."""
        return self._runner.left

    def start(self) -> Self:
        """Start it without a block: then :meth:`shutdown` is the end.

        Raises:
            CredentialsError, DataDirError: it can't run as it is set up. RunnerMisused: it was started before.
        """
        if self._portal is not None:
            raise RunnerMisused("this Runner was started before: make a new one")
        self._portal = Portal("spark runner")
        try:
            self._portal.call(self._runner.start)
        except BaseException:
            self._portal.close()
            raise
        _remember(self)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(lambda: self._runner.__aexit__(kind, error, trace))

    def shutdown(self, *, wait: bool = True, cancel: bool = False) -> None:
        """End it: wait for all jobs that it took (``cancel``: after cancelling them), or, with ``wait`` false, leave them
        running for the next Runner on the same ``data_dir``. Does nothing if it is closed.

        Raises:
            RunnerMisused: nobody could find the jobs again, or they can't go on without this process.
        """
        if not wait:
            self._runner.check_can_leave()
        self._end(lambda: self._runner.shutdown(wait=wait, cancel=cancel))

    def add_task(self, task: Work, *, wait_for_room: bool = False) -> Handle:
        """Take a job. A full queue is an error at once, or waited for in turn (``wait_for_room``).

        Raises:
            InvalidSpec, IdConflict: not accepted. QueueFull: not now. RunnerMisused, RunnerFailed.
        """
        portal = self._entered()
        return Handle(portal, portal.call(lambda: self._runner.add_task(task, wait_for_room=wait_for_room)))

    def submit(self, task: Work, *, wait_for_room: bool = False) -> Future[Job]:
        """Take a job and give its result as a future, which `concurrent.futures` can wait for. Raises as :meth:`add_task`.

        The result is the job if it SUCCEEDED; else JobFailed, JobTimedOut or JobCancelled is raised. Cancelling the
        future cancels the job.
        """
        taken: Future[None] = Future()

        async def result() -> Job:
            try:
                handle = await self._runner.add_task(task, wait_for_room=wait_for_room)
            except BaseException as error:
                taken.set_exception(error)
                raise
            taken.set_result(None)
            return await self._runner.attend(handle)

        future = self._entered().spawn(result)
        try:
            taken.result()
        except BaseException:
            future.cancel()  # Ctrl-C while it waits for room
            raise
        return future

    def map(self, tasks: Iterable[Work], *, return_failed: bool = False) -> Iterator[Job]:
        """Run all of them, and give the jobs in the order of the tasks, which are taken as there is room for them.

        A job that did not succeed raises JobFailed, JobTimedOut or JobCancelled, unless ``return_failed``. Whatever ends
        the iteration early cancels the jobs that it has started and not given yet.
        """
        portal, inputs = self._entered(), Inputs(tasks)
        ahead = portal.call(self._ahead)
        try:
            while True:
                # The tasks are made in the caller's thread: they may take their time, and use the Runner themselves.
                while ahead.wants_more and inputs.more() and portal.call(partial(ahead.take, inputs.first)):
                    inputs.taken()
                if ahead.is_empty:
                    return
                more = ahead.wants_more and inputs.more()
                job = portal.call(partial(ahead.give, or_room=more))
                if job is not None:
                    yield job if return_failed else succeeded(job)
        finally:
            portal.finish(ahead.give_up)

    async def _ahead(self) -> Ahead:
        return self._runner.ahead()

    def _entered(self) -> Portal:
        if self._portal is None:
            raise RunnerMisused("this Runner is not started: write `with Runner(...) as runner:`, or call its start()")
        return self._portal

    def _end(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        portal = self._entered()
        if not portal.is_open:
            return
        try:
            portal.call(work)
        except KeyboardInterrupt:
            portal.call(self._runner.interrupted)  # a second one leaves at once
            raise
        finally:
            portal.close()

    def _forgotten(self) -> None:
        """The program ends without having closed it."""
        if self._portal is None or not self._portal.is_open:
            return
        log.warning("a Runner was not closed before the program's end: use it within `with`, or call shutdown()")
        try:
            self._runner.check_can_leave()
        except RunnerMisused:
            self.shutdown(cancel=True)
        else:
            self.shutdown(wait=False)


_open_runners: weakref.WeakSet[Runner] = weakref.WeakSet()


@cache
def _watch_the_end() -> None:
    # `atexit` comes too late: by then no thread pool takes work any more, and the store reads in one.
    getattr(threading, "_register_atexit", atexit.register)(_close_all)


def _remember(runner: Runner) -> None:
    """Close it at the program's end, if nobody else does."""
    _open_runners.add(runner)
    _watch_the_end()


def _close_all() -> None:
    for runner in list(_open_runners):
        runner._forgotten()  # noqa: SLF001 - of this module
