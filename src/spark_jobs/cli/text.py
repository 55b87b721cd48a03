"""Text for people: nothing in it can move the cursor or hide something, and times are told in words."""

from __future__ import annotations

import re
from datetime import datetime

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
# What JSON and YAML let through raw and a terminal may obey: DEL, the C1 controls, and marks that reorder or hide text.
_UNSAFE = re.compile(r"[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def clean(text: str) -> str:
    """The text with everything that can't be printed written as an escape, so that a terminal only shows it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def clean_json(text: str) -> str:
    """JSON with the same meaning and nothing raw in it that a terminal might obey."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def is_safe(text: str) -> bool:
    """Whether a terminal shows the text and does nothing else; line breaks and the like are not looked at."""
    return _UNSAFE.search(text) is None


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def short_span(seconds: float) -> str:
    """A time span for a column or a limit: ``45s``, ``5m``, ``2h3m``, ``8d``; at most two units."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in _UNITS:
        count, rest = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
        elif parts:
            break
        left = rest
        if len(parts) == 2 or (unit == "d" and count >= 2):
            break
    return "".join(parts)


def span(seconds: float) -> str:
    """A time span in a sentence: ``12 s``, ``2 min 5 s``, ``3 h 4 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def about(seconds: float) -> str:
    """How far off something is, roughly: ``in about 40 s``, ``in about 3 min``; ``now`` for what is not."""
    if seconds < 1:
        return "now"
    for unit, size, largest in (("s", 1, 60), ("min", 60, 5400), ("h", 3600, 172_800)):
        if seconds < largest:
            return f"in about {max(1, round(seconds / size))} {unit}"
    return f"in about {round(seconds / 86400)} days"


def moment(time: datetime | None) -> str:
    """A time as RFC 3339 in UTC, to the second; nothing where there is none."""
    return "" if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")
