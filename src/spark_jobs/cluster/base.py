"""The cluster's contract: create an attempt, say what is there now, stop it, read its log, make it go.

A cluster decides nothing: it shows *observations*, and the engine draws the conclusions. The same behaviour suite runs
over every implementation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from spark_jobs.domain.job import PodEvent
from spark_jobs.domain.spec import JobSpec

MOST_EVENTS = 10
"""How many events of a pod are kept."""


class AttemptRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempt in the cluster. ``claim`` (128 bit, hex) marks the objects as ours; ``name`` is the Kubernetes
    name; ``uid`` is null until the object is known; ``released`` is the uid of the one pod that was let go, if any, and
    ``pod`` the name of the one that was seen running."""

    job_id: str
    attempt: int
    claim: str
    namespace: str
    name: str
    uid: str | None = None
    released: str | None = None
    pod: str | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The container has not started; ``reason`` is the cluster's own word (``ContainerCreating``, ``ErrImagePull``)."""

    reason: str | None = None
    message: str | None = None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The container runs."""

    started_at: datetime | None = None


class Terminated(msgspec.Struct, frozen=True, kw_only=True):
    """The container ended. ``message`` is what it left at its termination-message path, or the runtime's word where it
    could not start. Times are the cluster's, null where it gave none (1970 counts as none)."""

    exit_code: int
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class PodSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt's pod. ``over``: no container of it runs or will (phase Succeeded or Failed): the slot's rule.

    ``held``: it can't start before it is released; ``version`` is the one of the cluster's view that this is.
    ``reason`` and ``message`` are the pod's own (``Evicted``, ``DeadlineExceeded``); ``disruption`` is the reason of its
    DisruptionTarget condition; ``unschedulable`` the scheduler's words; ``deleted_at`` its deletionTimestamp, which
    already includes the grace, ``deletion_grace`` that grace in seconds where it is known, ``deleted_alive`` whether it
    was seen to be deleted before its container ended; ``node_ready`` is false where the node is known not to answer;
    ``init_failed`` says which container before the main one failed, and how.
    """

    name: str
    uid: str
    over: bool
    held: bool = False
    version: str | None = None
    node: str | None = None
    deleted_at: datetime | None = None
    deletion_grace: float | None = None
    deleted_alive: bool = False
    init_failed: str | None = None
    reason: str | None = None
    message: str | None = None
    disruption: str | None = None
    unschedulable: str | None = None
    scheduled: bool = False
    node_ready: bool = True
    container: Waiting | Running | Terminated = Waiting()


class JobSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt's Job object; ``deleted``: it has a deletionTimestamp; ``failed``: the reason of its Failed condition
    (``DeadlineExceeded`` where Kubernetes' own limit took the pod away); ``complete``: it says that its pod succeeded."""

    uid: str
    deleted: bool = False
    failed: str | None = None
    complete: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no pod: a stable reason (``QuotaExceeded``, ``AdmissionDenied``, ``Forbidden``, …), the cluster's words."""

    reason: str
    message: str


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster shows now for one attempt: never "what happened".

    ``current`` is false while the view can't be trusted to be complete (no list yet, or the API is away): then the
    absence of an object says nothing. ``foreign``: an object that is not ours has the attempt's name. ``last_pod``: what
    its pod was like when it was seen to be deleted, where there is none any more.
    """

    current: bool
    job: JobSeen | None = None
    pod: PodSeen | None = None
    last_pod: PodSeen | None = None
    refusal: Refusal | None = None
    foreign: bool = False


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The Job exists and is ours (made now, or found by its claim)."""

    uid: str


class CreateRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster will never take this Job: nothing was created. ``reason`` is one of ours."""

    reason: str
    message: str


class CreateUnknown(msgspec.Struct, frozen=True, kw_only=True):
    """It may or may not exist: ask again after ``retry_after`` seconds. ``everywhere``: the API itself seems away, so the
    next create would fare no better. ``reason`` is one of ours where the cluster refuses it for now."""

    message: str
    reason: str | None = None
    retry_after: float | None = None
    everywhere: bool = True


class LogLines(msgspec.Struct, frozen=True, kw_only=True):
    """Some bytes of a log as they came, with every newline; one stamp (ns since 1970) for each line that begins in them.

    ``data`` may begin inside a line (the rest of one that the last batch left without its newline) and may end inside
    one: a stream can be cut anywhere, and a very long line comes in pieces.
    """

    data: bytes
    stamps: tuple[int, ...]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the cluster answers, since when it is so, and why not."""

    reachable: bool
    since: datetime
    problem: str | None = None


class Cluster(Protocol):
    """Somewhere to run attempts."""

    name: str

    async def start(self, instance: str, changed: Callable[[str], None]) -> None:
        """Begin to watch the objects of ``instance``; ``changed(claim)`` is called in the event loop whenever what is
        shown for an attempt may have changed (and for every known one when the view becomes current again).

        Returns without waiting for the cluster to answer.

        Raises:
            CredentialsError: there is nothing to talk to it with.
        """

    async def stop(self) -> None:
        """Stop watching and close connections. Attempts go on in Kubernetes; local ones end with their server."""

    async def create(self, ref: AttemptRef, spec: JobSpec) -> Created | CreateRefused | CreateUnknown:
        """Create the attempt's Job under its name, once; a second call for the same claim finds the first one's object."""

    def observe(self, ref: AttemptRef) -> Observation:
        """What the watch shows now; no request."""

    async def look(self, ref: AttemptRef) -> Observation:
        """What the cluster itself says now, asked by requests. Where there is a Job that never had a pod,
        :meth:`observe` shows afterwards why, as far as the cluster has said it; for all others of the namespace, too.

        Raises:
            ClusterUnavailable, ClusterForbidden: no answer that could be trusted.
        """

    async def release(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """Let a held pod start; false if it is not there any more, or has changed: look again.

        Raises:
            ClusterUnavailable, ClusterForbidden: not done, or nobody knows; ask again, for the same pod.
        """

    async def halt(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """Ask a running pod to end, with its grace, keeping pod and log; false if this can't be done here (then
        :meth:`delete` is the way). Raises ClusterUnavailable."""

    async def delete(self, ref: AttemptRef, *, over: bool, idle: PodSeen | None = None) -> bool:
        """Delete the attempt's Job and its pods with a UID precondition: in the foreground while it may run, in the
        background once it is over. Gone already, or another UID: nothing to do. Never touches what is not ours.

        ``idle`` is the attempt's pod, seen not to have started: if anything about it has changed since, nothing is done
        and the answer is false; what is observed then is newer.

        Raises:
            ClusterUnavailable, ClusterForbidden: not done, ask again.
        """

    async def gone(self, ref: AttemptRef) -> bool:
        """Whether the attempt's Job and every pod of it that could run are gone, asked freshly (many askers share one
        request). True as well when only pods that are over and on their way out are left. Raises ClusterUnavailable."""

    async def events(self, ref: AttemptRef, pod: str) -> list[PodEvent]:
        """What the cluster noted last about the attempt's pod of that name, oldest first, at most :data:`MOST_EVENTS`;
        empty for a cluster that notes nothing. The pod may be gone already.

        Raises:
            ClusterUnavailable, ClusterForbidden: it could not be asked.
        """

    def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        """Read the log from the start, or from the whole second that holds ``since_ns`` (which repeats lines: the
        caller drops them). The end of the iteration says that the stream ended, not that the log is whole.

        Raises:
            LogUnavailable: there is no log to be had now, or (``gone``) never again.
            ClusterUnavailable: no answer.
        """

    def health(self) -> Health:
        """Whether it answers."""

    def clock_offset(self) -> timedelta:
        """Our clock minus the cluster's."""

    def strangers(self, known: Callable[[str], bool]) -> list[str]:
        """Names of objects that carry our instance with a claim nobody knows; they are never touched."""
