"""A job and its attempts as users see them, and the events that tell of its changes. Every key is always there."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from spark_jobs.domain.errors import SparkError
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState


class Activity(enum.StrEnum):
    """What is going on while a job is not over."""

    QUEUED = "queued"
    BACKOFF = "backoff"
    CREATING = "creating"
    SCHEDULING = "scheduling"
    PULLING = "pulling"
    RUNNING = "running"
    STOPPING = "stopping"
    COLLECTING = "collecting"


class LogState(enum.StrEnum):
    """What is known about an attempt's stored log (invariant 6)."""

    COLLECTING = "collecting"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNVERIFIED = "unverified"


class LogSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How much of an attempt's log is stored, and whether that is all; ``problem`` is the place and the cause if not.
    ``archived`` is where the log sink has it, and may have it for longer."""

    bytes: int = 0
    lines: int = 0
    state: LogState = LogState.COLLECTING
    complete: bool = False
    problem: str | None = None
    archived: str | None = None


class PodEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster noted about an attempt's pod, in its own words, ``count`` times, at ``time`` last."""

    time: datetime | None = None
    type: str = "Normal"
    reason: str | None = None
    message: str | None = None
    count: int = 1


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """How long an attempt was in each stretch of its way, in seconds; null for one that it did not reach or is still in.
    The last one before the end is over with it: an image that never came was pulled for as long as it was waited for.

    ``queued``: until it got its slot. ``starting``: until its pod had a node. ``pulling``: until its container ran.
    ``running``: until the container ended. ``collecting``: until its log was settled.
    """

    queued: float | None = None
    starting: float | None = None
    pulling: float | None = None
    running: float | None = None
    collecting: float | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job: one Kubernetes Job, one pod, one log. ``events``: the last ones of its pod, where it had to wait
    or failed."""

    attempt: int
    state: JobState
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    result: str | None = None
    cluster: str
    namespace: str | None = None
    kubernetes_job: str | None = None
    pod: str | None = None
    node: str | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    timings: Timings = Timings()
    events: list[PodEvent] = []
    log: LogSummary = LogSummary()


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a user submitted and what became of it."""

    id: str
    state: JobState
    reason: str | None = None
    message: str | None = None
    hint: str | None = None
    exit_code: int | None = None
    result: str | None = None
    activity: Activity | None = None
    position: int | None = None
    estimated_start_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    retry_of: str | None = None
    not_before: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    spec: JobSpec
    attempts: list[Attempt] = []


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a job's state. ``seq`` grows by the order of commits; ``source`` is null for a new job.

    On the wire ``source`` and ``target`` are called ``from`` and ``to``; the job carries no env and no attempts.
    """

    seq: int
    time: datetime
    job_id: str
    attempt: int | None
    source: JobState | None = msgspec.field(name="from")
    target: JobState = msgspec.field(name="to")
    reason: str | None
    job: Job
    type: str = "job.state"


class JobFailed(SparkError):
    """The job ended, and not as SUCCEEDED. ``job`` is the whole job."""

    code = "job_failed"

    def __init__(self, job: Job) -> None:
        text = f"job {job.id} {job.state}" + (f" ({job.reason})" if job.reason else "")
        super().__init__(text + (f": {job.message}" if job.message else ""))
        self.job = job


class JobTimedOut(JobFailed):
    """The job ran into its time limit."""

    code = "job_timed_out"


class JobCancelled(JobFailed):
    """The job was cancelled."""

    code = "job_cancelled"


def succeeded(job: Job) -> Job:
    """The job, which is over, if it succeeded. Raises JobFailed, JobTimedOut or JobCancelled."""
    if job.state is JobState.SUCCEEDED:
        return job
    raise {JobState.TIMED_OUT: JobTimedOut, JobState.CANCELLED: JobCancelled}.get(job.state, JobFailed)(job)
