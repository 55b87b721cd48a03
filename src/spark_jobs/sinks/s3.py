"""An S3-compatible object store as a sink. Needs the extra ``s3``.

Endpoint, region and credentials come from where obstore takes them: the ``AWS_*`` names in the environment, else the
identity of the instance or the pod. Spark itself only looks whether an endpoint is an address.

Requests block threads: a request of obstore's own asynchronous kind ends in a thread that Python does not know, and a
process that ends in that moment is aborted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from spark_jobs.domain.errors import SettingError, SinkUnavailable
from spark_jobs.sinks.address import BucketAddress
from spark_jobs.sinks.threads import in_thread

PART = 5 * 1024 * 1024
"""Bytes in each part of a large object, the least that S3 takes: the largest object has 10,000 of them, or 48 GiB."""

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_PARTS_AT_ONCE = 2
_RETRIES = 2
_CODE = re.compile(r"<Code>(.{1,100}?)</Code>")
_MESSAGE = re.compile(r"<Message>(.{1,300}?)</Message>")
_CAUSE = re.compile(r'(?:message|error): "([^"\n]{1,200})"|InvalidCertificate\(\s*(\w+)')
_USER_INFO = re.compile(r"//[^/@\s]*@")


class S3Sink:
    """Keeps objects in a bucket. Raises SettingError where the environment's settings make no sense."""

    def __init__(self, address: BucketAddress) -> None:
        self._url = address.url
        _check_endpoint(os.environ)
        try:
            self._store = S3Store(
                address.bucket,
                prefix=address.prefix or None,
                # An endpoint without TLS is one that was named so; without a name it is the region's own, with TLS.
                client_options={"allow_http": True},
                retry_config={"max_retries": _RETRIES},
            )
        except (BaseError, ValueError) as error:
            raise SettingError(f"log_sink: {_said(error)}; see the AWS_* variables", setting="log_sink") from None

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """See ``Sink.put``. What fits into one part is sent at once, which costs one request instead of three."""
        head, ended = await _head(pieces)
        if ended:
            await self._do(lambda: obstore.put(self._store, name, head, use_multipart=False))
            return
        parts = _Parts(head, pieces, asyncio.get_running_loop())
        await self._do(
            lambda: obstore.put(
                self._store, name, iter(parts), chunk_size=PART, max_concurrency=_PARTS_AT_ONCE, use_multipart=True
            ),
            cut=parts.cut,
        )

    async def delete(self, name: str) -> None:
        """See ``Sink.delete``."""
        await self._do(lambda: obstore.delete(self._store, name))

    def address(self, name: str) -> str:
        """See ``Sink.address``."""
        return f"{self._url}/{name}"

    async def _do(self, request: Callable[[], object], cut: Callable[[], None] = lambda: None) -> None:
        """Wait for a request. A cancellation cuts it off first and leaves it a moment to clean up: parts of an object
        that never came about would stay in the bucket, unseen, and cost."""
        try:
            await in_thread(request, cut=cut)
        except (BaseError, FileNotFoundError) as error:
            raise SinkUnavailable(f"{self._url}: {_said(error)}") from None


def _check_endpoint(environ: Mapping[str, str]) -> None:
    """Raise SettingError where the endpoint is no address, which obstore finds out late, and then panics."""
    for name in _ENDPOINTS:
        if value := environ.get(name):
            try:
                url = urlsplit(value)
                right = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
            except ValueError:
                right = False
            if not right:
                text = f"{name}: write an address such as https://minio.example.com:9000"
                raise SettingError(text, setting="log_sink")


class _Parts:
    """The pieces of an object for a thread, which asks the event loop for each; they can be cut off from there."""

    def __init__(self, head: bytes, pieces: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._head = head
        self._pieces = pieces
        self._loop = loop
        self._asked: concurrent.futures.Future[bytes | None] | None = None
        self._cut = False

    def cut(self) -> None:
        """Let there be an error instead of the next piece."""
        self._cut = True
        if self._asked is not None:
            self._asked.cancel()

    def __iter__(self) -> Iterator[bytes]:
        """The pieces; raises SinkUnavailable once they are cut off."""
        yield self._head
        while not self._cut:
            self._asked = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            try:
                piece = self._asked.result()
            except concurrent.futures.CancelledError:
                break
            if piece is None:
                return
            yield piece
        raise SinkUnavailable("cut off")

    async def _next(self) -> bytes | None:
        return await anext(self._pieces, None)


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
    if told:
        return ": ".join(told)
    first = _USER_INFO.sub("//***@", text.partition("\n")[0])[:500]
    cause = _CAUSE.search(text)
    return f"{first} ({cause[1] or cause[2]})" if cause else first
