"""What a scenario found out, as plain objects that are equal where an interface tells the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from spark_jobs import SparkError
from spark_jobs.client import LogBytes
from spark_jobs.domain.errors import InvalidSpec, QueueFull
from spark_jobs.domain.job import Timings

_GENERATED = re.compile(r"spark-job-[a-z0-9]{15}|spark-[a-z2-7]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


class Facts:
    """Replaces generated names by their number of appearance, and times by a word."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def plain(self, value: object) -> Any:
        """The value as plain objects."""
        if isinstance(value, SparkError):
            return self._error(value)
        if isinstance(value, LogBytes):
            return {"attempt": value.attempt, "data": self.plain(value.data), "end": value.end}
        if isinstance(value, msgspec.Struct):
            members = {name: getattr(value, name) for name in value.__struct_fields__}
            return self.plain(_measured(members) if isinstance(value, Timings) else members)
        if isinstance(value, Mapping):
            return {self.plain(key): self.plain(each) for key, each in value.items()}
        if isinstance(value, bytes):
            return self.plain(value.decode())
        if isinstance(value, str):
            return _TIME.sub("TIME", _GENERATED.sub(lambda match: self._named(match[0]), value))
        if isinstance(value, Sequence):
            return [self.plain(each) for each in value]
        return "TIME" if isinstance(value, datetime) else value

    def _error(self, error: SparkError) -> dict[str, Any]:
        faults = error.faults if isinstance(error, InvalidSpec) else ()
        return {
            "error": error.code,
            "kind": type(error).__name__,
            "faults": sorted((_place(fault.pointer), fault.code) for fault in faults),
            "free": error.free if isinstance(error, QueueFull) else None,
        }

    def _named(self, name: str) -> str:
        return self._names.setdefault(name, f"NAME-{len(self._names) + 1}")


def _place(pointer: str) -> str:
    """The place of a fault in no interface's own spelling: `?state` in a query is `states` in a message, and the header
    `Idempotency-Key` is the field `idempotency_key`."""
    return pointer.lstrip("?#/").rstrip("s").lower().replace("-", "_")


def _measured(timings: dict[str, float | None]) -> dict[str, str | None]:
    """How long something took differs from run to run; whether it is known does not."""
    return {name: None if seconds is None else "SECONDS" for name, seconds in timings.items()}


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two things that were told differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [each for key in one for each in differences(one[key], other[key], f"{place}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [each for index, pair in pairs for each in differences(*pair, f"{place}/{index}")]
    return [] if one == other else [f"{place}: {one!r} and {other!r}"]
