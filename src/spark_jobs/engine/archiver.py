"""Sends settled logs to the sink, in the background: no job waits for it, and what waits stands in the store.

Whatever is sent is marked in the store afterwards. After a crash in between it is sent again, under the same names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from spark_jobs import journal
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import JobNotFound, SinkUnavailable, TryAgain
from spark_jobs.engine.parcel import Parcel, Torn
from spark_jobs.metrics import Metrics
from spark_jobs.sinks.base import Sink
from spark_jobs.store.base import ArchiveStore, Unsent

log = journal.logger(__name__)

AT_ONCE = 2
_FIRST_RETRY = 1.0
_LAST_PAUSE = 60.0
_LAST_RETRY = 600.0


class _Aside(NamedTuple):
    """A log that could not be sent, how often, and until when it is left alone."""

    until: float
    failures: int


class Archiver:
    """Sends what waits, the oldest first, for ever.

    Where the sink fails, nothing is sent for a while. The log that failed is put behind the others for longer, so that
    one that is refused for what it is does not stand in their way.
    """

    def __init__(self, store: ArchiveStore, sink: Sink, instance: str, metrics: Metrics) -> None:
        self._store = store
        self._sink = sink
        self._instance = instance
        self._metrics = metrics
        self._woken = asyncio.Event()
        self._sending: set[AttemptKey] = set()
        self._aside: dict[AttemptKey, _Aside] = {}
        self._pauses = 0
        self._paused_until = 0.0

    def wake(self) -> None:
        """There may be something to send."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._woken.clear()
                for each in await self._next():
                    self._sending.add(each.key)
                    tasks.create_task(self._handle(each), name=f"archive {each.key}")
                await self._wait()

    async def _next(self) -> Sequence[Unsent]:
        """What to send now."""
        now = _now()
        self._aside = {key: aside for key, aside in self._aside.items() if aside.until + _LAST_RETRY > now}
        free = AT_ONCE - len(self._sending)
        if free <= 0 or now < self._paused_until:
            return []
        passed_over = self._sending | {key for key, aside in self._aside.items() if aside.until > now}
        try:
            due = await self._store.archive_due(limit=free + len(passed_over))
        except TryAgain as error:
            self._pause(error.message)
            return []
        return [each for each in due if each.key not in passed_over][:free]

    async def _wait(self) -> None:
        """Until there is something new, or something to try again."""
        now = _now()
        times = [self._paused_until, *(aside.until for aside in self._aside.values())]
        try:
            async with asyncio.timeout_at(min((time for time in times if time > now), default=None)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _handle(self, unsent: Unsent) -> None:
        """Send one, or put it off. Never raises, but for a cancellation."""
        key = unsent.key
        try:
            size = await self._send(unsent)
        except JobNotFound:
            log.info("a job was deleted before its log was sent", job=key.job_id, attempt=key.attempt)
        except (SinkUnavailable, TryAgain) as error:
            self._put_off(key)
            self._pause(error.message)
        except Torn:
            self._put_off(key)
        except Exception:
            log.exception("sending a log failed; trying again later", job=key.job_id, attempt=key.attempt)
            self._metrics.unexpected_error("archive")
            self._put_off(key)
        else:
            self._done(key, size)
        finally:
            self._sending.discard(key)
            self._woken.set()

    async def _send(self, unsent: Unsent) -> int:
        """Send one; the bytes that it has there."""
        key = unsent.key
        job = await self._store.get(key.job_id)
        attempt = next((each for each in job.attempts if each.attempt == key.attempt), None)
        if attempt is None:
            raise JobNotFound(f"another job has the id {key.job_id} now")
        parcel = Parcel(self._instance, job, attempt, unsent.due_at)
        await self._sink.put(parcel.text_name, parcel.text(self._store))
        await self._sink.put(parcel.note_name, _at_once(parcel.note()))
        await self._store.archived(unsent, self._sink.address(parcel.text_name))
        return parcel.size

    def _put_off(self, key: AttemptKey) -> None:
        self._metrics.log_not_sent()
        failures = self._aside[key].failures + 1 if key in self._aside else 1
        self._aside[key] = _Aside(_now() + _delay(failures, _LAST_RETRY), failures)

    def _pause(self, why: str) -> None:
        if _now() < self._paused_until:
            return  # the other one that was under way
        if not self._pauses:
            log.warning("no log can be sent to the log sink now; trying again and again", problem=why)
        self._pauses += 1
        self._paused_until = _now() + _delay(self._pauses, _LAST_PAUSE)

    def _done(self, key: AttemptKey, size: int) -> None:
        self._aside.pop(key, None)
        self._metrics.log_sent(size)
        if self._pauses:
            log.info("logs are sent to the log sink again")
        self._pauses, self._paused_until = 0, 0.0


def _now() -> float:
    return asyncio.get_running_loop().time()


def _delay(failures: int, longest: float) -> float:
    return float(min(longest, _FIRST_RETRY * 2 ** min(failures - 1, 16)))


async def _at_once(data: bytes) -> AsyncIterator[bytes]:
    yield data
