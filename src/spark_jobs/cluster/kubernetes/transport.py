"""Sends requests to the Kubernetes API: one limiter before all of them, no hidden retry, no unbounded wait."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp
import msgspec
from yarl import URL

from spark_jobs.cluster.kubernetes.answers import Answer, http_date, retry_after
from spark_jobs.cluster.kubernetes.config import ClusterMetrics
from spark_jobs.cluster.kubernetes.contact import Contact
from spark_jobs.cluster.kubernetes.credentials import Credentials
from spark_jobs.cluster.kubernetes.limiter import Limiter, Priority
from spark_jobs.domain.errors import ClusterUnavailable, CredentialsError

CALL_LIMIT = 15.0
_CONNECT_LIMIT = 10.0
_HEAD_LIMIT = 20.0
_CONNECTIONS = 32
_BUFFER, _STREAM_BUFFER = 256 * 1024, 64 * 1024  # twice that is read ahead; there are few calls, and many streams

_METHODS = {"create": "POST", "delete": "DELETE", "patch": "PATCH"}
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``verb`` is Kubernetes' word for it; ``what`` says it in an error's text; ``limit`` is in seconds."""

    verb: str
    path: str
    what: str
    priority: Priority
    params: dict[str, str] = {}
    body: bytes | None = None
    media_type: str = "application/json"
    accept: str = "application/json"
    limit: float = CALL_LIMIT


