"""What is said at the end of a job, and with which exit code."""

from __future__ import annotations

from spark_jobs.cli.failures import FAILED, INTERRUPTED, TIMED_OUT
from spark_jobs.cli.text import span
from spark_jobs.domain.job import Job, LogState
from spark_jobs.domain.state import JobState

# Reasons that say it all; the message and the hint of the others say what to do.
_PLAIN_REASONS = frozenset({"NonZeroExit", "Cancelled", "DeadlineExceeded"})


def exit_code_of(job: Job) -> int:
    """The exit code for a job that is over: 0 only for one that succeeded."""
    if job.state is JobState.SUCCEEDED:
        return 0
    if job.state is JobState.TIMED_OUT:
        return TIMED_OUT
    if job.state is JobState.CANCELLED:
        return INTERRUPTED
    return job.exit_code or FAILED


def summary(job: Job) -> list[str]:
    """The line about the end, and more where there is more to know."""
    parts = [f"{job.id} {job.state}" + (f" ({job.reason})" if job.reason else "")]
    if job.exit_code is not None:
        parts.append(f"exit code {job.exit_code}")
    if job.finished_at is not None:
        parts.append(span((job.finished_at - (job.started_at or job.created_at)).total_seconds()))
    lines = [", ".join(parts)]
    if job.state is not JobState.SUCCEEDED and job.reason not in _PLAIN_REASONS:
        lines += [text for text in (job.message, job.hint) if text]
    lines += log_problems(job)
    return lines


def log_problems(job: Job) -> list[str]:
    """A line for each attempt whose log is known not to be whole, or not known to be."""
    return [
        f"the log of attempt {attempt.attempt} is {attempt.log.state}: {attempt.log.problem or 'no cause is known'}"
        for attempt in job.attempts
        if attempt.log.state in {LogState.INCOMPLETE, LogState.UNVERIFIED}
    ]
