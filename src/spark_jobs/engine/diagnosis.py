"""Asks the cluster what it noted about pods that wait or have failed: what their containers' status alone does not say.

Bounded: one request a second at most, whatever the number of attempts, and each attempt at most every ten seconds. An
attempt that is about to be given up without a known cause is asked for once more before; of those without a pod, one
look tells of all in its namespace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from spark_jobs import journal
from spark_jobs.cluster.base import Cluster
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord, Phase
from spark_jobs.domain.errors import ClusterError, TryAgain
from spark_jobs.domain.reasons import is_programs_own
from spark_jobs.domain.state import JobState
from spark_jobs.engine import waiting
from spark_jobs.engine.attempts import Attempts, ref_of

log = journal.logger(__name__)

_TICK = 1.0
_WAITED = timedelta(seconds=3)
_AGAIN = timedelta(seconds=10)


class Diagnosis:
    """Keeps the events of attempts' pods in their rows. ``noted(claim)`` is called when there are new ones; ``crashed()``
    when something unexpected happened."""

    def __init__(
        self,
        attempts: Attempts,
        cluster: Cluster,
        noted: Callable[[str], None],
        crashed: Callable[[], None],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._attempts = attempts
        self._cluster = cluster
        self._noted = noted
        self._crashed = crashed
        self._clock = clock

    async def run(self) -> None:
        """Ask for one attempt every second, and in each namespace why pods are not made, until cancelled."""
        said = None
        while True:
            await asyncio.sleep(_TICK)
            try:
                await self._ask_why_no_pod()
                await self._ask_once()
            except (ClusterError, TryAgain) as error:
                if error.message != said:  # said once, not at every try
                    log.info("can't see why an attempt waits or failed", problem=error.message)
                said = error.message
            except Exception:
                log.exception("looking for the events of a pod failed unexpectedly")
                self._crashed()

    async def _ask_why_no_pod(self) -> None:
        """Look once in every namespace where an attempt is about to be given up and nobody knows why it has no pod."""
        if not self._cluster.health().reachable:
            return
        now = self._clock()
        askers: dict[str, list[AttemptRecord]] = {}
        for record in self._attempts:
            if record.pod is None and self._is_at_its_limit(record, now):
                askers.setdefault(record.namespace, []).append(record)
        for records in askers.values():
            seen = await self._cluster.look(ref_of(records[0]))
            told_of_all = seen.job is not None and seen.pod is None
            for record in records if told_of_all else records[:1]:
                self._answered(record)

    def _is_at_its_limit(self, record: AttemptRecord, now: datetime) -> bool:
        return waiting.should_ask(record, self._attempts.memo(record.claim), now)

    def _answered(self, record: AttemptRecord) -> None:
        """All that can be known of an attempt's wait is known now."""
        if self._attempts.known(record.claim):
            self._attempts.memo(record.claim).asked_why = True
            self._noted(record.claim)

    async def _ask_once(self) -> None:
        """Ask for the attempt that is due and was asked for the longest ago. A failed one, or one that is about to be given
        up, goes first: it will soon be gone."""
        if not self._cluster.health().reachable:
            return  # it has better things to answer once it is back
        now = self._clock()
        due = [record for record in self._attempts if self._is_due(record, now)]
        if not due:
            return
        at_limit = {record.claim for record in due if self._is_at_its_limit(record, now)}
        record = min(due, key=lambda each: (self._urgency(each, at_limit), self._asked_at(each) or each.claimed_at))
        self._attempts.memo(record.claim).events_asked_at = now
        assert record.pod is not None
        events = await self._cluster.events(ref_of(record), record.pod)
        if events and events != record.events:
            await self._attempts.note(record, AttemptChanges(events=events))
            self._noted(record.claim)
        if record.claim in at_limit:
            self._answered(record)

    def _urgency(self, record: AttemptRecord, at_limit: set[str]) -> int:
        if record.phase is Phase.OVER:
            return 0
        return 1 if record.claim in at_limit else 2

    def _is_due(self, record: AttemptRecord, now: datetime) -> bool:
        """It has a pod, and waits for its container, or has failed by no fault of the program and was not asked for since."""
        if record.pod is None:
            return False
        asked_at = self._asked_at(record)
        if record.phase is Phase.OVER:
            assert record.outcome is not None
            assert record.over_at is not None
            taken = record.outcome.state is JobState.FAILED and not is_programs_own(record.outcome.reason)
            return taken and (asked_at is None or asked_at < record.over_at)
        waits = record.running_at is None and record.outcome is None and now >= record.claimed_at + _WAITED
        again = asked_at is None or now >= asked_at + _AGAIN
        return (waits and again) or self._is_at_its_limit(record, now)

    def _asked_at(self, record: AttemptRecord) -> datetime | None:
        return self._attempts.memo(record.claim).events_asked_at
