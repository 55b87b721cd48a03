"""Reading a request's body: bounded while it arrives, and JSON in the strict sense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Request

from spark_jobs.domain.errors import BodyTooLarge, InvalidJson
from spark_jobs.domain.fields import Place

_LONGEST_INTEGER = 40  # digits; no field takes more, and JSON readers elsewhere would change such a number
_DISCARDED = 16 * 1024 * 1024
"""Bytes past the limit that are taken and thrown away: who sends a little too much gets the answer instead of a reset."""
_HALF = "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character; take it out"
_THREAD_FROM = 256 * 1024  # bytes; below, decoding is quicker than the way to a thread


async def read_json(request: Request[Any, Any, Any], limit: int) -> object:
    """The body as plain objects; ``limit`` is in bytes.

    Raises:
        BodyTooLarge: it is larger, which is noticed before all of it is read.
        InvalidJson: it is not JSON, or says the same key twice.
    """
    raw = await read_body(request, limit)
    if len(raw) < _THREAD_FROM:
        return decode(raw)
    return await asyncio.to_thread(decode, raw)


def decode(raw: bytes) -> object:
    """Plain objects from JSON. Raises InvalidJson."""
    if not raw.strip():
        raise InvalidJson("the body is empty: send a JSON object")
    try:
        # The first reader is strict about UTF-8, surrogates and numbers; the second one sees repeated keys.
        msgspec.json.decode(raw)
        plain: object = json.loads(raw, object_pairs_hook=_object, parse_int=_integer)
    except UnicodeDecodeError:
        raise InvalidJson("the body is not UTF-8") from None
    except msgspec.MsgspecError as error:
        words = str(error).replace("JSON is malformed", "the body is not JSON")
        raise InvalidJson(_half_pair(raw) or words) from None
    except RecursionError:
        raise InvalidJson("the body is nested too deeply") from None
    except ValueError as error:
        raise InvalidJson(f"the body is not JSON: {error}") from None
    return plain


async def read_body(request: Request[Any, Any, Any], limit: int) -> bytes:
    """The body; ``limit`` is in bytes. Raises BodyTooLarge, and InvalidJson where it breaks off."""
    parts: list[bytes] = []
    size = 0
    while size <= limit + _DISCARDED:
        message = await request.receive()
        if message["type"] != "http.request":
            raise InvalidJson("the body ended before it was whole")
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        if not message.get("more_body", False):
            break
    if size > limit:
        raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit // 1024} KiB, the most that this address takes")


def _half_pair(raw: bytes) -> str | None:
    """What is wrong with a body that holds half of a surrogate pair, which JSON can write down and no text can hold; null
    for one that is wrong otherwise."""
    try:
        way = _way_to_half_pair(json.loads(raw))
    except (ValueError, RecursionError):
        return None
    if way is None:
        return None
    place = Place("#", [])
    for key in reversed(way):
        place = place.at(key)
    return f"the text at {place.pointer} {_HALF}"


def _way_to_half_pair(value: object) -> list[str | int] | None:
    """The keys that lead to the first one, the innermost first."""
    if isinstance(value, str):
        return None if _is_text(value) else []
    members: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    for key, member in members:
        way = _way_to_half_pair(member)
        if way is not None or not _is_text(str(key)):
            return [*(way or []), key]
    return None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise InvalidJson("the body says a key twice in one object: which value is meant can't be known")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise InvalidJson(f"the body holds a whole number of more than {_LONGEST_INTEGER} digits")
    return int(digits)
