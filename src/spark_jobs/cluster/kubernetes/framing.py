"""Cuts a stream of bytes into lines, at line feeds only, with bounded memory."""

from __future__ import annotations


class LineTooLong(Exception):
    """A line is longer than the bound."""


class Lines:
    """Give it chunks as they come, get back the whole lines (without their line feed)."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes.

        Raises:
            LineTooLong: what is held without a line feed is longer than the bound.
        """
        *lines, rest = chunk.split(b"\n")
        if lines and self._parts:
            lines[0] = b"".join([*self._parts, lines[0]])
            self._parts.clear()
            self._held = 0
        if rest:
            self._parts.append(rest)
            self._held += len(rest)
            if self._held > self._longest:
                raise LineTooLong
        return lines
