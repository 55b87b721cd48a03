"""Takes the time stamps off log lines: thousands of lines at once, without loss."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")
_SECOND_BYTES = 19
_NS = 1_000_000_000


class NoStamp(Exception):
    """A line that is no line of a log: what the cluster says instead of one. ``line`` is its place among the others."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class Stamps:
    """Reads stamps (RFC 3339 with 0 to 9 decimals and any zone) as integer ns since 1970."""

    def __init__(self) -> None:
        self._second = b""
        self._second_ns = 0

    def split(self, lines: list[bytes]) -> tuple[list[int], list[bytes]]:
        """The stamps and the texts of whole lines.

        Raises:
            NoStamp: a line has none.
        """
        stamps, texts = [], []
        for index, line in enumerate(lines):
            stamp, _, text = line.partition(b" ")
            ns = self.read(stamp)
            if ns is None:
                raise NoStamp(index)
            stamps.append(ns)
            texts.append(text)
        return stamps, texts

    def read(self, stamp: bytes) -> int | None:
        """One stamp; null if it is none."""
        if stamp[:_SECOND_BYTES] == self._second and stamp[-1:] == b"Z":
            fraction = stamp[_SECOND_BYTES + 1 : -1]
            if stamp[_SECOND_BYTES : _SECOND_BYTES + 1] == b"." and fraction.isdigit():
                return self._second_ns + int(fraction[:9].ljust(9, b"0"))
        return self._read_slowly(stamp)

    def _read_slowly(self, stamp: bytes) -> int | None:
        match = _STAMP.fullmatch(stamp)
        if match is None:
            return None
        second, fraction, zone = match.groups()
        try:
            time = datetime.fromisoformat((second + (b"+00:00" if zone == b"Z" else zone)).decode())
        except ValueError:
            return None
        seconds_ns = int(time.astimezone(UTC).timestamp()) * _NS
        if zone == b"Z":
            self._second, self._second_ns = second, seconds_ns
        return seconds_ns + int((fraction or b"0").ljust(9, b"0"))


def as_since(ns: int) -> str:
    """The whole second that holds a stamp, as the API's ``sinceTime`` wants it."""
    return datetime.fromtimestamp(ns // _NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
