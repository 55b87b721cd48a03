"""Records and observations to decide about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from spark_jobs.cluster.base import JobSeen, Observation, PodSeen, Running, Terminated, Waiting
from spark_jobs.domain.attempt import AttemptRecord, Phase
from spark_jobs.domain.spec import JobSpec

T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SPEC = JobSpec(image="busybox:1", command=["true"], timeout=300.0, start_timeout=600.0, termination_grace=30.0)
JOB = JobSeen(uid="u1")


def after(seconds: float) -> datetime:
    """So long after the claim."""
    return T0 + timedelta(seconds=seconds)


def record(phase: Phase = Phase.CREATED, **changes: object) -> AttemptRecord:
    """An attempt claimed at T0, with what is given."""
    made = AttemptRecord(
        job_id="job-1",
        attempt=1,
        phase=phase,
        claim="c" * 32,
        cluster="fake",
        namespace="default",
        kubernetes_name="spark-aaaaaaaaaaaa-1",
        spec=SPEC,
        claimed_at=T0,
        uid=None if phase is Phase.CLAIMED else "u1",
    )
    return msgspec.structs.replace(made, **changes)


def pod(container: Waiting | Running | Terminated, *, over: bool = False, **changes: object) -> PodSeen:
    """A scheduled pod with this container."""
    made = PodSeen(name="pod-1", uid="p1", over=over, scheduled=True, node="n1", container=container)
    return msgspec.structs.replace(made, **changes)


def shows(pod_seen: PodSeen | None, *, current: bool = True, job: JobSeen | None = JOB) -> Observation:
    """An observation of this pod."""
    return Observation(current=current, job=job, pod=pod_seen)


def ended(code: int, **changes: object) -> Terminated:
    """A container that ended 20 s after the claim."""
    made = Terminated(exit_code=code, started_at=after(2), finished_at=after(20))
    return msgspec.structs.replace(made, **changes)
