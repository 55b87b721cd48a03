"""How a chunk of a log is packed: zstd for its bytes, and for its stamps the differences from one to the next."""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from itertools import accumulate, islice
from operator import sub

import zstandard

_LEVEL = 3
_own = threading.local()  # a compressor serves one thread only, and making one costs more than a short chunk


class Damaged(Exception):
    """What is stored is not what was packed."""


def pack_data(data: bytes) -> bytes:
    """The bytes, packed, with a checksum."""
    compressor = getattr(_own, "compressor", None)
    if compressor is None:
        compressor = _own.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return bytes(compressor.compress(data))


def unpack_data(packed: bytes, size: int) -> bytes:
    """What :func:`pack_data` was given, ``size`` bytes of it.

    Raises:
        Damaged: it is not that.
    """
    promised = promised_size(packed)
    if promised != size:
        raise Damaged(f"{promised} bytes instead of {size}" if promised is not None else "its header makes no sense")
    try:
        return bytes(zstandard.ZstdDecompressor().decompress(packed))
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from error


def promised_size(packed: object) -> int | None:
    """How many bytes it says it holds, which need not be true; null for what was not packed by us."""
    try:
        return zstandard.frame_content_size(packed) if isinstance(packed, bytes) else None
    except zstandard.ZstdError:
        return None


def pack_stamps(stamps: Sequence[int]) -> bytes:
    """Nanoseconds, packed: the first, then the differences, which are small and alike."""
    if not stamps:
        return b""
    differences = map(sub, islice(stamps, 1, None), stamps)
    return pack_data(struct.pack(f"<{len(stamps)}q", stamps[0], *differences))


def unpack_stamps(packed: bytes, count: int) -> tuple[int, ...]:
    """What :func:`pack_stamps` was given, ``count`` of them.

    Raises:
        Damaged: it is not that.
    """
    if not count:
        return ()
    return tuple(accumulate(struct.unpack(f"<{count}q", unpack_data(packed, count * 8))))


def start_of_line(data: bytes, back: int) -> int:
    """Where the line begins that is number ``back`` from the end (from 1) of those that begin in ``data``."""
    at = len(data) - 1  # a newline at the very end begins no line
    for _ in range(back):
        at = data.rfind(b"\n", 0, max(0, at))
    return at + 1
