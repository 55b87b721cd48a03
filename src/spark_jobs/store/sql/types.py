"""How values of the domain stand in columns: times as integer microseconds, enumerations as text, structs as JSON."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

E = TypeVar("E", bound=enum.StrEnum)
S = TypeVar("S")


def to_micros(time: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The UTC time that :func:`to_micros` was given."""
    return _EPOCH + timedelta(microseconds=micros)


class Micros(TypeDecorator[datetime]):
    """A UTC time as integer microseconds since 1970: sorts, compares and never loses a digit."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the column."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From the column."""
        return None if value is None else from_micros(value)


class Coded(TypeDecorator[E]):
    """An enumeration as its text."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[E]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        """To the column."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:
        """From the column."""
        return None if value is None else self.kind(value)


class Packed(TypeDecorator[S]):
    """A struct, or a list of them, as JSON text."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[S]) -> None:
        super().__init__()
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)
        self._encoder = msgspec.json.Encoder()

    def process_bind_param(self, value: S | None, dialect: Dialect) -> str | None:
        """To the column."""
        return None if value is None else self._encoder.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> S | None:
        """From the column."""
        return None if value is None else self._decoder.decode(value)
