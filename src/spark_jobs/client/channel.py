"""One gRPC channel to one server: messages in, answers or the errors of the one tree out."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
import grpc.aio
import msgspec
from google.protobuf.message import DecodeError, Message

from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.client.address import Address
from spark_jobs.client.link import READ_TIMEOUT, SILENCE
from spark_jobs.client.status import error_from
from spark_jobs.domain.errors import InvalidSpec, ServerUnreachable, SettingError

LARGEST_ANSWER = 8 * 1024 * 1024
LARGEST_ERROR = 256 * 1024
"""Bytes of headers: an error's details are one."""
CONNECT_TIMEOUT = 5.0
PING_AFTER, PING_TIMEOUT = 15.0, 10.0
"""Seconds of silence after which a connection is asked for a sign of life, and in which one must come."""

_SERVICE = pb.DESCRIPTOR.services_by_name["JobService"].full_name
_DEFAULT_PORT = 9000

_T = TypeVar("_T")


class Channel:
    """Calls methods of one server with its token; no proxy on loopback. Belongs to the event loop that first uses it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._credentials = _credentials() if address.url.startswith("grpcs:") else None
        self._opened: grpc.aio.Channel | None = None

    async def close(self) -> None:
        """Close the connection; calls under way end."""
        if self._opened is not None:
            await self._opened.close()

    async def call(
        self, method: str, request: Message, read: Callable[[bytes], _T], *, timeout: float = READ_TIMEOUT
    ) -> _T:
        """One request and what ``read`` makes of its answer, which may take ``timeout`` seconds.

        Raises:
            ServerUnreachable: no answer, or none of a Spark server. SparkError: whatever the server said instead.
        """
        try:
            ask: Any = self._channel().unary_unary(_path(method), _serialized)
            answer: bytes = await ask(request, timeout=timeout, metadata=self._metadata())
        except grpc.aio.AioRpcError as error:
            raise error_from(error, url=self.address.url) from error
        return self._understood(answer, read)

    async def exchange(
        self, method: str, requests: Iterable[Message], read: Callable[[bytes], _T], *, timeout: float
    ) -> list[_T]:
        """Several requests and what ``read`` makes of each of the answers, together within ``timeout`` seconds.

        Raises as :meth:`call`.
        """
        try:
            ask: Any = self._channel().stream_stream(_path(method), _serialized)
            call = ask(iter(requests), timeout=timeout, metadata=self._metadata())
            answers: list[bytes] = [answer async for answer in call]
        except grpc.aio.AioRpcError as error:
            raise error_from(error, url=self.address.url) from error
        return [self._understood(answer, read) for answer in answers]

    async def stream(
        self,
        method: str,
        request: Message,
        read: Callable[[bytes], _T],
        *,
        begun: Callable[[Mapping[str, str]], _T | None] | None = None,
    ) -> AsyncGenerator[_T, None]:
        """One request and what ``read`` makes of each of its answers, as they come, for as long as it takes; before them
        what ``begun`` makes of the metadata, if anything.

        Raises as :meth:`call`, also when the stream breaks off.
        """
        ask: Any = self._channel().unary_stream(_path(method), _serialized)
        call = ask(request, metadata=self._metadata())
        try:
            if begun is not None:
                metadata: grpc.aio.Metadata = await self._awaited(call.initial_metadata())
                first = begun({name: value for name, value in metadata if isinstance(value, str)})
                if first is not None:
                    yield first
            while isinstance(answer := await self._awaited(call.read()), bytes):
                yield self._understood(answer, read)
        except grpc.aio.AioRpcError as error:
            raise error_from(error, url=self.address.url) from error
        finally:
            call.cancel()

    async def _awaited(self, work: Awaitable[Any]) -> Any:
        """What comes next in a stream. In a long silence it asks something else, to know that the server is there: gRPC
        itself only sees to it that the connection is."""
        reading = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({reading}, timeout=SILENCE))[0]:
                await self.call("GetQueue", pb.GetQueueRequest(), bytes)
            return await reading
        finally:
            reading.cancel()

    def _understood(self, answer: bytes, read: Callable[[bytes], _T]) -> _T:
        try:
            return read(answer)
        except (DecodeError, msgspec.ValidationError, InvalidSpec):
            text = f"{self.address.url} answers, but not as this version of Spark expects; is it a Spark server?"
            raise ServerUnreachable(text) from None

    def _metadata(self) -> grpc.aio.Metadata:
        token = self.address.token
        return grpc.aio.Metadata(*([("authorization", f"Bearer {token}")] if token else []))

    def _channel(self) -> grpc.aio.Channel:
        if self._opened is None:
            parts = urlsplit(self.address.url)
            target = parts.netloc if parts.port else f"{parts.netloc}:{_DEFAULT_PORT}"
            options = _options(self.address)
            if self._credentials is None:
                self._opened = grpc.aio.insecure_channel(target, options)
            else:
                self._opened = grpc.aio.secure_channel(target, self._credentials, options)
        return self._opened


def _path(method: str) -> str:
    return f"/{_SERVICE}/{method}"


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def _options(address: Address) -> list[tuple[str, Any]]:
    return [
        ("grpc.primary_user_agent", "spark-jobs"),
        # The environment may name proxies, which must not see what is meant for this machine.
        ("grpc.enable_http_proxy", 0 if address.loopback else 1),
        ("grpc.max_receive_message_length", LARGEST_ANSWER),
        ("grpc.max_metadata_size", LARGEST_ERROR),
        ("grpc.absolute_max_metadata_size", LARGEST_ERROR),
        # A connection that died unnoticed is an error after this time, also in a stream in which nothing comes.
        ("grpc.keepalive_time_ms", int(PING_AFTER * 1000)),
        ("grpc.keepalive_timeout_ms", int(PING_TIMEOUT * 1000)),
        ("grpc.http2.ping_timeout_ms", int(PING_TIMEOUT * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        # Whoever asks again shall not be told of a failure of long ago.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT * 1000)),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]


def _credentials() -> grpc.ChannelCredentials:
    """Trusts whom this machine trusts, or whom SSL_CERT_FILE and SSL_CERT_DIR say, as the other programs here do."""
    try:
        roots = _system_roots()
    except OSError as error:
        text = f"can't read the certificates that this machine trusts: {error.filename}: {error.strerror}"
        raise SettingError(text, setting="server") from None
    return grpc.ssl_channel_credentials(roots)


def _system_roots() -> bytes | None:
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return Path(paths.cafile).read_bytes()
    if paths.capath:
        # In a folder of certificates those that count are named by their hash.
        files = sorted(Path(paths.capath).glob("[0-9a-f]" * 8 + ".[0-9]"))
        return b"\n".join(file.read_bytes() for file in files) or None
    known = ssl.create_default_context().get_ca_certs(binary_form=True)  # Windows keeps them in no file
    return "".join(map(ssl.DER_cert_to_PEM_cert, known)).encode() or None
