"""When a job gets another attempt by itself, and when one that waits is expected to start.

The estimate is a simple model, and nothing more: every job holds its slot for the median of how long the latest attempts
held theirs. An attempt that holds one now is expected to give it back after the median of those that held theirs longer
than it has so far; where none did, nothing is known of that slot. Slots go to the jobs in their order. What the jobs are,
and what will be submitted, cancelled or tried again meanwhile, is not looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import msgspec

from spark_jobs.domain.attempt import AttemptRecord, Outcome
from spark_jobs.domain.reasons import is_programs_own
from spark_jobs.domain.spec import JobSpec, grace_seconds
from spark_jobs.domain.state import JobState
from spark_jobs.domain.times import format_time

DEFAULT_BACKOFF = 10.0
LONGEST_BACKOFF = 3600.0
_MICROSECOND = timedelta(microseconds=1)
_FARTHEST = timedelta(days=365)


def next_attempt_at(record: AttemptRecord, outcome: Outcome, now: datetime, *, jitter: float) -> datetime | None:
    """When the next attempt may start after this one has ended so; null if this end is the job's end.

    Only FAILED is tried again, and with ``retry_on`` only for the reasons and exit codes that it lists. Failures of the
    program and losses to the cluster are counted apart: each kind is tried again at most ``retries`` times, and the wait
    doubles with each of its kind, from ``backoff`` seconds up to an hour; ``jitter`` (0 to 1) spreads it over its last
    half. There is never a second container while the first may still run.
    """
    spec = record.spec
    failures = record.attempt - record.losses if is_programs_own(outcome.reason) else record.losses + 1
    if outcome.state is not JobState.FAILED or outcome.may_still_run or record.cancel_requested_at is not None:
        return None
    if failures > (spec.retries or 0) or not _wanted(spec, outcome):
        return None
    base = DEFAULT_BACKOFF if spec.backoff is None else spec.backoff
    wait = min(LONGEST_BACKOFF, base * 2.0 ** min(failures - 1, 20)) * (0.5 + jitter / 2)
    return now + timedelta(seconds=max(wait, _time_to_end(record)))


def _time_to_end(record: AttemptRecord) -> float:
    """Seconds for which a container may go on whose pod was taken away without a word of its end."""
    ran_unseen = record.running_at is not None and record.finished_at is None
    return grace_seconds(record.spec) if ran_unseen else 0.0


def _wanted(spec: JobSpec, outcome: Outcome) -> bool:
    if spec.retry_on is None:
        return True
    return outcome.reason in spec.retry_on or f"exit:{outcome.exit_code}" in spec.retry_on


class SlotUse(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the slots: since when those in use are held, and how long the latest attempts held theirs."""

    held_since: Sequence[datetime] = ()
    holds: Sequence[timedelta] = ()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job stands in the queue.

    ``ahead``: jobs that may start now and come first in the order. ``not_before``: until then it waits for its next
    attempt, null if it does not; ``overtaking``: jobs that may start meanwhile, though it comes first in the order.
    """

    ahead: int
    overtaking: int = 0
    not_before: datetime | None = None


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A job that waits, and its place."""

    id: str
    name: str | None
    priority: int
    created_at: datetime
    place: Place


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A job that waits, as the queue shows it; ``why`` is for people."""

    id: str
    name: str | None
    priority: int
    position: int
    created_at: datetime
    not_before: datetime | None
    estimated_start_at: datetime | None
    why: str


class Turns(msgspec.Struct, frozen=True):
    """The moments at which slots are expected to come free, counted in microseconds from ``now``: each of ``free``, which
    is sorted and not empty, and after every ``hold`` again."""

    now: datetime
    free: Sequence[int]
    hold: int

    def start_of(self, place: Place) -> datetime | None:
        """When a job at this place is expected to start, never before ``now``; null if that is too far off to say."""
        ahead, earliest = place.ahead, 0
        if place.not_before is not None and place.not_before > self.now:
            earliest = (place.not_before - self.now) // _MICROSECOND
            ahead = min(max(ahead, self._count(earliest - 1)), ahead + place.overtaking)
        start = max(earliest, self._turn(ahead + 1))
        return self.now + start * _MICROSECOND if start <= _FARTHEST // _MICROSECOND else None

    def _count(self, until: int) -> int:
        """How many turns there are up to a moment."""
        return sum((until - first) // self.hold + 1 for first in self.free[: bisect_right(self.free, until)])

    def _turn(self, number: int) -> int:
        """The moment of a turn, from 1, found by halving: the same work for the next job and for the ten thousandth."""
        latest = self.free[0] + (number - 1) * self.hold
        if number <= len(self.free):
            latest = min(latest, self.free[number - 1])
        return bisect_left(range(latest), number, lo=self.free[0], key=self._count)


def expected_turns(use: SlotUse, *, slots: int, now: datetime) -> Turns | None:
    """When ``slots`` slots come free; null where nothing is known of that: no attempt has ended yet, or those that hold
    all of them have held theirs longer than any before."""
    holds = sorted(hold // _MICROSECOND for hold in use.holds)
    if not holds:
        return None
    ends = [_left(holds, (now - since) // _MICROSECOND) for since in use.held_since]
    known = sorted(end for end in ends if end is not None)
    in_use = len(ends)
    # Where more are in use than there are now, the first to end make no room.
    free = known[in_use - slots :] if in_use > slots else [0] * (slots - in_use) + known
    return Turns(now=now, free=free, hold=max(1, _median(holds))) if free else None


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What is known at one moment of when jobs will start. ``away_since``: since when the cluster does not answer, null
    while it does."""

    now: datetime
    slots: int
    use: SlotUse
    paused: bool
    away_since: datetime | None = None

    @cached_property
    def _turns(self) -> Turns | None:
        given_out = not self.paused and self.away_since is None
        return expected_turns(self.use, slots=self.slots, now=self.now) if given_out else None

    def start_of(self, place: Place) -> datetime | None:
        """When a job at this place is expected to start; null where that can't be known."""
        return None if self._turns is None else self._turns.start_of(place)

    def why(self, place: Place) -> str:
        """Why a job at this place does not run yet, for people."""
        in_use = len(self.use.held_since)
        if self.paused:
            return "the queue is paused"
        if place.not_before is not None:
            return f"waits for its next attempt until {_to_the_second(place.not_before)}"
        if self.away_since is not None:
            return f"the cluster has not answered since {_to_the_second(self.away_since)}"
        if in_use >= self.slots:
            return "the only slot is in use" if self.slots == 1 else f"all {self.slots} slots are in use"
        return "will start at once" if place.ahead < self.slots - in_use else "the free slots go to jobs before it"

    def of(self, queued: Queued, position: int) -> Waiting:
        """A job that waits, with all of this."""
        return Waiting(
            id=queued.id,
            name=queued.name,
            priority=queued.priority,
            position=position,
            created_at=queued.created_at,
            not_before=queued.place.not_before,
            estimated_start_at=self.start_of(queued.place),
            why=self.why(queued.place),
        )


def _to_the_second(time: datetime) -> str:
    return format_time(time.replace(microsecond=0))


def _left(holds: Sequence[int], so_far: int) -> int | None:
    """How much longer a slot that was held so far is expected to be held."""
    longer = holds[bisect_right(holds, so_far) :]
    return _median(longer) - so_far if longer else None


def _median(ordered: Sequence[int]) -> int:
    """The middle one; of two, the smaller."""
    return ordered[(len(ordered) - 1) // 2]
