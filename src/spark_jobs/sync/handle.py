"""Handle without `async`."""

from __future__ import annotations

from collections.abc import Iterator

from spark_jobs.client import LogBytes, LogOptions
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.runner import Handle as AsyncHandle
from spark_jobs.runner.handle import Lines
from spark_jobs.sync.portal import Portal


class Handle:
    """One job that a Runner took, as :class:`spark_jobs.Handle`."""

    def __init__(self, portal: Portal, handle: AsyncHandle) -> None:
        self._portal = portal
        self._handle = handle
        self.job = handle.job
        self.replayed = handle.replayed

    @property
    def id(self) -> str:
        """The job's id."""
        return self._handle.id

    def wait(self, timeout: float | None = None) -> Job:
        """The job once it is over, whatever its end. Raises TimeoutError after ``timeout`` seconds."""
        return self._portal.call(lambda: self._handle.wait(timeout))

    def result(self, timeout: float | None = None) -> Job:
        """As :meth:`wait`, but a job that did not succeed raises JobFailed, JobTimedOut or JobCancelled."""
        return self._portal.call(lambda: self._handle.result(timeout))

    def logs(self, options: LogOptions | None = None) -> Iterator[str]:
        """The log line by line, without the ends of lines, from its beginning until the job is over."""
        lines = Lines()
        for piece in self.output(options):
            yield from lines.of(piece)
        yield from lines.rest()

    def output(self, options: LogOptions | None = None) -> Iterator[LogBytes]:
        """The log as it was written, in pieces, from its beginning until the job is over."""
        return self._portal.iterate(lambda: self._handle.output(options))

    def events(self) -> Iterator[JobEvent]:
        """Every change of the job's state, from its submission to its end."""
        return self._portal.iterate(self._handle.events)

    def cancel(self) -> Job:
        """Cancel it if it waits, ask it to stop if it runs. Raises NotCancellable."""
        return self._portal.call(self._handle.cancel)
