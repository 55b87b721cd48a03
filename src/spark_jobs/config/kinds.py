"""The kinds of values that settings have: how each is read and shown.

A value comes as text (flag, environment) or as what TOML makes of it. What can't be read raises ValueError with what to
write instead; the value itself is not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from spark_jobs.domain.nearest import did_you_mean
from spark_jobs.domain.quantities import duration_text, parse_duration, parse_size
from spark_jobs.sinks.address import SinkAddress, parse_address

IN_CLUSTER = "in-cluster"
_TRUTH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class Base(NamedTuple):
    """What paths are relative to: the user's home for ``~``, a folder (the file's own) for the others.

    ``home`` is null for a user without one, as in many containers.
    """

    home: Path | None
    folder: Path = Path()


class Kind(NamedTuple):
    """One kind of value; ``show`` gives text that ``read`` takes."""

    name: str
    read: Callable[[object, Base], Any]
    show: Callable[[Any], str] = str
    choices: tuple[str, ...] = ()
    is_list: bool = False


def whole(lowest: int, highest: int) -> Kind:
    """A whole number within bounds."""

    def read(raw: object, _base: Base) -> int:
        value = _converted(int, raw)
        if value is None or not lowest <= value <= highest:
            raise ValueError(f"write a whole number from {lowest} to {highest}")
        return value

    return Kind("whole number", read)


Number = TypeVar("Number", int, float)


def _converted(to: type[Number], raw: object) -> Number | None:
    """The number that TOML or text holds; TOML's own float is no whole number, and true is no number."""
    if isinstance(raw, bool) or not isinstance(raw, int | str | to):
        return None
    try:
        return to(raw)
    except (ValueError, OverflowError):
        return None


def _number(raw: object, _base: Base) -> float:
    value = _converted(float, raw)
    if value is None or not math.isfinite(value) or value < 0:
        raise ValueError("write a number that is not negative, such as 20 or 0.5")
    return value


def _duration(raw: object, _base: Base) -> float:
    return parse_duration(raw, zero=True)


def _limit(raw: object, _base: Base) -> float | None:
    if raw == "none":
        return None
    try:
        return parse_duration(raw)
    except ValueError as error:
        raise ValueError(f'{error}; "none" means no limit') from None


def _size(raw: object, _base: Base) -> int:
    return parse_size(raw)


def _show_size(size: int) -> str:
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        step = 1024 ** ("KMGT".index(unit[0]) + 1)
        if size and size % step == 0:
            return f"{size // step}{unit}"
    return str(size)


def _port_or_none(raw: object, base: Base) -> int | None:
    if raw == "none":
        return None
    try:
        port: int = PORT.read(raw, base)
    except ValueError as error:
        raise ValueError(f'{error}; "none" is no port at all') from None
    return port


def _boolean(raw: object, _base: Base) -> bool:
    word = str(raw).lower() if isinstance(raw, bool | str) else ""
    if word not in _TRUTH:
        raise ValueError("write true or false")
    return _TRUTH[word]


def truth(text: str) -> bool:
    """What a text means that says yes or no. Raises ValueError."""
    return _boolean(text, Base(None))


def choice(*known: str) -> Kind:
    """One of a few words."""

    def read(raw: object, _base: Base) -> str:
        if isinstance(raw, str) and raw in known:
            return raw
        meant = did_you_mean(raw, known) if isinstance(raw, str) else ""
        raise ValueError(f"write one of {', '.join(known)}{meant}")

    return Kind(" or ".join(f"`{word}`" for word in known), read, choices=known)


def text(problem: Callable[[str], str | None] = lambda _: None, *, name: str = "text") -> Kind:
    """Text that keeps to a rule; ``problem`` gives the end of a sentence about the value."""

    def read(raw: object, _base: Base) -> str:
        return _word(raw, problem)

    return Kind(name, read, show=_show_text)


def words(problem: Callable[[str], str | None] = lambda _: None, *, name: str = "list") -> Kind:
    """Several texts: a list, or text with commas."""

    def read(raw: object, _base: Base) -> tuple[str, ...]:
        items = raw if isinstance(raw, list | tuple) else [raw]
        parts = [part for item in items for part in (item.split(",") if isinstance(item, str) else [item])]
        return tuple(_word(part, problem) for part in parts if part != "")

    return Kind(name, read, show=", ".join, is_list=True)


def _word(raw: object, problem: Callable[[str], str | None]) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("must be text and must not be empty")
    word = raw.strip()
    wrong = problem(word)
    if wrong:
        raise ValueError(wrong)
    return word


def _show_text(value: str | None) -> str:
    return value or ""


def _path(raw: object, base: Base) -> Path:
    if isinstance(raw, Path):
        raw = str(raw)
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError("must be a path and must not be empty")
    parts = Path(raw).parts
    return _home(base).joinpath(*parts[1:]) if parts[:1] == ("~",) else base.folder / raw


def _home(base: Base) -> Path:
    if base.home is None:
        raise ValueError("this user has no home folder: set HOME, or write a whole path")
    return base.home


def _sink(raw: object, _base: Base) -> SinkAddress:
    return parse_address(_word(raw, lambda _: None))


def _show_sink(address: SinkAddress | None) -> str:
    return address.url if address else ""


def _kubeconfig(raw: object, base: Base) -> str:
    if raw in ("", IN_CLUSTER):
        return IN_CLUSTER
    if raw == "default":
        return str(_home(base) / ".kube" / "config")
    return str(_path(raw, base))


def _show_path(path: Path | None) -> str:
    return str(path) if path else ""


PORT = whole(0, 65535)
PORT_OR_NONE = Kind("port or `none`", _port_or_none, show=lambda port: "none" if port is None else str(port))
BOOLEAN = Kind("`true` or `false`", _boolean, show=lambda value: str(value).lower(), choices=("true", "false"))
NUMBER = Kind("number", _number, show=lambda value: f"{value:g}")
DURATION = Kind("duration", _duration, show=duration_text)
LIMIT = Kind("duration or `none`", _limit, show=lambda value: "none" if value is None else duration_text(value))
SIZE = Kind("size", _size, show=_show_size)
PATH = Kind("path", _path, show=_show_path)
SINK = Kind("URL", _sink, show=_show_sink)
KUBECONFIG = Kind("path", _kubeconfig, show=_show_text)
