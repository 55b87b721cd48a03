"""One attempt on this machine: what is shown of it, and the life of its process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import msgspec

from spark_jobs import journal
from spark_jobs.cluster.base import JobSeen, Observation, PodSeen, Running, Terminated, Waiting
from spark_jobs.cluster.local import family
from spark_jobs.cluster.local.folder import AttemptFolder, Record
from spark_jobs.cluster.local.log import AttemptLog, Pump
from spark_jobs.cluster.local.plan import Plan
from spark_jobs.cluster.local.process import SIGNALLED, OwnProcess
from spark_jobs.cluster.local.threads import in_thread

log = journal.logger(__name__)

START_ERROR = 128
_HALTED = "DeadlineExceeded"  # Kubernetes' word on a pod that was asked to end without being deleted
_LAST_OUTPUT = 1.0  # seconds; a process that got away and keeps our pipe open is not waited for longer


class LocalAttempt:
    """Belongs to the event loop; ``changed`` is called after every change of what is shown."""

    def __init__(
        self, record: Record, folder: AttemptFolder, *, clock: Callable[[], datetime], changed: Callable[[], None]
    ) -> None:
        self.record = record
        self.folder = folder
        self.log = AttemptLog(folder.log, open_ended=record.end is None)
        self.job = JobSeen(uid=record.uid)
        self.pod = _pod(record)
        self.over = asyncio.Event()
        self._launched = asyncio.Event()
        if record.end is not None:
            self.over.set()
            self._launched.set()
        self._clock = clock
        self._changed = changed
        self._process: OwnProcess | None = None
        self._with_server = False

    def seen(self) -> Observation:
        """What is there now."""
        return Observation(current=True, job=self.job, pod=self.pod)

    async def live(self, plan: Plan) -> None:
        """Start the process and see it to its end. An event loop that ends before the cluster was stopped cancels this:
        then the process is ended at once, and nobody waits for it in vain."""
        try:
            await self._live(plan)
        except asyncio.CancelledError:
            if self._process is not None:
                await in_thread(self._process.kill)
            self.over.set()
            raise

    async def _live(self, plan: Plan) -> None:
        try:
            self._process = process = await in_thread(partial(self._launch, plan))
        except (OSError, ValueError) as error:
            self.log.finish()
            message = _why_not(error, plan)
            await self._end(Terminated(exit_code=START_ERROR, reason="StartError", message=message))
            return
        finally:
            self._launched.set()
        started = self._clock()
        self._change(container=Running(started_at=started))
        code, finished = await self._run(process)
        end = Terminated(
            exit_code=code,
            signal=code - SIGNALLED if code > SIGNALLED else None,
            reason="Completed" if code == 0 else "Error",
            message=await asyncio.to_thread(self.folder.result),
            started_at=started,
            finished_at=finished,
        )
        await self._end(end)

    async def stop(self, grace: float, *, halt: bool = False) -> None:
        """TERM to its process group, and KILL after ``grace`` seconds; returns when it is over. ``halt``: it stays, and
        shows that it was asked to end."""
        await self._launched.wait()
        process = self._process
        if process is not None and process.signal(signal.SIGTERM):
            self.record.halted = self.record.halted or halt
            try:
                async with asyncio.timeout(grace):
                    await self.over.wait()
            except TimeoutError:
                process.signal(signal.SIGKILL)
        await self.over.wait()

    def mark_deleted(self, grace: float) -> None:
        """It is asked to end and to go."""
        self.job = msgspec.structs.replace(self.job, deleted=True)
        if self.pod.deleted_at is None:
            self._change(deleted_at=self._clock() + timedelta(seconds=grace))

    async def stop_with_server(self, grace: float) -> None:
        """End it because the server ends: how it would have ended is not known."""
        self._with_server = not self.over.is_set()
        await self.stop(grace)

    def _launch(self, plan: Plan) -> OwnProcess:
        process = OwnProcess(plan)
        self.record.pid, self.record.identity = process.pid, family.identity(process.pid)
        try:
            self.folder.write(self.record)
        except OSError:
            process.abandon()
            raise
        return process

    async def _run(self, process: OwnProcess) -> tuple[int, datetime]:
        """Until nothing of it is left and its output is written; its exit code and the time of its end."""
        loop = asyncio.get_running_loop()

        def grown() -> None:
            loop.call_soon_threadsafe(self.log.grown)

        pump = Pump(process.output, self.folder.log, clock=self._clock, grown=grown)
        pumping = in_thread(pump.run)
        await in_thread(process.wait)
        finished = self._clock()
        code = await in_thread(process.sweep)
        done, _ = await asyncio.wait([pumping], timeout=_LAST_OUTPUT)
        if not done:
            pump.stop()
        self.log.finish(await pumping)
        pump.close()
        process.close()
        return code, finished

    async def _end(self, end: Terminated) -> None:
        self.record.end = None if self._with_server else end
        self.record.lost = self._with_server
        try:
            await asyncio.to_thread(self.folder.write, self.record)
        except OSError as error:
            log.warning("can't record the end of an attempt", job=self.record.job_id, problem=str(error))
        self.over.set()
        self._change(container=end, over=True, reason=_HALTED if self.record.halted else None)

    def _change(self, **changes: object) -> None:
        self.pod = msgspec.structs.replace(self.pod, **changes)
        self._changed()


def _pod(record: Record) -> PodSeen:
    return PodSeen(
        name=f"{record.name}-local",
        uid=f"{record.uid}-pod",
        over=record.end is not None,
        node=socket.gethostname(),
        scheduled=True,
        reason=_HALTED if record.halted else None,
        container=record.end or Waiting(reason="ContainerCreating"),
    )


def _why_not(error: OSError | ValueError, plan: Plan) -> str:
    """Why the command can't be started; never what is in its environment."""
    if not plan.folder.is_dir():
        return f"the working folder {plan.folder} does not exist on this machine"
    program = plan.argv[0]
    if isinstance(error, FileNotFoundError) and "/" not in program:
        return f'exec: "{program}": executable file not found in $PATH'
    if isinstance(error, OSError):
        return f'exec: "{program}": {error.strerror or os.strerror(error.errno or 0)}'
    return f'exec: "{program}": the command or its environment holds what no process can be given'
