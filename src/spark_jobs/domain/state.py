"""The states of a job, and the one table of the changes between them.

Nothing else in Spark decides whether a state may change: the store asks :func:`check` in the transaction that writes.
The diagram in the documentation is drawn from the same table by :func:`mermaid`.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from spark_jobs.domain.errors import IllegalTransition


class JobState(enum.StrEnum):
    """Where a job is. The last four are ends: they never change again (invariant 5)."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """True for an end."""
        return self in TERMINAL


TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED})
ACTIVE = frozenset(JobState) - TERMINAL


class Cause(enum.StrEnum):
    """Why a state changes: something the cluster showed, or a recorded wish that has been carried out."""

    CLAIMED = "claimed"  # the queue gave the job a slot
    CANCELLED_IN_QUEUE = "cancelled in queue"
    QUEUE_LIMIT = "queue limit"
    CONTAINER_RUNNING = "container running"
    CONTAINER_ENDED = "container ended"  # by itself
    NOT_STARTED = "not started"  # refused, never startable, or over the start limit; no container ran
    CANCELLED = "cancelled"  # a cancel wish that was carried out
    TIME_LIMIT = "time limit"  # a time limit that was carried out
    LOST = "lost"  # the attempt's objects, or its node, are gone
    RETRY = "retry"  # the attempt is over, and the job asked for another one


class Rule(NamedTuple):
    """One allowed change."""

    source: JobState
    cause: Cause
    target: JobState


_STARTED = (JobState.STARTING, JobState.RUNNING)

TABLE: tuple[Rule, ...] = (
    Rule(JobState.QUEUED, Cause.CLAIMED, JobState.STARTING),
    Rule(JobState.QUEUED, Cause.CANCELLED_IN_QUEUE, JobState.CANCELLED),
    Rule(JobState.QUEUED, Cause.QUEUE_LIMIT, JobState.FAILED),
    Rule(JobState.STARTING, Cause.CONTAINER_RUNNING, JobState.RUNNING),
    Rule(JobState.STARTING, Cause.NOT_STARTED, JobState.FAILED),
    *(Rule(state, Cause.CONTAINER_ENDED, JobState.SUCCEEDED) for state in _STARTED),
    *(Rule(state, Cause.CONTAINER_ENDED, JobState.FAILED) for state in _STARTED),
    *(Rule(state, Cause.CANCELLED, JobState.CANCELLED) for state in _STARTED),
    *(Rule(state, Cause.TIME_LIMIT, JobState.TIMED_OUT) for state in _STARTED),
    *(Rule(state, Cause.LOST, JobState.FAILED) for state in _STARTED),
    *(Rule(state, Cause.RETRY, JobState.QUEUED) for state in _STARTED),
)

_ALLOWED = frozenset(TABLE)


def check(source: JobState, cause: Cause, target: JobState) -> None:
    """Return if the table allows this change.

    Raises:
        IllegalTransition: it does not.
    """
    if Rule(source, cause, target) not in _ALLOWED:
        raise IllegalTransition(f"{source} can't become {target} ({cause}): the state table has no such row")


def mermaid() -> str:
    """The table as a Mermaid state diagram, one arrow for each pair of states, labelled with the causes."""
    arrows: dict[tuple[JobState, JobState], list[str]] = {}
    for rule in TABLE:
        arrows.setdefault((rule.source, rule.target), []).append(rule.cause)
    lines = ["stateDiagram-v2", f"    [*] --> {JobState.QUEUED}: submitted"]
    lines += [f"    {source} --> {target}: {', '.join(causes)}" for (source, target), causes in arrows.items()]
    lines += [f"    {state} --> [*]" for state in JobState if state.is_terminal]
    return "\n".join(lines)
