"""Points in time as text: RFC 3339, always UTC on the way out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from spark_jobs.domain.quantities import parse_duration

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_NS, _LAST_NS = -(2**63), 2**63 - 1


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC with a ``Z``, microseconds only where there are any.

    Raises:
        ValueError: the time has no zone.
    """
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def parse_rfc3339(text: str) -> datetime:
    """A time in UTC; what is finer than a microsecond is cut off.

    Raises:
        ValueError: not RFC 3339, or no such time.
    """
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise ValueError("not an RFC 3339 time; write one such as 2031-05-04T12:30:00Z")
    day, clock, fraction, zone = match.groups()
    digits = (fraction or ".")[1:7].ljust(6, "0")
    zone = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{digits}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such time; write one such as 2031-05-04T12:30:00Z") from None


def parse_time(text: str, now: datetime) -> datetime:
    """A time in UTC from RFC 3339, or from a duration that says how long before ``now`` it was.

    Raises:
        ValueError: neither.
    """
    if _RFC3339.fullmatch(text.strip()):
        return parse_rfc3339(text)
    try:
        return now.astimezone(UTC) - timedelta(seconds=parse_duration(text, zero=True))
    except ValueError:
        raise ValueError("write a time such as 2031-05-04T12:30:00Z, or a duration ago such as 30m or 2d") from None


def to_ns(time: datetime) -> int:
    """Nanoseconds since 1970, exact to the microsecond that a datetime has; times before 1678 and after 2262 are the first
    and the last that a signed number of 64 bits can tell."""
    return min(max((time - _EPOCH) // timedelta(microseconds=1) * 1000, _FIRST_NS), _LAST_NS)


def format_ns(stamp: int) -> str:
    """RFC 3339 in UTC with nine decimals, from nanoseconds since 1970."""
    seconds, rest = divmod(stamp, 1_000_000_000)
    return f"{_second(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
