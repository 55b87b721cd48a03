"""An attempt as the engine remembers it: the durable row behind every decision, and what may be written to it."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import NamedTuple

import msgspec

from spark_jobs.domain.job import Activity, LogState, PodEvent
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import Cause, JobState


class Phase(enum.StrEnum):
    """How far the engine is with an attempt. A slot is held in every phase before OVER (invariant 2)."""

    CLAIMED = "CLAIMED"  # committed; a Kubernetes Job may or may not exist
    CREATED = "CREATED"  # the Job exists, its uid is known
    RUNNING = "RUNNING"  # its container was seen running
    STOPPING = "STOPPING"  # a wish to stop it is recorded
    OVER = "OVER"  # its pod was seen over, or is known to be gone; the slot is free
    CLOSED = "CLOSED"  # its log is settled and its objects are gone


class StopCause(enum.StrEnum):
    """Why the engine stops an attempt. The first one committed counts."""

    CANCEL = "cancel"
    TIME_LIMIT = "time limit"
    START_LIMIT = "start limit"
    CANNOT_START = "cannot start"  # a bad image name, a missing secret: waiting will not help
    NODE_LOST = "node lost"


class AttemptKey(NamedTuple):
    """Which attempt."""

    job_id: str
    attempt: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended. ``may_still_run``: its node never said that the container is over."""

    state: JobState
    cause: Cause
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    result: str | None = None
    may_still_run: bool = False


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the engine's memory, with the job's facts that decisions need. All times are UTC.

    ``uid`` is the Job's, ``released`` the one pod's that was let go.
    ``running_at`` is our own clock at the first sight of Running; ``started_at`` and ``finished_at`` are the cluster's.
    ``state`` is the attempt's own: the job's while it is under way, its end once it has one (a retry does not touch it).
    ``stop_message`` is the cluster's word at the moment the stop was decided (why it could not be scheduled, say).
    ``placed_at``, ``over_at``, ``settled_at`` are our clock's: its pod has a node, is over, its log is settled.
    ``outcome`` may be known before the pod is over: the container has ended, another one of the pod has not.
    ``losses``: how many of the job's earlier attempts the cluster took, by no fault of the program.
    ``archive_due_at``: since when its log waits to be sent to the sink; null where it does not.
    """

    job_id: str
    attempt: int
    phase: Phase
    claim: str
    cluster: str
    namespace: str
    kubernetes_name: str
    spec: JobSpec
    claimed_at: datetime
    uid: str | None = None
    released: str | None = None
    placed_at: datetime | None = None
    running_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    stop_cause: StopCause | None = None
    stop_reason: str | None = None
    stop_message: str | None = None
    stop_at: datetime | None = None
    over_at: datetime | None = None
    closed_at: datetime | None = None
    outcome: Outcome | None = None
    pod: str | None = None
    node: str | None = None
    activity: Activity = Activity.CREATING
    reason: str | None = None
    message: str | None = None
    log_state: LogState = LogState.COLLECTING
    log_problem: str | None = None
    log_bytes: int = 0
    log_lines: int = 0
    settled_at: datetime | None = None
    losses: int = 0
    events: list[PodEvent] = []
    archive_due_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    state: JobState = JobState.STARTING

    @property
    def key(self) -> AttemptKey:
        """Which attempt this is."""
        return AttemptKey(self.job_id, self.attempt)


class AttemptChanges(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to write to an attempt's row; UNSET leaves a column as it is."""

    phase: Phase | msgspec.UnsetType = msgspec.UNSET
    uid: str | msgspec.UnsetType = msgspec.UNSET
    released: str | msgspec.UnsetType = msgspec.UNSET
    placed_at: datetime | None | msgspec.UnsetType = msgspec.UNSET
    running_at: datetime | msgspec.UnsetType = msgspec.UNSET
    started_at: datetime | None | msgspec.UnsetType = msgspec.UNSET
    finished_at: datetime | None | msgspec.UnsetType = msgspec.UNSET
    stop_cause: StopCause | msgspec.UnsetType = msgspec.UNSET
    stop_reason: str | None | msgspec.UnsetType = msgspec.UNSET
    stop_message: str | None | msgspec.UnsetType = msgspec.UNSET
    stop_at: datetime | msgspec.UnsetType = msgspec.UNSET
    over_at: datetime | msgspec.UnsetType = msgspec.UNSET
    closed_at: datetime | msgspec.UnsetType = msgspec.UNSET
    outcome: Outcome | msgspec.UnsetType = msgspec.UNSET
    pod: str | None | msgspec.UnsetType = msgspec.UNSET
    node: str | None | msgspec.UnsetType = msgspec.UNSET
    activity: Activity | msgspec.UnsetType = msgspec.UNSET
    reason: str | None | msgspec.UnsetType = msgspec.UNSET
    message: str | None | msgspec.UnsetType = msgspec.UNSET
    log_state: LogState | msgspec.UnsetType = msgspec.UNSET
    log_problem: str | None | msgspec.UnsetType = msgspec.UNSET
    log_bytes: int | msgspec.UnsetType = msgspec.UNSET
    log_lines: int | msgspec.UnsetType = msgspec.UNSET
    settled_at: datetime | msgspec.UnsetType = msgspec.UNSET
    events: list[PodEvent] | msgspec.UnsetType = msgspec.UNSET
    archive_due_at: datetime | msgspec.UnsetType = msgspec.UNSET


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a job's state: the only thing that changes one. ``attempt`` is null for a job that had none yet.

    ``changes`` are written to the attempt's row in the same transaction. ``outcome`` goes with a terminal target;
    ``not_before`` with a retry.
    """

    job_id: str
    attempt: int | None
    cause: Cause
    target: JobState
    at: datetime
    outcome: Outcome | None = None
    changes: AttemptChanges | None = None
    not_before: datetime | None = None
