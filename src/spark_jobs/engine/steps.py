"""What can be next for an attempt, and what one process remembers of it meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from spark_jobs.cluster.base import PodSeen
from spark_jobs.domain.attempt import AttemptChanges, Outcome, StopCause
from spark_jobs.domain.job import Activity


class Memo(msgspec.Struct, kw_only=True):
    """What this process remembers of an attempt and may forget: when it first saw a wait, when it last sent what. All
    times are our clock's, so that it does not matter what the cluster's shows.

    ``made_at``: the cluster said that its Job exists. ``asked_why``: it was asked once more why the attempt does not start,
    whose start limit was near; ``overdue_since``: that limit was seen to have passed before there was an answer.
    ``refused``: the last answer to its create was about this one create, and not that the cluster is away;
    ``held_back``: why the cluster would not let its pod be released.
    """

    waiting: tuple[Activity, str | None] | None = None
    waiting_since: datetime | None = None
    trouble_since: datetime | None = None
    node_lost_since: datetime | None = None
    deletion_seen_at: datetime | None = None
    main_ended_at: datetime | None = None
    events_asked_at: datetime | None = None
    placed_at: datetime | None = None
    pod_seen: bool = False
    pod_gone_at: datetime | None = None
    posted_at: datetime | None = None
    posting: bool = False
    made_at: datetime | None = None
    asked_why: bool = False
    overdue_since: datetime | None = None
    held_back: str | None = None
    refused: bool = False
    halted_at: datetime | None = None
    deleted_at: datetime | None = None
    job_gone_at: datetime | None = None
    log_awaited_until: datetime | None = None


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do; ask again at ``until``, or when something changes."""

    until: datetime | None = None


class Note(msgspec.Struct, frozen=True):
    """Write facts; the state stays."""

    changes: AttemptChanges


class Started(msgspec.Struct, frozen=True):
    """The container runs."""

    changes: AttemptChanges


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """Record the wish to stop it, before anything is sent."""

    cause: StopCause
    reason: str | None = None
    message: str | None = None


class Release(msgspec.Struct, frozen=True):
    """Let this pod start, and no other, ever."""

    pod: PodSeen


class Halt(msgspec.Struct, frozen=True):
    """Ask the running pod to end, keeping its log."""

    pod: PodSeen


class Delete(msgspec.Struct, frozen=True):
    """Delete its objects; ``over``: nothing of it runs any more; ``idle``: its pod, which was let go and seems not to have
    started: if it has meanwhile, it has to be halted instead, or its log is lost."""

    over: bool
    idle: PodSeen | None = None


class Look(msgspec.Struct, frozen=True):
    """The watch shows nothing: ask the cluster itself, and conclude from its answer."""


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of it runs any more, or nobody can tell and the slot was held for long enough: the slot is free."""

    outcome: Outcome
    pod: PodSeen | None


class Finish(msgspec.Struct, frozen=True):
    """The job gets its state: its log is settled or was waited for long enough, or (``outcome``) its node is lost."""

    outcome: Outcome


class ConfirmGone(msgspec.Struct, frozen=True):
    """Deleted: see whether it is gone; then close a finished attempt, or end one that was stopped."""


Step = Wait | Note | Started | Stop | Release | Halt | Delete | Look | Over | Finish | ConfirmGone


def seconds(number: float) -> timedelta:
    """A span of so many seconds."""
    return timedelta(seconds=number)


def earliest(*times: datetime | None) -> datetime | None:
    """The first of those that are known."""
    return min((time for time in times if time is not None), default=None)
