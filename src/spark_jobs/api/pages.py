"""Page tokens: opaque, and bound to the filters they were made for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable

from spark_jobs.domain.errors import InvalidPageToken

_PAGING = ("page_token", "page_size")
_CHECK = 12
_AFTER = struct.Struct(">q")


def filters(pairs: Iterable[tuple[str, str]]) -> bytes:
    """The filters of a query as bytes that are equal for equal filters."""
    return repr(sorted(pair for pair in pairs if pair[0] not in _PAGING)).encode()


def page_token(after: int, bound: bytes) -> str:
    """The token for the page after this place in the list, for these filters."""
    packed = _AFTER.pack(after)
    return base64.urlsafe_b64encode(packed + _check(packed, bound)).decode().rstrip("=")


def read_page_token(token: str, bound: bytes) -> int:
    """The place in the list that the token stands for.

    Raises:
        InvalidPageToken: it was not made here, or for other filters.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    packed, check = raw[: _AFTER.size], raw[_AFTER.size :]
    if len(packed) != _AFTER.size or check != _check(packed, bound):
        raise InvalidPageToken(
            "the page token does not belong to these filters: send it with the same filters as the page it came with, "
            "or leave it out to begin anew"
        )
    after: int = _AFTER.unpack(packed)[0]
    return after


def _check(packed: bytes, bound: bytes) -> bytes:
    return hashlib.sha256(packed + bound).digest()[:_CHECK]
