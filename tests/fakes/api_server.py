"""A scripted Kubernetes API server on loopback: lists, watches, gets, creates, deletes and logs, with faults on demand.

It keeps objects as plain dicts and a history of their changes, and writes down every request that it gets.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_KINDS = {"jobs": "Job", "pods": "Pod", "events": "Event"}


class Seen(NamedTuple):
    """A request that came: Kubernetes' verb and resource, and what it carried."""

    verb: str
    resource: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class ApiServer:
    """Its state can be changed at any time; watches tell of it."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.objects: dict[str, dict[str, Json]] = defaultdict(dict)
        self.tables: list[Json] = []
        self._version = 100
        self._compacted = 0
        self._history: list[tuple[int, str, str, Json]] = []
        self._news = asyncio.Event()
        self._faults: dict[tuple[str, str], deque[Handler]] = defaultdict(deque)

    def fault(self, verb: str, resource: str, *handlers: Handler) -> None:
        """Answer the next requests of this verb and resource with these handlers, one each."""
        self._faults[verb, resource].extend(handlers)

    def put(self, resource: str, item: Json) -> Json:
        """Make or change an object."""
        self._version += 1
        name = item["metadata"]["name"]
        kind = "MODIFIED" if name in self.objects[resource] else "ADDED"
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        self.objects[resource][name] = item
        self._tell(resource, kind, item)
        return item

    def put_quietly(self, resource: str, item: Json) -> None:
        """Change an object without telling the watches: they miss it."""
        told = len(self._history)
        self.put(resource, item)
        del self._history[told:]

    def remove(self, resource: str, name: str) -> None:
        """Delete an object for good."""
        self._version += 1
        item = self.objects[resource].pop(name)
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        self._tell(resource, "DELETED", item)

    def compact(self) -> None:
        """Forget the history: a watch from an older version gets 410."""
        self._compacted = self._version

    def of(self, verb: str, resource: str) -> list[Seen]:
        """The requests of this kind."""
        return [seen for seen in self.seen if (seen.verb, seen.resource) == (verb, resource)]

    def _tell(self, resource: str, kind: str, item: Json) -> None:
        self._history.append((self._version, resource, kind, item))
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every request comes through here."""
        verb, resource = classify(request)
        body = await request.read()
        parsed = json.loads(body) if body else None
        self.seen.append(Seen(verb, resource, dict(request.query), dict(request.headers), parsed))
        self._ring()
        faults = self._faults[verb, resource]
        if faults:
            return await faults.popleft()(request)
        name = request.path.rpartition("/")[2]
        match verb, resource:
            case "list", "nodes":
                columns = [{"name": "Name"}, {"name": "Status"}]
                return web.json_response({"columnDefinitions": columns, "rows": self.tables})
            case "list", _:
                return self._list(resource, request)
            case "watch", _:
                return await self.watch(request)
            case "get", "version":
                return web.json_response({"gitVersion": "v1.2.3"})
            case "create", _:
                return self.create(resource, parsed or {})
            case "delete", _:
                return self._delete(resource, name, parsed or {})
        item = self.objects[resource].get(name)
        if item is None:
            return status(404, f'{resource} "{name}" not found', "NotFound")
        return web.json_response(item)

    async def seen_again(self, verb: str, resource: str, count: int) -> None:
        """Wait until this many such requests have come."""
        while len(self.of(verb, resource)) < count:
            await self._news.wait()

    def create(self, resource: str, item: Json) -> web.StreamResponse:
        """Store an object unless its name is taken."""
        name = item["metadata"]["name"]
        if name in self.objects[resource]:
            return status(409, f'{resource} "{name}" already exists', "AlreadyExists")
        item = {**item, "metadata": {**item["metadata"], "uid": f"uid-{name}"}}
        return web.json_response(self.put(resource, item), status=201)

    def _delete(self, resource: str, name: str, options: Json) -> web.StreamResponse:
        item = self.objects[resource].get(name)
        if item is None:
            return status(404, f'{resource} "{name}" not found', "NotFound")
        if options["preconditions"]["uid"] != item["metadata"]["uid"]:
            return status(409, "the UID in the precondition does not match", "Conflict")
        self.remove(resource, name)
        return web.json_response({"status": "Success"})

    def _list(self, resource: str, request: web.Request) -> web.StreamResponse:
        selector = request.query.get("labelSelector", "")
        items = [item for item in self.objects[resource].values() if matches(item, selector)]
        page = {"kind": f"{_KINDS[resource]}List", "metadata": {"resourceVersion": str(self._version)}, "items": items}
        return web.json_response(page)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """Tell of every change after the version that the request names, until its time is over."""
        _, resource = classify(request)
        since = int(request.query["resourceVersion"])
        if since < self._compacted:
            return status(410, "too old resource version", "Expired")
        response = await begin(request)
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while True:
                    news = self._news
                    for version, kind_of, kind, item in self._history:
                        if version > since and kind_of == resource:
                            await send(response, event(kind, item))
                    since = self._version
                    await news.wait()
        except TimeoutError:
            return response


