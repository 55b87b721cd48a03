"""What goes into and comes out of the client beside jobs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from spark_jobs.domain.job import Job
from spark_jobs.domain.schedule import Waiting


class Submission(msgspec.Struct, frozen=True):
    """The job, and whether it existed before this submission: then nothing was started."""

    job: Job
    replayed: bool


class JobQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list; everything given must hold.

    ``states`` may also hold ``active`` and ``finished``; ``labels`` are ``key=value`` or ``key``; ``since`` and
    ``until`` are RFC 3339 times or durations ago (``2h``).
    """

    states: Sequence[str] = ()
    labels: Sequence[str] = ()
    name: str | None = None
    name_prefix: str | None = None
    id_prefix: str | None = None
    since: str | None = None
    until: str | None = None

    def params(self) -> dict[str, str | list[str]]:
        """As query parameters of the REST interface."""
        single = {
            "name": self.name,
            "name_prefix": self.name_prefix,
            "id_prefix": self.id_prefix,
            "since": self.since,
            "until": self.until,
        }
        params: dict[str, str | list[str]] = {key: value for key, value in single.items() if value is not None}
        if self.states:
            params["state"] = list(self.states)
        if self.labels:
            params["label"] = list(self.labels)
        return params


class SearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to look for a pattern, and in which logs; everything given must hold.

    ``fixed``: the pattern is plain text; ``context``: lines to show before and after each match. ``states``, ``labels`` and
    ``name`` are those of jobs, as in :class:`JobQuery`; ``job_id``: only in this job's logs. ``since``: only lines since an
    RFC 3339 time or a duration ago (``2h``). The search ends after ``limit`` matches.
    """

    fixed: bool = False
    ignore_case: bool = False
    context: int = 0
    states: Sequence[str] = ()
    labels: Sequence[str] = ()
    name: str | None = None
    job_id: str | None = None
    since: str | None = None
    limit: int = 1000

    def params(self, pattern: str) -> dict[str, str | list[str]]:
        """As query parameters of the REST interface."""
        params: dict[str, str | list[str]] = {
            "pattern": pattern,
            "context": str(self.context),
            "limit": str(self.limit),
        }
        flags = {"fixed": self.fixed, "ignore_case": self.ignore_case}
        params |= {name: "true" for name, wanted in flags.items() if wanted}
        single = {"name": self.name, "job": self.job_id, "since": self.since}
        params |= {name: value for name, value in single.items() if value is not None}
        several = {"state": self.states, "label": self.labels}
        return params | {name: list(values) for name, values in several.items() if values}


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The queue now. ``oldest_wait`` and ``limiter_wait`` are seconds; ``waiting`` are the first that wait, in the order
    in which they will be started (none where the server is too old to say); ``lost`` slots are held for what may still run
    on a node that does not answer."""

    depth: int
    capacity: int
    running: int
    slots: int
    oldest_wait: float | None
    paused: bool
    limiter_wait: float = 0.0
    backoff: int = 0
    waiting: list[Waiting] = []
    lost: int = 0
