"""An ASGI caller: sends one request to an app in this event loop and takes the answer piece by piece, as a slow or
hasty client would."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 10.0


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of a problem."""
        assert self.headers["content-type"] == "application/problem+json", self.headers
        assert self.json()["status"] == self.status
        return str(self.json()["code"])

    @property
    def pointers(self) -> list[str]:
        return [fault["pointer"] for fault in self.json()["errors"]]


@dataclass
class Request:
    """A request; ``body`` in pieces; headers may repeat."""

    method: str
    target: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: Iterable[bytes] = (b"",)

    def scope(self) -> dict[str, Any]:
        path, _, query = self.target.partition("?")
        headers = self.headers if any(name == "Host" for name, _ in self.headers) else [("Host", "localhost:8000")]
        headers = headers if headers is self.headers else [*headers, *self.headers]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers if value],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
            "state": {},
        }


class Exchange:
    """A request that is being answered."""

    def __init__(self, app: Any, request: Request) -> None:
        self._body = list(request.body)
        self.bodies_read = 0
        self._gone = asyncio.Event()
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=1)
        self.task = asyncio.create_task(app(request.scope(), self._receive, self._messages.put))

    async def _receive(self) -> dict[str, Any]:
        if self.bodies_read < len(self._body):
            self.bodies_read += 1
            more = self.bodies_read < len(self._body)
            return {"type": "http.request", "body": self._body[self.bodies_read - 1], "more_body": more}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def message(self) -> dict[str, Any]:
        """The next message of the answer; fails if the app ends without one."""
        getting = asyncio.create_task(self._messages.get())
        await asyncio.wait({getting, self.task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and self.task.done() and self._messages.empty():
            getting.cancel()
            self.task.result()
            raise ConnectionError("the answer broke off")
        async with asyncio.timeout(PATIENCE):
            return await getting

    async def begun(self) -> Answer:
        """Status and headers."""
        start = await self.message()
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, b"")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, to its end."""
        while True:
            message = await self.message()
            yield message["body"]
            if not message.get("more_body", False):
                return

    async def until(self, part: bytes) -> bytes:
        """The body up to the piece in which this part has come."""
        body = b""
        async for piece in self.pieces():
            body += piece
            if part in body:
                return body
        raise AssertionError(f"{part!r} is not in {body!r}")

    async def rest(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def rest_or_gone(self) -> bytes:
        """What still comes after a hang-up, which may be nothing."""
        body = b""
        with contextlib.suppress(ConnectionError):
            async for piece in self.pieces():
                body += piece
        return body

    def hang_up(self) -> None:
        """The client goes away."""
        self._gone.set()

    async def ended(self) -> None:
        """Until the app has let go of the request."""
        async with asyncio.timeout(PATIENCE):
            await self.task


class Caller:
    """Calls one app, with the same headers each time."""

    def __init__(self, app: Any, headers: Mapping[str, str] | None = None) -> None:
        self.app = app
        self.headers = dict(headers or {})

    @asynccontextmanager
    async def open(self, method: str, target: str, **headers: str) -> AsyncIterator[Exchange]:
        """An exchange to read step by step."""
        exchange = Exchange(self.app, Request(method, target, _named({**self.headers, **headers})))
        try:
            yield exchange
        finally:
            exchange.hang_up()
            exchange.task.cancel()
            await asyncio.wait({exchange.task})

    async def send(self, request: Request) -> Answer:
        """The whole answer to a request."""
        exchange = Exchange(self.app, request)
        answer = await exchange.begun()
        answer.body = await exchange.rest()
        await exchange.ended()
        return answer

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.send(Request("GET", target, _named({**self.headers, **headers})))

    async def delete(self, target: str) -> Answer:
        return await self.send(Request("DELETE", target, _named(self.headers)))

    async def post(self, target: str, content: object = None, **headers: str) -> Answer:
        """Post ``content``: bytes as they are, anything else as JSON, null without a body."""
        if content is None:
            return await self.send(Request("POST", target, _named({**self.headers, **headers})))
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = _named({**self.headers, "content_type": "application/json", **headers})
        return await self.send(Request("POST", target, named, [body]))


def _named(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-").title(), value) for name, value in headers.items()]
