"""What a fake container does, and what befalls it."""

from __future__ import annotations

import enum

import msgspec

from spark_jobs.cluster.base import CreateRefused, Refusal, Waiting
from spark_jobs.domain.job import PodEvent


class Accident(enum.Enum):
    """Something that happens to an attempt from outside."""

    EVICT = "evict"  # the pod is marked as disrupted, told to end, and then goes; its Job stays
    PREEMPT = "preempt"  # the same for a pod of higher priority
    DELETE_POD = "delete pod"  # somebody deletes the pod
    DELETE_JOB = "delete job"  # somebody deletes the Job, and the pod goes with it
    VANISH = "vanish"  # Job and pod are gone at once, without any last word
    LOSE_NODE = "lose node"  # the node stops answering: nothing there can be stopped or read
    FIND_NODE = "find node"  # it answers again
    DEADLINE = "deadline"  # the cluster's own limit for the pod is reached, the net below Spark's


class LogTrouble(enum.Enum):
    """How a log stream goes wrong."""

    ENDS = "ends"  # it ends cleanly, as if that were all
    UNAVAILABLE = "unavailable"  # there is no log now (LogUnavailable)
    GONE = "gone"  # there is none and never will be
    AWAY = "away"  # no answer (ClusterUnavailable)
    SILENT = "silent"  # it stays open and says nothing until the container has ended


class LogFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one opening of a log: after ``lines`` lines there is ``trouble``."""

    lines: int = 0
    trouble: LogTrouble = LogTrouble.ENDS


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt does. Times are seconds; null for ``pending`` and ``runs`` means for ever.

    The create: takes ``create_takes``; is refused with ``refused``, or since the name is taken by a ``foreign`` object;
    the first ``unknown_creates`` have no answer, and made the object all the same if ``unknown_stored``.

    The pod: appears after ``pod_after``, or never because of ``refusal``; shows ``waiting`` (and ``unschedulable``)
    while it is ``pending``; can't be started if there is a ``start_error``.

    The container: runs for ``runs``; writes one of ``lines`` every ``line_every`` from its start on while it runs, then
    at its end ``unfinished`` (a last line without newline), in which a byte that is no UTF-8 is written as its surrogate;
    ends with ``exit_code``, ``reason`` (null: Kubernetes' own word for that code) and ``result``. Its pod is over
    ``over_after`` later, since another container of it runs on, or once that is asked to end. It ends with
    ``code_on_term`` when asked to, or at the end of the grace if ``ignores_term``. Its pod is gone ``lingers`` after a
    delete has ended it.

    ``can_halt`` false: it can't be asked to end without being deleted. ``accidents`` happen so many seconds after the
    create. The first openings of the log have the ``log_faults``, in order; later ones have none.
    ``events`` are what the cluster has noted about the pod from its first moment on.
    """

    create_takes: float = 0.0
    refused: CreateRefused | None = None
    foreign: bool = False
    unknown_creates: int = 0
    unknown_stored: bool = False
    pod_after: float = 0.0
    refusal: Refusal | None = None
    pending: float | None = 0.0
    waiting: Waiting = Waiting(reason="ContainerCreating")
    unschedulable: str | None = None
    start_error: str | None = None
    runs: float | None = 0.0
    lines: tuple[str, ...] = ()
    line_every: float = 0.0
    unfinished: str = ""
    exit_code: int = 0
    reason: str | None = None
    result: str | None = None
    over_after: float = 0.0
    code_on_term: int = 143
    ignores_term: bool = False
    lingers: float = 0.1
    can_halt: bool = True
    accidents: tuple[tuple[float, Accident], ...] = ()
    log_faults: tuple[LogFault, ...] = ()
    events: tuple[PodEvent, ...] = ()
