"""One HTTP connection pool to one server: requests in, answers or the errors of the one tree out."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import msgspec

from spark_jobs.client.address import Address
from spark_jobs.client.link import READ_TIMEOUT, NeverSent, Silent, WrongDoor
from spark_jobs.client.problems import error_from
from spark_jobs.domain.errors import ServerUnreachable, SettingError

CONNECT_TIMEOUT = 5.0
LONGEST_ERROR_BODY = 1024 * 1024


class Answer(msgspec.Struct, frozen=True):
    """A successful answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests to one server with its token; no cookies, no redirects, no ``.netrc``, no proxy on loopback."""

    def __init__(self, address: Address) -> None:
        self.address = address
        headers = {"User-Agent": "spark-jobs", "Accept-Encoding": "identity"}
        try:
            self._http = httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
                # The environment may name proxies, which must not see what is meant for this machine.
                trust_env=not address.loopback,
                verify=httpx2.create_ssl_context() if address.url.startswith("https:") else False,
            )
        except (ValueError, OSError) as error:
            raise SettingError(f"can't set up the connection to {address.url}: {error}", setting="server") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | list[str]] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = READ_TIMEOUT,
    ) -> Answer:
        """One request and its answer; ``timeout`` bounds the silence of the server in seconds.

        Raises:
            ServerUnreachable: no answer, or none of a Spark server. SparkError: whatever the server said instead.
        """
        all_headers = self._headers() | dict(headers or {})
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        try:
            response = await self._http.request(
                method,
                self.address.url + path,
                params=params,
                content=body,
                headers=all_headers,
                timeout=httpx2.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout)),
            )
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status_code >= 300:
            raise error_from(response.status_code, response.headers, response.content, url=self.address.url)
        return Answer(response.status_code, response.headers, response.content)

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str | list[str]], *, accept: str, read_timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body of a GET, piece by piece; a silence of ``read_timeout`` seconds counts as a lost connection.

        Raises:
            ServerUnreachable: also when the body breaks off. SparkError: whatever the server said instead.
        """
        begun = False
        try:
            async with self._http.stream(
                "GET",
                self.address.url + path,
                params=params,
                headers=self._headers() | {"Accept": accept},
                timeout=httpx2.Timeout(read_timeout, connect=CONNECT_TIMEOUT),
            ) as response:
                if response.status_code >= 300:
                    body = await _bounded(response)
                    raise error_from(response.status_code, response.headers, body, url=self.address.url)
                begun = True
                yield response.aiter_raw()
        except httpx2.HTTPError as error:
            raise self._unreachable(error, begun=begun) from error

    def _headers(self) -> dict[str, str]:
        token = self.address.token
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _unreachable(self, error: httpx2.HTTPError, *, begun: bool = False) -> ServerUnreachable:
        cause = _cause(error)
        kind: type[ServerUnreachable] = ServerUnreachable
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            kind = WrongDoor if isinstance(cause, ssl.SSLError) else NeverSent
        elif isinstance(error, httpx2.ReadTimeout):
            kind = Silent
        if begun:
            return kind(f"the answer of {self.address.url} broke off ({_why(error, cause)})")
        return kind(f"no Spark server answers at {self.address.url} ({_why(error, cause)})")


def _cause(error: httpx2.HTTPError) -> OSError | None:
    """What the system said; what the library says of several tries at once tells nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return cause
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return None


def _why(error: httpx2.HTTPError, cause: OSError | None) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{cause.verify_message}: name the file of its certificate's CA in SSL_CERT_FILE if it is to be trusted"
    if isinstance(cause, ssl.SSLError):
        return f"{(cause.reason or str(cause)).replace('_', ' ').lower()}: write http:// if there is no TLS"
    if cause is not None and cause.errno is not None:
        return (os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)).lower()
    return str(error) or type(error).__name__


async def _bounded(response: httpx2.Response) -> bytes:
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > LONGEST_ERROR_BODY:
            break
    return body