class Stream:
    """An open answer that is read as it comes; or ``refusal``, an answer that is none."""

    def __init__(self, call: Call, response: aiohttp.ClientResponse, refusal: Answer | None) -> None:
        self.refusal = refusal
        self._call = call
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come, to the end of the stream.

        Raises:
            ClusterUnavailable: the connection broke, or nothing came for too long.
        """
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:  # a silence that is too long is an OSError as well
            raise ClusterUnavailable(f"the answer to {self._call.what} broke off: {_words(error)}") from error


class Transport:
    """Two pools of connections: a bounded one for calls, another for streams, which must not hold calls up."""

    def __init__(
        self, credentials: Credentials, limiter: Limiter, metrics: ClusterMetrics, *, clock: Callable[[], datetime]
    ) -> None:
        self.contact = Contact(clock)
        self._credentials = credentials
        self.limiter = limiter
        self._metrics = metrics
        self._clock = clock
        self._calls = _session(_CONNECTIONS, _BUFFER)
        self._streams = _session(0, _STREAM_BUFFER)

    async def close(self) -> None:
        """Close every connection."""
        await self._calls.close()
        await self._streams.close()
        # Sockets are given back in the loop's next turn.
        await asyncio.sleep(0)

    async def call(self, call: Call) -> Answer:
        """Send it and read the whole answer, whatever its status is.

        Raises:
            ClusterUnavailable: no answer within the call's limit.
        """
        timeout = aiohttp.ClientTimeout(total=call.limit, sock_connect=_CONNECT_LIMIT)
        try:
            return await self._call(call, timeout)
        except aiohttp.ServerDisconnectedError as error:
            # Mostly an idle connection that the server closed just then. A create is settled by its caller.
            if call.verb == "create":
                raise ClusterUnavailable(self._silence(call, error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterUnavailable(self._silence(call, error)) from error
        try:
            return await self._call(call, timeout)
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterUnavailable(self._silence(call, error)) from error

    async def _call(self, call: Call, timeout: aiohttp.ClientTimeout) -> Answer:
        response = await self._send(self._calls, call, timeout)
        async with response:
            return self._whole(call, response, await response.read())

    @asynccontextmanager
    async def stream(self, call: Call, *, silence: float | None) -> AsyncIterator[Stream]:
        """Open it and read it as it comes. ``silence``: seconds without a byte after which it counts as broken.

        Raises:
            ClusterUnavailable: no answer.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_LIMIT, sock_read=silence)
        try:
            stream, response = await self._open(call, timeout)
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterUnavailable(self._silence(call, error)) from error
        try:
            yield stream
        finally:
            _abort(response)

    async def _open(self, call: Call, timeout: aiohttp.ClientTimeout) -> tuple[Stream, aiohttp.ClientResponse]:
        """The time limit begins when the request is sent: waiting for the limiter does not count."""
        async with asyncio.timeout(None) as limit:
            response = await self._send(self._streams, call, timeout, limit)
            if response.status == 200:
                return Stream(call, response, None), response
            try:
                return Stream(call, response, self._whole(call, response, await response.read())), response
            except BaseException:
                response.close()
                raise

    async def _send(
        self,
        session: aiohttp.ClientSession,
        call: Call,
        timeout: aiohttp.ClientTimeout,
        head_limit: asyncio.Timeout | None = None,
    ) -> aiohttp.ClientResponse:
        response, generation = await self._send_once(session, call, timeout, head_limit)
        if response.status == 401 and self._credentials.refused(generation):
            response.close()
            response, _ = await self._send_once(session, call, timeout, head_limit)
        return response

    async def _send_once(
        self,
        session: aiohttp.ClientSession,
        call: Call,
        timeout: aiohttp.ClientTimeout,
        head_limit: asyncio.Timeout | None,
    ) -> tuple[aiohttp.ClientResponse, int]:
        """The answer, and the generation of the credentials that it was given to."""
        try:
            headers = await self._credentials.headers()
            generation = self._credentials.generation
        except CredentialsError as error:
            self.contact.silent(error.message)
            raise ClusterUnavailable(error.message) from error
        headers["Accept"] = call.accept
        if call.body is not None:
            headers["Content-Type"] = call.media_type
        await self.limiter.acquire(call.priority)
        loop = asyncio.get_running_loop()
        started, sent_at = loop.time(), self._clock()
        if head_limit is not None:
            head_limit.reschedule(started + _HEAD_LIMIT)
        response = await session.request(
            _METHODS.get(call.verb, "GET"),
            URL(self._credentials.server + call.path).with_query(call.params),
            data=call.body,
            headers=headers,
            timeout=timeout,
            ssl=self._credentials.tls,
            server_hostname=self._credentials.server_name,
            proxy=self._credentials.proxy,
            allow_redirects=False,
        )
        self._note(call, response, loop.time() - started, sent_at)
        return response, generation

    def _note(self, call: Call, response: aiohttp.ClientResponse, seconds: float, sent_at: datetime) -> None:
        self._metrics.kubernetes_request(call.verb, response.status, seconds)
        wait = retry_after(response.headers.get("Retry-After"), self._server_time(response))
        if wait is not None and (response.status == 429 or response.status >= 500):
            self.limiter.pause(wait)
        if call.verb != "log":  # what a log's request answers is mostly the node's word
            self.contact.answered(call.verb, response.status, response.headers.get("Date"), sent_at)

    def _whole(self, call: Call, response: aiohttp.ClientResponse, body: bytes) -> Answer:
        wait = retry_after(response.headers.get("Retry-After"), self._server_time(response))
        return Answer(code=response.status, body=body, what=call.what, retry_after=wait)

    def _server_time(self, response: aiohttp.ClientResponse) -> datetime:
        """What the server calls now: a date that it names is meant by its own clock."""
        return http_date(response.headers.get("Date")) or self._clock()

    def _silence(self, call: Call, error: Exception) -> str:
        problem = _words(error)
        self._metrics.kubernetes_request(call.verb, "timeout" if isinstance(error, TimeoutError) else "none")
        if call.verb != "log":
            self.contact.silent(problem)
        return f"no answer from {self._credentials.server} to {call.what}: {problem}"


def _session(connections: int, buffer: int) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, socket_factory=_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "spark-jobs"},
        auto_decompress=False,
        read_bufsize=buffer,
    )
    # aiohttp would send a GET again by itself when an idle connection turns out closed, past the limiter.
    session._retry_connection = False  # noqa: SLF001 - there is no public switch for it
    return session


def _abort(response: aiohttp.ClientResponse) -> None:
    """End a stream at once: a farewell to the other side would outlive the session, and its socket the loop."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


class _Socket(socket.socket):
    """Closed by whoever connects it, and never for being forgotten.

    uvloop closes the descriptor of a connection that could not be made and leaves its number here. Closed once more when
    this object goes, that number would be another's by then: a watch, a client of ours, the database.
    """

    def __del__(self) -> None:
        """Close nothing."""


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices within half a minute that the other side is gone."""
    family, kind, protocol, _, _ = address
    made = _Socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if (option := getattr(socket, name, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return str(error) or type(error).__name__
