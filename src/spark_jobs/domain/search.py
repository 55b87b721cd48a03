"""What a search over stored logs finds: the same on the server, on the wire and in clients."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

LONGEST_SHOWN = 4096
"""Bytes of a line that a search shows at most, around what it found; the line itself can be read by its offset."""

MOST_CONTEXT = 100
"""Lines before and after that can be asked for."""

MOST_MATCHES = 100_000
"""Matches after which a search can be made to end at most."""

_Raw: TypeAlias = bytes  # within the class below that name is the field's


class FoundLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a log. ``line`` counts from 1 in its attempt's log, ``offset`` is the byte where it begins, ``time`` is RFC
    3339 with nine decimals, null where none is known. Without its newline; ``bytes`` instead of ``text`` (in JSON as
    base64) where it is not UTF-8. ``cut``: only a part of a long line, around what was found."""

    line: int
    offset: int
    time: str | None = None
    text: str | None = None
    bytes: _Raw | None = None
    cut: bool = False


class LogMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line that matches, of one attempt of one job, with as many lines around it as were asked for. Lines between two
    matches that are near each other come once: after the first or before the second."""

    job_id: str
    attempt: int
    found: FoundLine
    name: str | None = None
    before: list[FoundLine] = []
    after: list[FoundLine] = []


class SearchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a search is: attempts' logs and bytes looked through, lines found. ``problems``: what could not be read, in
    words. ``complete``: false while it goes on, and in the end if it stopped at its limit of matches."""

    logs: int
    bytes: int
    matches: int
    complete: bool
    problems: list[str] = []
