"""Keeps the house: queue limits, retention, and objects that carry our name but that nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from spark_jobs import journal
from spark_jobs.cluster.base import Cluster
from spark_jobs.domain.attempt import Outcome, Transition
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.state import Cause, JobState
from spark_jobs.engine.attempts import Attempts
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.store.base import EngineStore

log = journal.logger(__name__)

_BATCH = 100


class Janitor:
    """Each call does what is due. ``strangers`` is the number of unknown objects found last; ``lost_unsent`` is called with
    the number of logs that had to be forgotten before the sink had them."""

    def __init__(
        self,
        store: EngineStore,
        attempts: Attempts,
        cluster: Cluster,
        rules: EngineSettings,
        *,
        clock: Callable[[], datetime],
        lost_unsent: Callable[[int], None],
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._cluster = cluster
        self._rules = rules
        self._clock = clock
        self._lost_unsent = lost_unsent
        self.strangers = 0

    async def end_overdue(self) -> None:
        """End what has waited too long in the queue."""
        now = self._clock()
        outcome = Outcome(
            state=JobState.FAILED,
            cause=Cause.QUEUE_LIMIT,
            reason=Reason.QUEUE_TIMEOUT,
            message="no slot came free within the job's queue_timeout",
        )
        for job_id in await self._store.queue_overdue(now, limit=_BATCH):
            await self._store.apply(
                Transition(
                    job_id=job_id,
                    attempt=None,
                    cause=Cause.QUEUE_LIMIT,
                    target=JobState.FAILED,
                    at=now,
                    outcome=outcome,
                )
            )

    async def sweep(self) -> None:
        """Forget what is old, which may take minutes; count what nobody knows."""
        now = self._clock()
        jobs_before = _before(now, self._rules.retain_jobs)
        logs_before = _before(now, self._rules.retain_logs)
        swept, sink = 0, self._rules.archive
        while (count := await self._store.sweep(jobs_before=jobs_before, logs_before=logs_before, sink=sink)) > 0:
            swept += count
        if swept:
            log.info("forgot what was old", jobs_and_logs=swept)
        self.strangers = len(self._cluster.strangers(self._attempts.known))

    async def make_room(self) -> None:
        """Forget the oldest logs where all together take more room than they may."""
        pruned = await self._store.prune_logs(self._rules.max_log_bytes)
        if pruned.logs:
            log.info("forgot the oldest logs: max_log_bytes was reached", logs=pruned.logs)
        if pruned.unsent:
            self._lost_unsent(pruned.unsent)
            log.error("forgot logs that the log sink did not have yet: max_log_bytes was reached", logs=pruned.unsent)


def _before(now: datetime, seconds: float) -> datetime:
    """So long ago; the beginning of time for what is kept for ever."""
    beginning = datetime.min.replace(year=1970, tzinfo=now.tzinfo)
    return beginning if seconds >= (now - beginning).total_seconds() else now - timedelta(seconds=seconds)
