"""Reading one plain value at a time: where it stands, what is wrong with it, and go on.

A reader takes a value and its place, and returns what the spec holds; what is wrong it reports at the place and returns
null. So one pass finds every fault. No message holds the value of a text: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from spark_jobs.domain.errors import Fault
from spark_jobs.domain.nearest import did_you_mean, nearest
from spark_jobs.domain.quantities import parse_duration

_SHOWN = 60
_UNKNOWN_SHOWN = 20
_LARGE = 10**18
_SURROGATE = re.compile("[\ud800-\udfff]")
_POINTER_SAFE = "!$&'()*+,;=:@?/-._~"


class Place:
    """A place in a document, as a JSON pointer, with the list that the document's faults go to."""

    __slots__ = ("faults", "pointer")

    def __init__(self, pointer: str, faults: list[Fault]) -> None:
        self.pointer = pointer
        self.faults = faults

    def at(self, key: str | int) -> Place:
        """The place of a member or an item."""
        token = str(key).replace("~", "~0").replace("/", "~1")
        return Place(f"{self.pointer}/{quote(token, safe=_POINTER_SAFE, errors='replace')}", self.faults)

    def fault(self, code: str, detail: str) -> None:
        """Report what is wrong here, and what to do about it."""
        self.faults.append(Fault(pointer=self.pointer, detail=detail, code=code))


Reader: TypeAlias = Callable[[object, Place], Any]


def shown(name: str) -> str:
    """A name in a message: without line breaks or control characters, and never long."""
    cut = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut)


def got(value: object) -> str:
    """What kind of value was found; numbers and truth values are shown, texts are not."""
    match value:
        case None:
            return "got null"
        case bool():
            return f"got {str(value).lower()}"
        case int() | float():
            return f"got the number {value!r}" if abs(value) < _LARGE else "got a very large number"
        case str():
            return "got text"
        case list() | tuple():
            return "got a list"
        case Mapping():
            return "got an object"
    return f"got a {type(value).__name__}"


def text(value: object, place: Place) -> str | None:
    """Text without NUL that can be written as UTF-8."""
    if isinstance(value, str):
        return value if _is_clean(value, place) else None
    if isinstance(value, bool):
        place.fault("wrong_type", f'{got(value)}, write "{str(value).lower()}"')
    elif isinstance(value, int | float) and abs(value) < _LARGE:
        place.fault("wrong_type", f'{got(value)}, write "{value!r}"')
    else:
        empty = '; write "" for empty text' if value is None else ""
        place.fault("wrong_type", f"{got(value)}, must be text{empty}")
    return None


def _is_clean(value: str, place: Place) -> bool:
    if "\0" in value:
        place.fault("invalid_value", "holds a NUL character, which no program can be given; take it out")
    elif not value.isascii() and _SURROGATE.search(value):
        place.fault("invalid_value", "holds half of a surrogate pair, which is no character; take it out")
    else:
        return True
    return False


def named(problem: Callable[[str], str | None]) -> Reader:
    """A reader of text that keeps to a rule of :mod:`spark_jobs.domain.names`."""

    def read(value: object, place: Place) -> str | None:
        word = text(value, place)
        if word is None:
            return None
        wrong = "must not be empty; leave it out instead" if word == "" else problem(word)
        if wrong is None:
            return word
        place.fault("invalid_value", f"`{shown(word)}` {wrong}" if word else wrong)
        return None

    return read


def choice(*known: str) -> Reader:
    """A reader of one of a few words."""

    def read(value: object, place: Place) -> str | None:
        word = text(value, place)
        if word is None or word in known:
            return word
        meant = nearest(word, known)
        hint = f"; did you mean `{meant}`?" if meant else ""
        place.fault("invalid_value", f"must be one of {', '.join(known)}{hint}")
        return None

    return read


