"""The one middleware before routing: who may call, from where, and with what kind of body.

A server on loopback can be reached by every web page in its user's browser, and frameworks decode a JSON body whatever
its type is called; so a page of another origin, a form, and a host name that was pointed here are refused before
anything is routed or read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterable
from typing import cast

import msgspec
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from spark_jobs.api.problems import send_problem
from spark_jobs.api.status import ORIGINAL_POSTS
from spark_jobs.api.wire import ERRORS
from spark_jobs.auth import Access
from spark_jobs.domain.errors import ForbiddenOrigin, SparkError, Unauthenticated, UnknownHost, UnsupportedMediaType
from spark_jobs.metrics import Metrics

_log = logging.getLogger(__name__)

FREE_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
_BODY_PATHS = frozenset({"/v1/jobs", "/v1/jobs/batch"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}


class GuardRules(msgspec.Struct, frozen=True, kw_only=True):
    """``loopback``: the server listens on loopback, so the Host header must name it, or one of ``allowed_hosts``.
    ``allow_origins``: web pages of these origins (``https://example.org``) may call."""

    loopback: bool = True
    allowed_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()


class Guard:
    """An ASGI app that lets through to another one what may pass, and gives every answer its safety headers."""

    def __init__(self, app: ASGIApp, access: Access, rules: GuardRules, metrics: Metrics) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics
        self._hosts = (
            {*_LOOPBACK_HOSTS, *(_host_name(host) for host in rules.allowed_hosts)} if rules.loopback else None
        )
        self._origins = frozenset(origin.lower().rstrip("/") for origin in rules.allow_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        kind: str = scope["type"]
        if kind == "http":
            await self._http(cast("HTTPScope", scope), receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "there are no websockets here"})
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        headers = _Headers(scope)
        shared = self._cors(headers)
        guarded = self._guarded(scope["method"], send, shared)
        try:
            self._check(scope, headers, allowed_origin=bool(shared))
        except SparkError as error:
            await send_problem(guarded, scope["path"], error)
            return
        if shared and scope["method"] == "OPTIONS" and headers.all("access-control-request-method"):
            await _preflight(guarded)
        elif scope["method"] == "HEAD":
            await self._head(scope, receive, guarded)
        else:
            await self._pass(scope, receive, guarded)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - logged; the connection is closed by what runs us
            # The framework wraps what comes out of an answer that has begun.
            if isinstance(error.__cause__, SparkError) and error.__cause__.code in ERRORS:
                _log.warning("an answer to %s broke off: %s", scope.get("path_template", "a request"), error.__cause__)
                return
            # Everything before an answer begins has become a problem; what is left broke off in the middle of one.
            self._metrics.unexpected_error("api")
            _log.exception("an answer to %s broke off", scope.get("path_template", "a request"))

    async def _head(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """HEAD is GET without the body, so that it can't differ; a stream is stopped as soon as it begins. A range is for
        GET alone (RFC 9110, section 14.2)."""
        begun = asyncio.Event()

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                begun.set()

        asked = [(name, value) for name, value in scope["headers"] if name.lower() != b"range"]
        get = HTTPScope(**{**scope, "method": "GET", "headers": asked})
        answering = asyncio.create_task(self._pass(get, receive, send_head))
        waiting = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait({answering, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering

    def _check(self, scope: HTTPScope, headers: _Headers, *, allowed_origin: bool) -> None:
        if not allowed_origin:
            _check_site(headers)
            _check_origin(headers)
        if self._hosts is not None:
            _check_host(headers, self._hosts)
        path = scope["path"].rstrip("/")
        if scope["method"] not in _BODILESS:
            # The first Spark's clients send what `curl -d` sends; a browser, which says where it is, may not.
            if path not in ORIGINAL_POSTS or headers.all("origin") or headers.all("sec-fetch-site"):
                wanted = scope["method"] == "POST" and (path in _BODY_PATHS or path in ORIGINAL_POSTS)
                _check_media_type(headers, wanted=wanted)
            _check_coding(headers)
        preflight = allowed_origin and scope["method"] == "OPTIONS"
        if scope["path"] not in FREE_PATHS and not preflight:
            self._check_token(scope["path"], headers)

    def _check_token(self, path: str, headers: _Headers) -> None:
        try:
            self._access.check(headers.all("authorization"))
        except Unauthenticated as error:
            if not path.startswith(("/docs", "/openapi.json")):
                raise
            more = "a browser sends none, so fetch /openapi.json with curl -H 'Authorization: Bearer TOKEN'"
            raise Unauthenticated(f"{error.message}; {more}") from None

    def _cors(self, headers: _Headers) -> dict[str, str]:
        """The headers that let a page of an allowed origin read the answer; empty for every other request."""
        origins = headers.texts("origin")
        if len(origins) != 1 or origins[0].lower() not in self._origins:
            return {}
        exposed = "Location, Retry-After, Spark-Replayed, Accept-Ranges, Content-Range, ETag"
        return {
            "access-control-allow-origin": origins[0],
            "access-control-expose-headers": exposed,
            "vary": "Origin",
        }

    def _guarded(self, method: str, send: Send, shared: dict[str, str]) -> Send:
        wanted = [(name.encode(), value.encode()) for name, value in {**_HEADERS, **shared}.items()]

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message["headers"])
                names = {name.lower() for name, _ in own}
                message["headers"] = own + [pair for pair in wanted if pair[0] not in names]
                self._metrics.http_request(method, message["status"])
            await send(message)

        return guarded


class _Headers:
    """A request's headers; all of those with one name, since a second one may be an attempt to slip by."""

    def __init__(self, scope: HTTPScope) -> None:
        self._pairs = [(name.lower(), value) for name, value in scope["headers"]]

    def all(self, name: str) -> list[bytes]:
        wanted = name.encode()
        return [value for key, value in self._pairs if key == wanted]

    def texts(self, name: str) -> list[str]:
        return [value.decode("latin-1").strip() for value in self.all(name)]


def _check_site(headers: _Headers) -> None:
    if any(site.lower() not in ("same-origin", "none") for site in headers.texts("sec-fetch-site")):
        raise ForbiddenOrigin("a web page of another site may not call this server (--allow-origin lets one in)")


def _check_origin(headers: _Headers) -> None:
    hosts = headers.texts("host")
    for origin in headers.texts("origin"):
        own = len(hosts) == 1 and origin.lower() in (f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}")
        if not own:
            raise ForbiddenOrigin("a web page of another origin may not call this server (--allow-origin lets one in)")


def _check_host(headers: _Headers, allowed: Iterable[str]) -> None:
    hosts = headers.texts("host")
    if len(hosts) != 1 or _host_name(hosts[0]) not in allowed:
        raise UnknownHost("this server answers for localhost, 127.0.0.1 and [::1]; --allowed-host NAME adds others")


def _check_media_type(headers: _Headers, *, wanted: bool) -> None:
    types = headers.texts("content-type")
    if (wanted and not types) or not all(map(_is_json, types)):
        raise UnsupportedMediaType("send the body as `Content-Type: application/json`")
    if not types and _has_body(headers):
        raise UnsupportedMediaType("a body needs `Content-Type: application/json`")


def _check_coding(headers: _Headers) -> None:
    if any(coding.lower() != "identity" for coding in headers.texts("content-encoding")):
        raise UnsupportedMediaType("send the body without a Content-Encoding")


def _is_json(media_type: str) -> bool:
    name, *parameters = (part.strip().lower() for part in media_type.split(";"))
    return name == "application/json" and all(part in ("", "charset=utf-8", 'charset="utf-8"') for part in parameters)


def _has_body(headers: _Headers) -> bool:
    return bool(headers.all("transfer-encoding")) or any(size != "0" for size in headers.texts("content-length"))


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty for one that can't be read."""
    match = _HOST.fullmatch(host.lower())
    return match.group(1).strip("[]") if match else ""


async def _preflight(send: Send) -> None:
    allowed = b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Range, If-Range"
    headers = [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", allowed),
        (b"access-control-max-age", b"600"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