def classify(request: web.Request) -> tuple[str, str]:
    """Kubernetes' verb and resource of a request."""
    parts = request.path.strip("/").split("/")
    if "namespaces" in parts:
        parts = parts[parts.index("namespaces") + 2 :]
    else:
        parts = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else parts
    resource = "pods/log" if parts[-1] == "log" else parts[0]
    verbs = {"POST": "create", "DELETE": "delete", "PATCH": "patch"}
    if request.method in verbs:
        return verbs[request.method], resource
    if "watch" in request.query:
        return "watch", resource
    return "list" if len(parts) == 1 and resource != "version" else "get", resource


def matches(item: Json, selector: str) -> bool:
    """Whether an object's labels fit a selector of `k=v` and `k in (v,w)`."""
    labels = item["metadata"].get("labels", {})
    return all(labels.get(key) in values for key, values in _terms(selector))


def _terms(selector: str) -> list[tuple[str, list[str]]]:
    terms: list[tuple[str, list[str]]] = []
    while selector:
        key, _, rest = selector.partition("=")
        if " in (" in key:
            key, _, rest = selector.partition(" in (")
            values, _, rest = rest.partition(")")
            terms.append((key, values.split(",")))
            selector = rest.lstrip(",")
        else:
            value, _, selector = rest.partition(",")
            terms.append((key, [value]))
    return terms


def status(code: int, message: str, reason: str = "", **headers: str) -> web.StreamResponse:
    """An error as Kubernetes words it."""
    body = {"kind": "Status", "code": code, "message": message, "reason": reason}
    return web.json_response(
        body, status=code, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def event(kind: str, item: Json) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


async def begin(request: web.Request) -> web.StreamResponse:
    """Open a stream."""
    response = web.StreamResponse()
    response.content_type = "text/plain" if request.path.endswith("/log") else "application/json"
    await response.prepare(request)
    return response


async def send(response: web.StreamResponse, data: bytes) -> None:
    """Send some bytes of a stream now."""
    await response.write(data)


def answers(code: int, message: str, reason: str = "", **headers: str) -> Handler:
    """A handler that answers with an error."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        return status(code, message, reason, **headers)

    return handler


def streams(*pieces: bytes, cut: bool = False, hold: asyncio.Event | None = None) -> Handler:
    """A handler that sends these bytes, then ends the stream: properly, or by cutting the connection. ``hold``: it
    stays silent before the end until this is set."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await begin(request)
        for piece in pieces:
            await send(response, piece)
        if hold is not None:
            await hold.wait()
        if cut and request.transport is not None:
            request.transport.abort()
        return response

    return handler


async def hang_up(request: web.Request) -> web.StreamResponse:
    """A handler that cuts the connection instead of answering."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def serve(api: ApiServer) -> AsyncIterator[ApiServer]:
    """Let it listen on a free port of the loopback."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()
