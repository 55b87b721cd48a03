"""Reading a request's parameters: every fault is found, unknown names are refused with the nearest known one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import parse_qsl

from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.fields import shown
from spark_jobs.domain.nearest import did_you_mean
from spark_jobs.domain.quantities import parse_duration
from spark_jobs.domain.search import MOST_CONTEXT, MOST_MATCHES
from spark_jobs.domain.state import ACTIVE, TERMINAL, JobState
from spark_jobs.domain.times import parse_time

LARGEST = 2**63 - 1
BOUNDS: dict[str, tuple[int, int]] = {
    "attempt": (1, 10**9),
    "context": (0, MOST_CONTEXT),
    "limit": (1, MOST_MATCHES),
    "page_size": (1, 1000),
}
"""Of parameters that are whole numbers; of any other, 0 and ``LARGEST``."""

MOST_FIELDS = 200
_LONGEST_TEXT = 1024
_TRUTH = {"": True, "true": True, "1": True, "false": False, "0": False}
_STATES: dict[str, frozenset[JobState]] = {
    "active": ACTIVE,
    "finished": TERMINAL,
    **{state.lower(): frozenset({state}) for state in JobState},
}

Value = TypeVar("Value")


def as_parameter(name: str) -> str:
    """Where a fault of a parameter is, as REST says it."""
    return f"?{name}"


class Query:
    """The parameters of one request, as text. Faults are collected; :meth:`done` raises them at once.

    ``place`` gives the pointer of a parameter's faults.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        known: Collection[str],
        *,
        place: Callable[[str], str] = as_parameter,
    ) -> None:
        """Take the parameters. Raises InvalidSpec for too many of them, and for names that are not known."""
        self._faults: list[Fault] = []
        self._values: dict[str, list[str]] = {}
        self._place = place
        self.pairs = pairs
        if len(pairs) > MOST_FIELDS:
            self.fault("", "too_many", f"a request has at most {MOST_FIELDS} parameters")
            self.done()
        for name, value in pairs:
            if name in known:
                self._values.setdefault(name, []).append(value)
            else:
                self.fault(shown(name), "unknown_parameter", _unknown(name, known))
        self.done()

    def done(self) -> None:
        """Raise InvalidSpec if anything was wrong."""
        if self._faults:
            raise InvalidSpec(self._faults)

    def texts(self, name: str) -> list[str]:
        """All values given under this name."""
        found = self._values.get(name, [])
        for value in found:
            if len(value) > _LONGEST_TEXT or not value.isprintable():
                self.fault(name, "invalid", f"must be printable text of at most {_LONGEST_TEXT} characters")
        return found

    def text(self, name: str) -> str | None:
        """The one value under this name; null if there is none."""
        found = self.texts(name)
        if len(found) > 1:
            self.fault(name, "repeated", "is given more than once")
        return found[0] if found else None

    def needed(self, name: str) -> str:
        """The one value under this name, which must be there; what may be in it is for its reader to say."""
        found = self._values.get(name, [])
        if len(found) != 1:
            code, detail = ("repeated", "is given more than once") if found else ("required", "is required")
            self.fault(name, code, detail)
        return found[0] if found else ""

    def flag(self, name: str) -> bool:
        """True for ``?name``, ``?name=true`` and ``?name=1``."""
        return self._read(name, _truth) or False

    def whole(self, name: str) -> int | None:
        """A whole number within its bounds."""
        return self._read(name, lambda text: _whole(text, *BOUNDS.get(name, (0, LARGEST))))

    def seconds(self, name: str) -> float | None:
        """A duration in seconds."""
        return self._read(name, lambda text: parse_duration(text, zero=True))

    def moment(self, name: str, now: datetime) -> datetime | None:
        """A time in UTC, written as RFC 3339 or as a duration before ``now``."""
        # A plus sign that was not escaped arrives as a space; no such time has a space after its seconds.
        return self._read(name, lambda text: parse_time(text[:11] + text[11:].replace(" ", "+"), now))

    def states(self, name: str) -> frozenset[JobState]:
        """States, given by commas or repeatedly; ``active`` and ``finished`` stand for several."""
        found: set[JobState] = set()
        for word in (word.strip().lower() for text in self.texts(name) for word in text.split(",")):
            if word in _STATES:
                found |= _STATES[word]
            else:
                known = ", ".join([*JobState, "active", "finished"])
                hint = did_you_mean(word, _STATES)
                self.fault(name, "unknown_state", f"there is no state `{shown(word)}`{hint}; known: {known}")
        return frozenset(found)

    def labels(self, name: str) -> tuple[tuple[str, str | None], ...]:
        """Labels as ``key=value``, or ``key`` where any value will do."""
        found: list[tuple[str, str | None]] = []
        for text in self.texts(name):
            key, equals, value = text.partition("=")
            if not key:
                self.fault(name, "invalid", "write key=value, or key alone")
            found.append((key, value if equals else None))
        return tuple(found)

    def _read(self, name: str, reader: Callable[[str], Value]) -> Value | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return reader(text)
        except ValueError as error:
            self.fault(name, "invalid", str(error))
            return None

    def fault(self, name: str, code: str, detail: str) -> None:
        """Say what is wrong with this parameter; :meth:`done` raises it."""
        self._faults.append(Fault(self._place(name), detail, code))


def split(raw: bytes) -> list[tuple[str, str]]:
    """The parameters in a query string. Raises InvalidSpec for one that can't be read."""
    try:
        text = raw.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        fault = Fault("?", f"the query is not percent-encoded UTF-8, or has over {MOST_FIELDS} fields", "invalid")
        raise InvalidSpec([fault]) from None


def _unknown(name: str, known: Collection[str]) -> str:
    hint = did_you_mean(name, known)
    return f"there is no parameter `{shown(name)}` here{hint}" + (f"; known: {', '.join(known)}" if known else "")


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError("write true or false")
    return _TRUTH[text.lower()]


def _whole(text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and lowest <= int(text) <= highest):
        bounds = f"from {lowest} to {highest}" if highest < LARGEST else f"of at least {lowest}"
        raise ValueError(f"must be a whole number {bounds}")
    return int(text)
