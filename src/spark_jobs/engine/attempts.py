"""The attempts that are not CLOSED, in memory as they are in the store: every write goes through here, so the two agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from spark_jobs.cluster.base import AttemptRef
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord, Outcome, Phase, Transition
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.state import Cause, JobState
from spark_jobs.engine.steps import Memo
from spark_jobs.store.base import EngineStore


def ref_of(record: AttemptRecord) -> AttemptRef:
    """How the cluster calls this attempt."""
    return AttemptRef(
        job_id=record.job_id,
        attempt=record.attempt,
        claim=record.claim,
        namespace=record.namespace,
        name=record.kubernetes_name,
        uid=record.uid,
        released=record.released,
        pod=record.pod,
    )


class Attempts:
    """Records by claim, with what this process remembers about each."""

    def __init__(self, store: EngineStore) -> None:
        self._store = store
        self._records: dict[str, AttemptRecord] = {}
        self._memos: dict[str, Memo] = {}
        self._claims: dict[str, set[str]] = {}
        self._stale: set[str] = set()

    async def load(self, now: datetime) -> list[AttemptRecord]:
        """Read every open attempt. One without a uid may have been posted the instant before the last process died."""
        records = await self._store.open_attempts()
        for record in records:
            self.add(record)
            if record.phase is Phase.CLAIMED:
                self._memos[record.claim].posted_at = now
        return records

    def add(self, record: AttemptRecord) -> None:
        """A new attempt."""
        self._records[record.claim] = record
        self._memos[record.claim] = Memo()
        self._claims.setdefault(record.job_id, set()).add(record.claim)

    def known(self, claim: str) -> bool:
        """Whether this claim is one of the open attempts'."""
        return claim in self._records

    def memo(self, claim: str) -> Memo:
        """What this process remembers about it."""
        return self._memos[claim]

    def __iter__(self) -> Iterator[AttemptRecord]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def wished(self, job_id: str) -> list[str]:
        """A wish was recorded for this job: the claims whose records are to be read again."""
        claims = sorted(self._claims.get(job_id, ()))
        self._stale.update(claims)
        return claims

    async def get(self, claim: str) -> AttemptRecord | None:
        """The record as the store has it; null once CLOSED."""
        record = self._records.get(claim)
        if record is not None and claim in self._stale:
            self._stale.discard(claim)
            record = self._keep(await self._store.attempt(record.key))
        return record

    async def reread(self, record: AttemptRecord) -> AttemptRecord:
        """As the store has it by now: a database of logs that was begun anew notes there what it lacks."""
        return self._keep(await self._store.attempt(record.key))

    async def note(self, record: AttemptRecord, changes: AttemptChanges) -> AttemptRecord:
        """Write facts about it."""
        return self._keep(await self._store.note(record.key, changes))

    async def apply(self, transition: Transition) -> AttemptRecord:
        """Change the job's state, and the attempt's."""
        record = await self._store.apply(transition)
        assert record is not None, "an attempt's transition names its attempt"
        return self._keep(record)

    async def cancel_queued(self, job_id: str, now: datetime) -> None:
        """End a job that waits for its next attempt."""
        outcome = Outcome(state=JobState.CANCELLED, cause=Cause.CANCELLED_IN_QUEUE, reason=Reason.CANCELLED)
        await self._store.apply(
            Transition(job_id=job_id, attempt=None, cause=outcome.cause, target=outcome.state, at=now, outcome=outcome)
        )

    def _keep(self, record: AttemptRecord) -> AttemptRecord:
        if record.phase is Phase.CLOSED:
            self._records.pop(record.claim, None)
            self._memos.pop(record.claim, None)
            self._stale.discard(record.claim)
            claims = self._claims.get(record.job_id)
            if claims is not None:
                claims.discard(record.claim)
                if not claims:
                    del self._claims[record.job_id]
        else:
            self._records[record.claim] = record
        return record
