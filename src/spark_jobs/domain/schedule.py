"""When a job gets another attempt by itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from spark_jobs.domain.attempt import Outcome
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState

DEFAULT_BACKOFF = 10.0
LONGEST_BACKOFF = 3600.0


def next_attempt_at(spec: JobSpec, attempts: int, outcome: Outcome, now: datetime, *, jitter: float) -> datetime | None:
    """When the next attempt may start, after ``attempts`` so far; null if this end is the job's end.

    Only FAILED is tried again, at most ``retries`` times, and with ``retry_on`` only for the reasons and exit codes that
    it lists. The wait doubles from ``backoff`` seconds on, up to an hour; ``jitter`` (0 to 1) spreads it over its last
    half.
    """
    if outcome.state is not JobState.FAILED or attempts > (spec.retries or 0) or not _wanted(spec, outcome):
        return None
    base = DEFAULT_BACKOFF if spec.backoff is None else spec.backoff
    wait = min(LONGEST_BACKOFF, base * 2.0 ** min(attempts - 1, 20))
    return now + timedelta(seconds=wait * (0.5 + jitter / 2))


def _wanted(spec: JobSpec, outcome: Outcome) -> bool:
    if spec.retry_on is None:
        return True
    return outcome.reason in spec.retry_on or f"exit:{outcome.exit_code}" in spec.retry_on
