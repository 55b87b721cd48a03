"""One attempt's log on its way to a sink: the names it has there, its text packed, and what is told of it beside."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import zstandard

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.job import Attempt, Job
from spark_jobs.domain.plain import mask, spec_to_plain
from spark_jobs.store.base import LogStore

_PIECE = 256 * 1024  # packed bytes that are handed on at once, at least
_LEVEL = 3


class Torn(Exception):
    """The stored log is being forgotten, or was while it was read."""


class Parcel:
    """What is sent for one attempt, whose log is settled: the text first, then the note, so that where there is a note
    the text beside it is whole. Sent again it has the same names and says the same."""

    def __init__(self, instance: str, job: Job, attempt: Attempt, due_at: datetime) -> None:
        self._instance = instance
        self._job = job
        self._attempt = attempt
        day = (attempt.finished_at or due_at).astimezone(UTC).strftime("%Y/%m/%d")
        self._name = f"{instance}/{day}/{job.id}/{attempt.attempt}"
        self._hash = hashlib.sha256()
        self._bytes = self._missing = self.size = 0

    @property
    def text_name(self) -> str:
        """The name of the packed text."""
        return f"{self._name}.log.zst"

    @property
    def note_name(self) -> str:
        """The name of what is told of it."""
        return f"{self._name}.json"

    async def text(self, store: LogStore) -> AsyncIterator[bytes]:
        """The stored log as one zstd frame, piece by piece; ``size`` is their sum. Raises Torn."""
        key = AttemptKey(self._job.id, self._attempt.attempt)
        end = (await store.log_point(key)).bytes
        if not end and self._attempt.log.bytes:
            raise Torn
        packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
        held = bytearray()
        at = 0
        async for chunk in store.log_read(key):
            self._missing += chunk.offset - at
            at = chunk.offset + len(chunk.data)
            held += await asyncio.to_thread(self._pack, packer, chunk.data)
            if len(held) >= _PIECE:
                yield self._handed_on(held)
                held.clear()
        held += packer.flush()
        if at != end or (await store.log_point(key)).bytes != end:
            raise Torn
        yield self._handed_on(held)

    def _pack(self, packer: zstandard.ZstdCompressionObj, data: bytes) -> bytes:
        self._hash.update(data)
        self._bytes += len(data)
        return packer.compress(data)

    def _handed_on(self, held: bytearray) -> bytes:
        self.size += len(held)
        return bytes(held)

    def note(self) -> bytes:
        """What is told of the text, as JSON, once it was read to its end: of the job only what never changes, its spec as
        it is shown to everybody. ``missing_bytes`` are those that were damaged in the store."""
        job = self._job
        told = {
            "instance": self._instance,
            "job": {
                "id": job.id,
                "created_at": job.created_at,
                "retry_of": job.retry_of,
                "spec": spec_to_plain(mask(job.spec)),
            },
            "attempt": msgspec.to_builtins(_unsent(self._attempt)),
            "text": {
                "object": self.text_name.rpartition("/")[2],
                "object_bytes": self.size,
                "bytes": self._bytes,
                "missing_bytes": self._missing,
                "lines": self._attempt.log.lines,
                "sha256": self._hash.hexdigest(),
            },
        }
        return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def _unsent(attempt: Attempt) -> Attempt:
    """As it was before it was sent, so that a log that is sent again is told of alike."""
    return msgspec.structs.replace(attempt, log=msgspec.structs.replace(attempt.log, archived=None))
