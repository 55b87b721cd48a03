"""From a Kubernetes Job, Pod and Event to what is shown of an attempt: pure, and the only place that reads them.

Only the fields that are needed are decoded; the rest of an object is skipped, however large or odd it is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import JobSeen, PodSeen, Refusal, Running, Terminated, Waiting
from spark_jobs.domain.reasons import Reason

_FIRST_REAL_YEAR = 1971
_SIGNAL_BASE = 128
_LAST_SIGNAL = 64


_UNKNOWN = "ContainerStatusUnknown"
"""What the kubelet puts where it does not know: with exit code 137, which is a guess, also for one that never started."""


class Marks(msgspec.Struct, frozen=True):
    """The one annotation that is read."""

    claim: str | None = msgspec.field(default=None, name=marks.CLAIM)


class Owner(msgspec.Struct, frozen=True):
    """With what an object goes."""

    uid: str | None = None


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What is needed of an object's metadata."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: float | None = None
    annotations: Marks | None = None
    owner_references: list[Owner] | None = None

    @property
    def claim(self) -> str:
        """The claim that the object carries; empty if it has none."""
        return (self.annotations.claim if self.annotations else None) or ""


class Condition(msgspec.Struct, frozen=True):
    """One condition of a Job, Pod or Node."""

    type: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None

    @property
    def holds(self) -> bool:
        """Whether it is true now."""
        return self.status == "True"


class JobStatus(msgspec.Struct, frozen=True):
    """What is needed of a Job's status."""

    conditions: list[Condition] | None = None


class JobObject(msgspec.Struct, frozen=True):
    """A Job as it comes from the API."""

    metadata: Metadata = Metadata()
    status: JobStatus | None = None

    def seen(self) -> JobSeen:
        """As the contract shows it."""
        conditions = (self.status.conditions if self.status else None) or []
        # The first is said before the pods are taken away, the second once they are gone.
        failed = _holding(conditions, "FailureTarget") or _holding(conditions, "Failed")
        return JobSeen(
            uid=self.metadata.uid or "",
            deleted=self.metadata.deletion_timestamp is not None,
            failed=(failed.reason or "Failed") if failed else None,
            complete=_holding(conditions, "Complete") is not None,
        )


class ContainerWaiting(msgspec.Struct, frozen=True):
    """A container that has not started."""

    reason: str | None = None
    message: str | None = None


class ContainerRunning(msgspec.Struct, frozen=True, rename="camel"):
    """A container that runs."""

    started_at: datetime | None = None


class ContainerTerminated(msgspec.Struct, frozen=True, rename="camel"):
    """A container that ended."""

    exit_code: int = 0
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(msgspec.Struct, frozen=True):
    """At most one of the three is there."""

    waiting: ContainerWaiting | None = None
    running: ContainerRunning | None = None
    terminated: ContainerTerminated | None = None


class ContainerStatus(msgspec.Struct, frozen=True):
    """One container of a pod."""

    name: str | None = None
    state: ContainerState | None = None


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What is needed of a pod's status."""

    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Gate(msgspec.Struct, frozen=True):
    """What keeps a pod from being placed."""

    name: str | None = None


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What is needed of a pod's spec."""

    node_name: str | None = None
    scheduling_gates: list[Gate] | None = None

    @property
    def gates(self) -> set[str | None]:
        """The names of what keeps the pod from being placed."""
        return {gate.name for gate in self.scheduling_gates or []}


class PodObject(msgspec.Struct, frozen=True):
    """A pod as it comes from the API."""

    metadata: Metadata = Metadata()
    spec: PodSpec | None = None
    status: PodStatus | None = None

    @property
    def over(self) -> bool:
        """Whether no container of it runs or will."""
        return self.status is not None and self.status.phase in ("Succeeded", "Failed")

    @property
    def held(self) -> bool:
        """Whether our own gate keeps it from being placed."""
        return self.spec is not None and marks.GATE in self.spec.gates

    def seen(self) -> PodSeen:
        """As the contract shows it, with its node taken to be ready."""
        status = self.status or PodStatus()
        conditions = status.conditions or []
        disruption = _holding(conditions, "DisruptionTarget")
        scheduled = next((each for each in conditions if each.type == "PodScheduled"), Condition())
        spec = self.spec or PodSpec()
        # Only our gate keeps it: that is no news. What others have put there is told in the cluster's words.
        kept = scheduled.status == "False" and spec.gates != {marks.GATE}
        return PodSeen(
            name=self.metadata.name or "",
            uid=self.metadata.uid or "",
            over=self.over,
            held=self.held,
            node=spec.node_name,
            deleted_at=self.metadata.deletion_timestamp,
            deletion_grace=self.metadata.deletion_grace_period_seconds,
            init_failed=_init_failure(status),
            reason=status.reason,
            message=(status.message or "").strip() or None,  # of an eviction it ends with a blank
            disruption=(disruption.reason or "DisruptionTarget") if disruption else None,
            unschedulable=said_once(scheduled.message or scheduled.reason) if kept else None,
            scheduled=scheduled.holds or bool(spec.node_name),
            container=_container(status),
        )


