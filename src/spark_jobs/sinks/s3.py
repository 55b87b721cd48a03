"""An S3-compatible object store as a sink. Needs the extra ``s3``.

Endpoint, region and credentials come from where obstore takes them: the ``AWS_*`` names in the environment, else the
identity of the instance or the pod. Spark itself reads none of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from spark_jobs.domain.errors import SettingError, SinkUnavailable
from spark_jobs.sinks.address import BucketAddress

PART = 5 * 1024 * 1024
"""Bytes in each part of a large object, the least that S3 takes: the largest object has 10,000 of them, or 48 GiB."""

_PARTS_AT_ONCE = 2
_LAST_WORD = 5.0  # seconds
_RETRIES = 3
_CODE = re.compile(r"<Code>(.{1,100}?)</Code>")
_MESSAGE = re.compile(r"<Message>(.{1,300}?)</Message>")
_USER_INFO = re.compile(r"//[^/@\s]*@")


class S3Sink:
    """Keeps objects in a bucket. Raises SettingError where the environment's settings make no sense."""

    def __init__(self, address: BucketAddress) -> None:
        self._url = address.url
        try:
            self._store = S3Store(
                address.bucket,
                prefix=address.prefix or None,
                # An endpoint without TLS is one that was named so; without a name it is the region's own, with TLS.
                client_options={"allow_http": True, "timeout": timedelta(minutes=2)},
                retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(minutes=1)},
            )
        except (BaseError, ValueError) as error:
            raise SettingError(f"log_sink: {_said(error)}; see the AWS_* variables", setting="log_sink") from None

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """See ``Sink.put``. What fits into one part is sent at once, which costs one request instead of three."""
        head, ended = await _head(pieces)
        if ended:
            await self._do(obstore.put_async(self._store, name, head, use_multipart=False))
            return
        parts = _Parts(head, pieces)
        sending = obstore.put_async(
            self._store, name, parts.all(), chunk_size=PART, max_concurrency=_PARTS_AT_ONCE, use_multipart=True
        )
        await self._do(sending, cut=parts.cut)

    async def delete(self, name: str) -> None:
        """See ``Sink.delete``."""
        await self._do(obstore.delete_async(self._store, name))

    def address(self, name: str) -> str:
        """See ``Sink.address``."""
        return f"{self._url}/{name}"

    async def _do(self, request: Coroutine[Any, Any, object], cut: Callable[[], None] = lambda: None) -> None:
        """Wait for a request. A cancellation cuts it off first and leaves it a moment to clean up: parts of an object
        that never came about would stay in the bucket, unseen, and cost."""
        running = asyncio.ensure_future(request)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            cut()
            await asyncio.wait([running], timeout=_LAST_WORD)
            running.cancel()
            raise
        except (BaseError, FileNotFoundError) as error:
            raise SinkUnavailable(f"{self._url}: {_said(error)}") from None


class _Parts:
    """The pieces of an object, which can be cut off from outside."""

    def __init__(self, head: bytes, pieces: AsyncIterator[bytes]) -> None:
        self._head = head
        self._pieces = pieces
        self._cut = False

    def cut(self) -> None:
        """Let the next piece be an error."""
        self._cut = True

    async def all(self) -> AsyncIterator[bytes]:
        """The pieces; raises SinkUnavailable once they are cut off."""
        yield self._head
        async for piece in self._pieces:
            if self._cut:
                raise SinkUnavailable("cut off")
            yield piece


async def _head(pieces: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The beginning of an object, a part of it at most, and whether that is all."""
    head = bytearray()
    async for piece in pieces:
        head += piece
        if len(head) >= PART:
            return bytes(head), False
    return bytes(head), True


def _said(error: Exception) -> str:
    """What the object store said, in one line: its own code and message, else what went wrong on the way. Never what a
    request was signed with: that stands further down in the answer, or in the address."""
    text = str(error)
    told = [found[1] for found in (_CODE.search(text), _MESSAGE.search(text)) if found]
    return ": ".join(told) if told else _USER_INFO.sub("//***@", text.partition("\n")[0])[:500]