def whole(lowest: int, highest: int) -> Reader:
    """A reader of a whole number within bounds."""

    def read(value: object, place: Place) -> int | None:
        if isinstance(value, str) and re.fullmatch("-?[0-9]{1,18}", value):
            place.fault("wrong_type", f"got text, write {int(value)} without quotes")
        elif isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            place.fault("wrong_type", f"{got(value)}, must be a whole number from {lowest} to {highest}")
        elif not lowest <= value <= highest:
            place.fault("out_of_range", f"{got(value)}, must be from {lowest} to {highest}")
        else:
            return int(value)
        return None

    return read


def boolean(value: object, place: Place) -> bool | None:
    """True or false."""
    if isinstance(value, bool):
        return value
    quotes = " without quotes" if isinstance(value, str) else ""
    place.fault("wrong_type", f"{got(value)}, write true or false{quotes}")
    return None


def duration(*, zero: bool = False, none: bool = False) -> Reader:
    """A reader of a duration; gives seconds, and the word "none" where that is allowed."""

    def read(value: object, place: Place) -> float | str | None:
        if none and value == "none":
            return "none"
        if value is None or isinstance(value, bool):
            place.fault("wrong_type", f'{got(value)}, write a duration such as 90 or "5m"')
            return None
        try:
            return parse_duration(value, zero=zero)
        except ValueError as error:
            more = '; "none" means no limit' if none else ""
            place.fault("invalid_value", f"{error}{more}")
            return None

    return read


def list_of(item: Reader, *, most: int = 1000) -> Reader:
    """A reader of a list; null where an item is wrong."""

    def read(value: object, place: Place) -> list[Any] | None:
        if not isinstance(value, list | tuple):
            place.fault("wrong_type", f"{got(value)}, must be a list")
            return None
        if len(value) > most:
            place.fault("too_long", f"has {len(value)} items; at most {most} are allowed")
            return None
        return [item(one, place.at(number)) for number, one in enumerate(value)]

    return read


def map_of(key: Callable[[str, Place], bool], item: Callable[[str, object, Place], Any], *, most: int = 1000) -> Reader:
    """A reader of an object whose member names are the user's; ``key`` reports what is wrong with a name."""

    def read(value: object, place: Place) -> dict[str, Any] | None:
        if not isinstance(value, Mapping):
            place.fault("wrong_type", f"{got(value)}, must be an object of names and values")
            return None
        if len(value) > most:
            place.fault("too_long", f"has {len(value)} members; at most {most} are allowed")
            return None
        members: dict[str, Any] = {}
        for name, one in value.items():
            if not isinstance(name, str):
                place.fault("wrong_type", f"a name here is not text: {got(name)}; put it in quotes")
            elif key(name, place.at(name)):
                members[name] = item(name, one, place.at(name))
        return members

    return read


def members(
    value: object, place: Place, known: Mapping[str, Reader], refused: Mapping[str, str]
) -> dict[str, Any] | None:
    """The known members of an object, read; null ones count as left out. Unknown and refused names are reported.

    Returns null if the value is no object.
    """
    if not isinstance(value, Mapping):
        place.fault("wrong_type", f"{got(value)}, must be an object with {_some(known)}")
        return None
    _unknown([name for name in value if name not in known], place, known, refused)
    return {name: known[name](one, place.at(name)) for name, one in value.items() if name in known and one is not None}


def _unknown(names: Collection[object], place: Place, known: Mapping[str, Reader], refused: Mapping[str, str]) -> None:
    for number, name in enumerate(names):
        if number == _UNKNOWN_SHOWN:
            place.fault("unknown_field", f"{len(names) - number} more unknown fields")
            return
        if not isinstance(name, str):
            place.fault("unknown_field", f"a field's name is not text: {got(name)}")
        elif name in refused:
            place.at(name).fault("not_allowed", refused[name])
        else:
            place.at(name).fault("unknown_field", f"unknown field `{shown(name)}`{did_you_mean(name, known)}")


def _some(known: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in list(known)[:3]) + (", …" if len(known) > 3 else "")