class Involved(msgspec.Struct, frozen=True):
    """What an event is about."""

    uid: str | None = None


class EventSeries(msgspec.Struct, frozen=True, rename="camel"):
    """How often an event was seen, as newer reporters say it."""

    count: int = 1
    last_observed_time: datetime | None = None


class EventObject(msgspec.Struct, frozen=True, rename="camel"):
    """An event as it comes from the API."""

    metadata: Metadata = Metadata()
    involved_object: Involved = Involved()
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    count: int | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: EventSeries | None = None

    @property
    def at(self) -> datetime | None:
        """When it was seen last."""
        series = self.series.last_observed_time if self.series else None
        return series or self.last_timestamp or self.event_time or self.metadata.creation_timestamp


class ListMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """Where a list stands, and how it goes on."""

    resource_version: str | None = None
    next_page: str | None = msgspec.field(default=None, name="continue")


T = TypeVar("T")


class ObjectList(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    metadata: ListMetadata = ListMetadata()
    items: list[T] | None = None


def refusal_of(message: str) -> Refusal:
    """Why the Job controller can't make the pod, from its FailedCreate event or from the answer to a create."""
    return Refusal(reason=Reason.QUOTA_EXCEEDED if is_quota(message) else Reason.ADMISSION_DENIED, message=message)


def is_quota(message: str) -> bool:
    """Whether a refusal is a matter of quota, which may pass."""
    return "exceeded quota" in message


def said_once(message: str | None) -> str | None:
    """The scheduler's words without their end where that says once more what is said before: behind why no node takes a
    pod it puts why making room is of no use, which may be the same."""
    before, _, end = (message or "").rpartition(". ")
    return f"{before}." if end and before.endswith(f" {end.removesuffix('.')}") else message


def choose_pod(pods: list[PodObject], released: str | None) -> PodObject | None:
    """The pod to show where an attempt has several: one that may still run before one that is over, then the newest.

    Once the one with the uid ``released`` was let go, no other that is held will ever be, so there is none to show.
    """
    may_run = [pod for pod in pods if not pod.held or released in (None, pod.metadata.uid)]
    return max(may_run, key=_importance, default=None)


def _importance(pod: PodObject) -> tuple[bool, float, str]:
    created = pod.metadata.creation_timestamp
    return not pod.over, created.timestamp() if created else 0.0, pod.metadata.name or ""


def _holding(conditions: list[Condition], kind: str) -> Condition | None:
    return next((each for each in conditions if each.type == kind and each.holds), None)


def _container(status: PodStatus) -> Waiting | Running | Terminated:
    statuses = status.container_statuses or []
    state = next((each.state for each in statuses if each.name == marks.CONTAINER), None) or ContainerState()
    if state.terminated is not None and state.terminated.reason == _UNKNOWN:
        return Waiting(reason=_UNKNOWN, message=state.terminated.message)
    if state.terminated is not None:
        return _terminated(state.terminated)
    if state.running is not None:
        return Running(started_at=_real(state.running.started_at))
    waiting = state.waiting or ContainerWaiting()
    if waiting.reason in (None, "PodInitializing") and (before := _waits_before(status)) is not None:
        return before
    return Waiting(reason=waiting.reason, message=waiting.message)


def _waits_before(status: PodStatus) -> Waiting | None:
    """A container before the main one that does not get started: the pod waits for it without a word of its own."""
    for each in status.init_container_statuses or []:
        waiting = each.state.waiting if each.state else None
        if waiting is not None and waiting.reason not in (None, "PodInitializing"):
            return Waiting(reason=waiting.reason, message=f"init container {each.name}: {waiting.message or 'waits'}")
    return None


def _init_failure(status: PodStatus) -> str | None:
    """Which container before the main one ended with a failure, and how; null if none did."""
    for each in status.init_container_statuses or []:
        end = each.state.terminated if each.state else None
        if end is not None and end.exit_code != 0:
            words = end.message or end.reason or ""
            return f"init container {each.name} ended with exit code {end.exit_code}" + (words and f": {words}")
    return None


def _terminated(end: ContainerTerminated) -> Terminated:
    return Terminated(
        exit_code=end.exit_code,
        signal=end.signal or _signal(end.exit_code),
        reason=end.reason,
        message=end.message,
        started_at=_real(end.started_at),
        finished_at=_real(end.finished_at),
    )


def _signal(exit_code: int) -> int | None:
    """Container runtimes report a signal as 128 + its number and leave the field for it empty."""
    number = exit_code - _SIGNAL_BASE
    return number if 0 < number <= _LAST_SIGNAL else None


def _real(time: datetime | None) -> datetime | None:
    """A container that never ran "started" in 1970."""
    return time if time is not None and time.year >= _FIRST_REAL_YEAR else None
