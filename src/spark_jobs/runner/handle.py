"""Handle: one job that a Runner took, to wait for, to read and to cancel."""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from spark_jobs.client import Client, LogBytes, LogOptions, Submission
from spark_jobs.domain.job import Job, JobEvent, succeeded

LONGEST_LINE = 1024 * 1024
"""A line with more characters comes in pieces, so that memory stays bounded."""


class Handle:
    """``job`` is the job as it was accepted; ``replayed``: it was there before, and nothing was started."""

    def __init__(self, client: Client, submission: Submission, told: Callable[[Job], Awaitable[None]]) -> None:
        self.job = submission.job
        self.replayed = submission.replayed
        self._client = client
        self._told = told

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    async def wait(self, timeout: float | None = None) -> Job:
        """The job once it is over, whatever its end.

        Raises:
            TimeoutError: it was not over after ``timeout`` seconds; the job is left alone.
        """
        job = await self._client.wait(self.id, timeout=timeout)
        await self._told(job)
        return job

    async def result(self, timeout: float | None = None) -> Job:
        """As :meth:`wait`, but a job that did not succeed raises JobFailed, JobTimedOut or JobCancelled."""
        return succeeded(await self.wait(timeout))

    async def logs(self, options: LogOptions | None = None) -> AsyncGenerator[str, None]:
        """The log line by line, without the ends of lines, from its beginning until the job is over."""
        lines = Lines()
        async with aclosing(self.output(options)) as pieces:
            async for piece in pieces:
                for line in lines.of(piece):
                    yield line
        for line in lines.rest():
            yield line

    def output(self, options: LogOptions | None = None) -> AsyncGenerator[LogBytes, None]:
        """The log as it was written, in pieces, from its beginning until the job is over."""
        return self._client.follow(self.id, options)

    async def events(self) -> AsyncGenerator[JobEvent, None]:
        """Every change of the job's state, from its submission to its end."""
        async with aclosing(self._client.events(self.id, after=0)) as events:
            async for event in events:
                yield event
                if event.target.is_terminal:
                    return

    async def cancel(self) -> Job:
        """Cancel it if it waits, ask it to stop if it runs. Raises NotCancellable."""
        return await self._client.cancel(self.id)


class Lines:
    """Makes lines of text out of pieces of a log, attempt by attempt. What is no UTF-8 becomes U+FFFD."""

    def __init__(self) -> None:
        self._attempt = 0
        self._open = ""
        self._decoder = _decoder()

    def of(self, piece: LogBytes) -> list[str]:
        """The lines that end with this piece."""
        before = self.rest() if piece.attempt != self._attempt else []
        self._attempt = piece.attempt
        *lines, self._open = (self._open + self._decoder.decode(piece.data)).split("\n")
        if len(self._open) > LONGEST_LINE:
            lines.append(self._open)
            self._open = ""
        return before + lines

    def rest(self) -> list[str]:
        """The last line, if it has no end of its own."""
        last = self._open + self._decoder.decode(b"", final=True)
        self._open = ""
        return [last] if last else []


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")
