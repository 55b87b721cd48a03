"""Answers compressed on their way, for those who accept it."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import zstandard

from spark_jobs.api.stream import closing

AT_ONCE = 16
"""How many answers are compressed at a time, about: each takes up to 1 MiB of memory, however slowly it is read."""

_LEVEL = 1  # logs shrink well at any level, and the server has other things to do
_WINDOW_LOG = 17  # zstd looks back so far (2**17 bytes), and keeps that much
_CODING = re.compile(r"\s*([a-z0-9*_.+-]+)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE)


class _Packer(Protocol):
    def compress(self, data: bytes, /) -> bytes:
        """What can be handed on now."""

    def flush(self) -> bytes:
        """The rest."""


def _gzip() -> _Packer:
    return zlib.compressobj(_LEVEL, wbits=zlib.MAX_WBITS + 16)


def _zstd() -> _Packer:
    parameters = zstandard.ZstdCompressionParameters.from_level(_LEVEL, window_log=_WINDOW_LOG, write_checksum=True)
    packer: _Packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer


_PACKERS: dict[str, Callable[[], _Packer]] = {"zstd": _zstd, "gzip": _gzip}  # the best comes first


class Packing:
    """Compresses answers, unless too many are being compressed already."""

    def __init__(self) -> None:
        self._under_way = 0

    def coding(self, accepted: str) -> str | None:
        """The coding to use for a caller who accepts these (``Accept-Encoding``); null: none."""
        if self._under_way >= AT_ONCE:
            return None
        weights = _weights(accepted)
        plain = weights.get("identity", 0.0)
        best = max(_PACKERS, key=lambda name: weights.get(name, 0.0))  # of equal ones, the first
        weight = weights.get(best, 0.0)
        return best if weight > 0 and weight >= plain else None

    async def packed(self, coding: str, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The pieces, compressed in another thread."""
        self._under_way += 1
        try:
            packer = _PACKERS[coding]()
            async with closing(pieces):
                async for piece in pieces:
                    if data := await asyncio.to_thread(packer.compress, piece):
                        yield data
            yield await asyncio.to_thread(packer.flush)
        finally:
            self._under_way -= 1


def _weights(accepted: str) -> dict[str, float]:
    """How much each coding is wanted; what can't be read is not wanted."""
    found: dict[str, float] = {}
    for part in accepted.split(","):
        match = _CODING.fullmatch(part)
        if match is not None:
            found[match[1].lower()] = float(match[2] or 1)
    if "*" in found:
        found = dict.fromkeys(_PACKERS, found["*"]) | found
    return found
