"""Durations, Kubernetes quantities and sizes. Every function that reads one raises ValueError saying what to write."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction

LONGEST_DURATION = 3650 * 86400.0

_UNITS = {"d": Fraction(86400), "h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_DURATION_FORMS = "write seconds, or 90s, 5m, 1h30m, 2d, 500ms"

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?")
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", start=1)},
}
_QUANTITY_MAX = 2**63 - 1
_LONGEST_TEXT = 64


def parse_duration(value: object, *, zero: bool = False) -> float:
    """Seconds from a number of seconds or from text such as ``90``, ``5m``, ``1h30m``; 0 only where ``zero`` allows it.

    Raises:
        ValueError: not a duration, negative, 0, or longer than ten years.
    """
    seconds = _seconds(value)
    if seconds < 0 or (seconds == 0 and not zero):
        raise ValueError("a duration can't be negative" if seconds < 0 else "a duration must be longer than 0")
    if seconds > LONGEST_DURATION:
        raise ValueError("a duration can't be longer than ten years (3650d)")
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"not a finite number; {_DURATION_FORMS}")
        return float(min(value, LONGEST_DURATION + 1))
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError(f"not a duration; {_DURATION_FORMS}")
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _PART.findall(text.removeprefix("-"))
    units = [unit for _, unit in parts]
    in_order = units == [unit for unit in _UNITS if unit in units]
    if not parts or "".join(number + unit for number, unit in parts) != text.removeprefix("-") or not in_order:
        raise ValueError(f"not a duration; {_DURATION_FORMS}")
    total = sum((Fraction(number) * _UNITS[unit] for number, unit in parts), Fraction(0))
    return float(-total if text.startswith("-") else total)


def duration_text(seconds: float) -> str:
    """Seconds as people write them: ``5m``, ``1h30m``, ``2d``, ``500ms``, ``0s``; read back it is the same duration."""
    rest = Fraction(Decimal(repr(float(seconds))))
    parts = []
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    milliseconds = rest * 1000
    if rest and not parts and rest < 1 and milliseconds.denominator == 1:
        return f"{milliseconds}ms"
    if rest or not parts:
        parts.append(f"{float(rest):.15f}".rstrip("0").rstrip(".") + "s" if rest.denominator != 1 else f"{rest}s")
    return "".join(parts)


def parse_quantity(text: str) -> Fraction:
    """The exact value of a Kubernetes quantity such as ``500m``, ``2``, ``8Gi``, ``1e3``.

    Raises:
        ValueError: not a quantity, negative, or beyond 2**63 - 1.
    """
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise ValueError('not a quantity; write one such as "500m", "2", "512Mi" or "8Gi"')
    number, suffix = match.group(1), match.group(2) or ""
    factor = _SUFFIXES[suffix] if suffix in _SUFFIXES else Fraction(10) ** int(suffix[1:])
    value = Fraction(number) * factor
    if value < 0:
        raise ValueError("a quantity can't be negative")
    if value > _QUANTITY_MAX:
        raise ValueError("this quantity is larger than Kubernetes can count (2^63 - 1)")
    return value


def parse_bytes(text: str) -> int:
    """Whole bytes from a Kubernetes quantity.

    Raises:
        ValueError: not a quantity, or parts of a byte: ``512m`` is thousandths of a byte, not megabytes.
    """
    value = parse_quantity(text)
    if text.endswith(("m", "u", "n")):
        number = text[:-1]
        means = f'"{text}" means {number} {_SMALL[text[-1]]} of a byte'
        raise ValueError(f'{means}; write "{number}Mi" (mebibytes) or "{number}M" (megabytes)')
    if value.denominator != 1:
        raise ValueError(f'"{text}" is not a whole number of bytes; write one such as "512Mi" or "8Gi"')
    return int(value)


_SMALL = {"m": "thousandths", "u": "millionths", "n": "billionths"}


def parse_size(value: object) -> int:
    """Bytes from a number, a quantity, or a quantity that ends in ``B`` (``10GiB``, ``500MB``).

    Raises:
        ValueError: not a size.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a size can't be negative")
        return value
    if isinstance(value, str):
        text = value.strip()
        return parse_bytes(text[:-1] if text.endswith("B") and text[-2:-1].isalpha() else text)
    raise ValueError('not a size; write one such as "10GiB", "500MB" or a number of bytes')


def canonical_quantity(text: str) -> str:
    """One spelling for each value: ``1024Mi`` and ``1Gi`` are both ``1073741824``; ``500m`` and ``0.5`` are ``1/2``."""
    return str(parse_quantity(text))
