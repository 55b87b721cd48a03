"""When a log that is read again and again has come to its end, and how long the end of a job waits for that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

_SPENT_AT_MOST = 0.75  # of the grace, when a container's end comes to be known


def awaited_until(finished_at: datetime | None, over_at: datetime, clock_offset: timedelta, grace: float) -> datetime:
    """Until when, by our clock, a job waits for its log: ``grace`` seconds from its container's own end, which is the
    cluster's time; ``clock_offset`` is our clock minus that. An end is known within seconds: where it seems to be long
    ago, the node's clock is another one, or nobody looked, and the log gets some time all the same."""
    ended_at = over_at if finished_at is None else min(finished_at + clock_offset, over_at)
    return max(ended_at, over_at - timedelta(seconds=grace * _SPENT_AT_MOST)) + timedelta(seconds=grace)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one read of a log brought. ``new``: bytes that were not stored yet; ``passed``: whether all that was stored
    came by again, null where nothing was; ``waits``: lines may be new, which the next read will show."""

    new: int
    passed: bool | None
    waits: bool = False


class Ending:
    """Takes what the plain reads after a container's end bring. A read that was cut short behind the API server ends like
    any other, so the end is where a read passes the last stored line and finds nothing behind it; where there is no
    line to pass, the second such read. ``grace``: seconds after which a log that can't be read so far is given up.
    ``read_once``: a plain read ended without an error, which may or may not have been at the end."""

    def __init__(self, grace: float, now: Callable[[], float]) -> None:
        self._grace = grace
        self._now = now
        self._since: float | None = None
        self._quiet = 0
        self.read_once = False

    def begin(self) -> None:
        """The container is over: a plain read is about to be made."""
        if self._since is None:
            self._since = self._now()

    def put_off(self) -> None:
        """The whole cluster is away: the pod and its log wait there."""
        if self._since is not None:
            self._since = self._now()

    @property
    def overdue(self) -> bool:
        """Whether the time for reading what is left is over."""
        return self._since is not None and self._now() - self._since >= self._grace

    def reached(self, found: Found) -> bool:
        """Whether this read, which ended without an error, was the last one."""
        self.read_once = True
        self._quiet = 0 if found.new else self._quiet + 1
        return bool(self._quiet) and (found.passed or (found.passed is None and self._quiet > 1))
