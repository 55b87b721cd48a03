"""What our requests tell about the API server: whether it answers, and how far its clock is from ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from spark_jobs.cluster.base import Health
from spark_jobs.cluster.kubernetes.answers import http_date

_AWAY = frozenset({429, 502, 503, 504})
_READS = frozenset({"get", "list", "watch"})  # a 500 to a write may be about that one object: a webhook that fails
_SECOND = timedelta(seconds=1)


class Contact:
    """Told of every answer and every silence, and of every watch that sees nothing."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._health = Health(reachable=False, since=clock(), problem="not asked yet")
        self._blind: dict[str, Health] = {}
        self._earliest: timedelta | None = None
        self._latest: timedelta | None = None

    def answered(self, verb: str, code: int, date: str | None, sent_at: datetime) -> None:
        """An answer came to a request that was sent then; ``date`` is its Date header."""
        if code in _AWAY or (code == 500 and verb in _READS):
            self._set(reachable=False, problem=f"it answers {code}")
        elif code == 401:
            self._set(reachable=False, problem="it does not accept the credentials (401)")
        else:
            self._set(reachable=True, problem=None)
        self._compare(date, sent_at)

    def silent(self, problem: str) -> None:
        """No answer came."""
        self._set(reachable=False, problem=problem)

    def blind(self, watch: str, problem: str) -> None:
        """A watch does not come about, whatever else is answered: what it would show is not seen."""
        since = self._blind[watch].since if watch in self._blind else self._clock()
        self._blind[watch] = Health(reachable=False, since=since, problem=problem)

    def sees(self, watch: str) -> None:
        """It is open."""
        self._blind.pop(watch, None)

    def health(self) -> Health:
        """Whether it answers and can be seen, and since when that is so."""
        if not self._health.reachable:
            return self._health
        return next(iter(self._blind.values()), self._health)

    def clock_offset(self) -> timedelta:
        """Our clock minus the server's; zero until it is known."""
        if self._earliest is None or self._latest is None:
            return timedelta()
        return (self._earliest + self._latest) / 2

    def _set(self, *, reachable: bool, problem: str | None) -> None:
        since = self._health.since if reachable == self._health.reachable else self._clock()
        self._health = Health(reachable=reachable, since=since, problem=problem)

    def _compare(self, date: str | None, sent_at: datetime) -> None:
        """The server's time of the answer lies within the second that the header names: every answer narrows the
        offset down, and one that contradicts the others says that a clock was set."""
        theirs = http_date(date)
        if theirs is None:
            return
        earliest, latest = sent_at - theirs - _SECOND, self._clock() - theirs
        if self._earliest is None or self._latest is None or earliest > self._latest or latest < self._earliest:
            self._earliest, self._latest = earliest, latest
        else:
            self._earliest, self._latest = max(self._earliest, earliest), min(self._latest, latest)
