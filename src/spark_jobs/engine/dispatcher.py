"""Gives free slots to queued jobs: the claim is committed first, then the create is sent, one at a time, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from spark_jobs import journal
from spark_jobs.cluster.base import Cluster, Created, CreateRefused, CreateUnknown, Observation
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord, Phase, StopCause
from spark_jobs.domain.errors import TryAgain
from spark_jobs.domain.ids import new_claim, new_kubernetes_name
from spark_jobs.domain.job import LogState
from spark_jobs.domain.reasons import Reason
from spark_jobs.engine import queue, verdict
from spark_jobs.engine.attempts import Attempts, ref_of
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.store.base import Candidate, EngineStore, NewClaim

log = journal.logger(__name__)

_FIRST_RETRY, _LAST_RETRY = 0.5, 5.0


class Dispatcher:
    """Claims and creates. ``settled(claim)`` is called whenever there is something for the handler to look at."""

    def __init__(
        self,
        store: EngineStore,
        attempts: Attempts,
        cluster: Cluster,
        rules: EngineSettings,
        settled: Callable[[str], None],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._cluster = cluster
        self._rules = rules
        self._settled = settled
        self._clock = clock
        self._wake = asyncio.Event()
        self._uncreated: dict[str, float] = {}
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """There may be a free slot, or something to start."""
        self._wake.set()

    def stop(self) -> None:
        """Start nothing from now on: what is claimed and not created is found again after the next start."""
        self._stopping.set()
        self._wake.set()

    def resume(self, record: AttemptRecord) -> None:
        """An attempt of an earlier process whose create may not have been sent, or not answered."""
        self._uncreated[record.claim] = 0.0

    async def run(self) -> None:
        """Give out slots until stopped."""
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                wait = await self._round()
            except TryAgain as error:
                log.warning("can't claim now", problem=error.message)
                wait = error.retry_after
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _round(self) -> float | None:
        """Create what is claimed, claim and create what there is room for; seconds until the next round, or null."""
        # Asked for first: a job that comes due while this round looks for what is due is missed by no one.
        due = await self._store.next_due()
        await self._create_again()
        while not self._stopping.is_set() and (records := await self._claim()):
            for record in records:
                self._uncreated[record.claim] = 0.0
            await self._create_again()
        return self._next_round_in(due)

    async def _claim(self) -> list[AttemptRecord]:
        used, paused = await self._store.usage()
        free = queue.room(slots=self._rules.slots, used=used, paused=paused)
        if free == 0:
            return []
        now = self._clock()
        picked = queue.pick(await self._store.candidates(now, limit=free), free)
        claims = [self._new_claim(candidate, now) for candidate in picked]
        records = await self._store.claim(claims, slots=self._rules.slots) if claims else []
        for record in records:
            self._attempts.add(record)
        return records

    def _new_claim(self, candidate: Candidate, now: datetime) -> NewClaim:
        return NewClaim(
            job_id=candidate.job_id,
            claim=new_claim(),
            kubernetes_name=new_kubernetes_name(candidate.attempt),
            cluster=self._cluster.name,
            namespace=candidate.namespace or self._rules.default_namespace,
            at=now,
        )

    async def _create_again(self) -> None:
        """Send the creates that are due, in the order of their claims."""
        loop = asyncio.get_running_loop()
        for claim, due in list(self._uncreated.items()):
            if due <= loop.time() and not self._stopping.is_set():
                await self._create(claim)

    async def _create(self, claim: str) -> None:
        """Send one create until it is answered; where only this one fares badly, leave it for a later round."""
        delay = _FIRST_RETRY
        while not self._stopping.is_set():
            record = await self._attempts.get(claim)
            if record is None or not await self._still_wanted(record):
                self._uncreated.pop(claim, None)
                self._settled(claim)
                return
            result = await self._post(record)
            if not isinstance(result, CreateUnknown):
                self._uncreated.pop(claim, None)
                self._settled(claim)
                return
            wait = result.retry_after or delay
            delay = min(delay * 2, _LAST_RETRY)
            if not result.everywhere:
                self._uncreated[claim] = asyncio.get_running_loop().time() + wait
                return
            await self._pause(wait)

    async def _still_wanted(self, record: AttemptRecord) -> bool:
        """Whether the attempt is still to be created; if it is too old to be sure that it never was, it is lost."""
        if record.phase is not Phase.CLAIMED or record.stop_cause or record.cancel_requested_at:
            return False
        if self._clock() < record.claimed_at + timedelta(seconds=self._rules.ttl / 2):
            return True
        now = self._clock()
        outcome = verdict.vanished(record, Observation(current=False), deletion_seen=False)
        # It may have been created, run and been cleaned away by Kubernetes: nothing is known of a log (invariant 6).
        changes = AttemptChanges(
            phase=Phase.OVER,
            over_at=now,
            outcome=outcome,
            log_state=LogState.INCOMPLETE,
            log_problem="whether it ran is not known, and its pod is gone",
        )
        await self._attempts.note(record, changes)
        return False

    async def _post(self, record: AttemptRecord) -> Created | CreateRefused | CreateUnknown:
        memo = self._attempts.memo(record.claim)
        posted_before = memo.posted_at is not None
        memo.posting = True
        try:
            result = await self._cluster.create(ref_of(record), record.spec)
        finally:
            memo.posting = False
            memo.posted_at = self._clock()
        if isinstance(result, Created):
            memo.made_at = self._clock()
        now_known = await self._attempts.get(record.claim)
        if now_known is None or now_known.phase is not Phase.CLAIMED:
            return result  # the watch was faster than the answer
        if isinstance(result, Created):
            changes = AttemptChanges(phase=Phase.CREATED, uid=result.uid, reason=None, message=None)
            await self._attempts.note(record, changes)
        elif isinstance(result, CreateRefused):
            await self._attempts.note(record, self._refused(result, posted_before=posted_before))
        else:
            await self._say_why(record, result)
        return result

    def _refused(self, result: CreateRefused, *, posted_before: bool) -> AttemptChanges:
        """It ends at once, unless an earlier create was not answered: that one may have made a Job, or still make it, so
        the attempt is stopped, which does not end before the cluster has been asked."""
        if posted_before:
            return AttemptChanges(
                stop_cause=StopCause.CANNOT_START,
                stop_reason=result.reason,
                stop_message=result.message,
                stop_at=self._clock(),
            )
        outcome = verdict.refused(result.reason, result.message)
        return AttemptChanges(phase=Phase.OVER, over_at=self._clock(), outcome=outcome, log_state=LogState.COMPLETE)

    async def _say_why(self, record: AttemptRecord, result: CreateUnknown) -> None:
        """A create that is not answered as it should be: the job shows why it waits."""
        self._attempts.memo(record.claim).refused = not result.everywhere
        reason = result.reason or Reason.CLUSTER_UNREACHABLE
        if (record.reason, record.message) != (reason, result.message):  # said once, not at every try
            log.warning("create not answered, asking again", job=record.job_id, problem=result.message)
            await self._attempts.note(record, AttemptChanges(reason=reason, message=result.message))
            self._settled(record.claim)

    async def _pause(self, seconds: float) -> None:
        """The API is away: hold everything back, so that the order is kept."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _next_round_in(self, due: datetime | None) -> float | None:
        """Seconds until a create is to be sent again or a queued job, at ``due``, may be claimed."""
        loop = asyncio.get_running_loop()
        waits = [when - loop.time() for when in self._uncreated.values()]
        if due is not None:
            waits.append((due - self._clock()).total_seconds())
        return max(0.05, min(waits)) if waits else None
