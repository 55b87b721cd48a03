"""A scripted Kubernetes API server on loopback: lists, watches, gets, creates, patches and deletes, with faults on demand.

It keeps objects as plain dicts and a history of their changes, and writes down every request that it gets.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

from aiohttp import web

from tests.fakes.answering import Handler, Json, begin, event, send, status
from tests.fakes.seeing import Seen, classify, matches, name_in

_KINDS = {"jobs": "Job", "pods": "Pod", "events": "Event"}
_MARKS = ("labels", "annotations")
_LAST_BOOKMARK = 2.0


class Change(NamedTuple):
    """What became of an object; ``before`` and ``now`` are null where it was not there, or is not any more."""

    version: int
    resource: str
    before: Json | None
    now: Json | None

    def event(self, selector: str) -> bytes | None:
        """For a watch with this selector: to it, an object that fits no more is deleted. Null if it never heard of it."""
        fitted = self.before is not None and matches(self.before, selector)
        if self.now is not None and matches(self.now, selector):
            return event("MODIFIED" if fitted else "ADDED", self.now)
        return event("DELETED", versioned(self.before, self.version)) if self.before is not None and fitted else None


class ApiServer:
    """Its state can be changed at any time; watches tell of it. ``gate`` may answer any request in place of the server:
    while the API is away, or to who has not the right token. ``clock`` gives the Date header; null: there is none.
    Changes of the kinds in ``quiet`` are kept from the watches."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.objects: dict[str, dict[str, Json]] = defaultdict(dict)
        self.tables: list[Json] = []
        self.gate: Callable[[Seen], Handler | None] = lambda _seen: None
        self.clock: Callable[[], datetime] | None = lambda: datetime.now(UTC)
        self.connections: set[asyncio.BaseTransport] = set()
        self.quiet: set[str] = set()
        self._version = 100
        self._compacted = 0
        self._history: list[Change] = []
        self._news = asyncio.Event()
        self._faults: dict[tuple[str, str], deque[Handler]] = defaultdict(deque)

    def fault(self, verb: str, resource: str, *handlers: Handler) -> None:
        """Answer the next requests of this verb and resource with these handlers, one each."""
        self._faults[verb, resource].extend(handlers)

    def no_more_faults(self) -> None:
        """Answer as ever."""
        self._faults.clear()

    def put(self, resource: str, item: Json) -> Json:
        """Make or change an object."""
        self._version += 1
        name = item["metadata"]["name"]
        before = self.objects[resource].get(name)
        item = versioned(item, self._version)
        self.objects[resource][name] = item
        self._tell(resource, before, item)
        return item

    def mark(self, resource: str, name: str, patch: Json) -> Json:
        """Change an object's labels and annotations, as `kubectl label` and `kubectl annotate` do: null takes one off."""
        item = self.objects[resource][name]
        changed = {kind: _merged(item["metadata"].get(kind, {}), patch.get(kind, {})) for kind in _MARKS}
        return self.put(resource, {**item, "metadata": {**item["metadata"], **changed}})

    def put_quietly(self, resource: str, item: Json) -> None:
        """Change an object without telling the watches: they miss it."""
        self.quiet.add(resource)
        self.put(resource, item)
        self.quiet.discard(resource)

    def remove(self, resource: str, name: str) -> None:
        """Delete an object for good."""
        self._version += 1
        self._tell(resource, self.objects[resource].pop(name), None)

    def compact(self) -> None:
        """Forget the history: a watch from an older version gets 410."""
        self._compacted = self._version

    def restore(self, objects: dict[str, dict[str, Json]], version: int) -> None:
        """As after a backup of its store was put back: older objects, older versions, every connection gone."""
        self.objects = defaultdict(dict, objects)
        self._version = version
        self._history.clear()
        self.cut()

    def cut(self) -> None:
        """Break every connection."""
        for connection in list(self.connections):
            if isinstance(connection, asyncio.Transport):
                connection.abort()

    def of(self, verb: str, resource: str) -> list[Seen]:
        """The requests of this kind."""
        return [seen for seen in self.seen if (seen.verb, seen.resource) == (verb, resource)]

    async def seen_again(self, verb: str, resource: str, count: int) -> None:
        """Wait until this many such requests have come."""
        while len(self.of(verb, resource)) < count:
            await self._news.wait()

    def _tell(self, resource: str, before: Json | None, now: Json | None) -> None:
        if resource not in self.quiet:
            self._history.append(Change(self._version, resource, before, now))
            self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every request comes through here."""
        if request.transport is not None:
            self.connections.add(request.transport)
        verb, resource = classify(request)
        body = await request.read()
        seen = Seen(
            time=asyncio.get_running_loop().time(),
            verb=verb,
            resource=resource,
            path=request.path,
            query=dict(request.query),
            headers=dict(request.headers),
            body=json.loads(body) if body else None,
        )
        self.seen.append(seen)
        self._ring()
        if (handler := self.gate(seen)) is not None:
            return await handler(request)
        if faults := self._faults[verb, resource]:
            return await faults.popleft()(request)
        return await self.answer(request, seen)

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        """What a server without faults says."""
        match seen.verb, seen.resource:
            case "list", "nodes":
                columns = [{"name": "Name"}, {"name": "Status"}]
                return web.json_response({"columnDefinitions": columns, "rows": self.tables})
            case "list", _:
                return self._list(seen)
            case "watch", _:
                return await self.watch(request)
            case "get", "version":
                return web.json_response({"gitVersion": "v1.2.3"})
            case "get", "pods/log":
                return await self.log(request)
            case "create", _:
                return self.create(seen.resource, seen.body or {})
        item = self.objects[seen.resource].get(seen.name)
        if item is None:
            return status(404, f'{seen.resource} "{seen.name}" not found', "NotFound")
        if seen.verb == "delete":
            return self._delete(seen.resource, item, seen.body or {})
        if seen.verb == "patch":
            return self._patch(seen.resource, item, seen.body or {})
        return web.json_response(item)

    def create(self, resource: str, item: Json) -> web.StreamResponse:
        """Store an object unless its name is taken."""
        name = item["metadata"]["name"]
        if name in self.objects[resource]:
            return status(409, f'{resource} "{name}" already exists', "AlreadyExists")
        item = {**item, "metadata": {**item["metadata"], "uid": f"uid-{name}"}}
        return web.json_response(self.put(resource, item), status=201)

    def deleted(self, resource: str, item: Json, options: Json) -> None:
        """A delete was accepted."""
        del options
        self.remove(resource, item["metadata"]["name"])

    def patched(self, resource: str, item: Json, patch: Json) -> None:
        """A patch was accepted."""

    async def log(self, request: web.Request) -> web.StreamResponse:
        """The log of a pod."""
        return status(404, f'pods "{name_in(request.path)}" not found', "NotFound")

    def _delete(self, resource: str, item: Json, options: Json) -> web.StreamResponse:
        if any(item["metadata"].get(field) != wanted for field, wanted in options["preconditions"].items()):
            return status(409, "the UID or the ResourceVersion in the precondition does not match", "Conflict")
        self.deleted(resource, item, options)
        return web.json_response({"status": "Success"})

    def _patch(self, resource: str, item: Json, patch: Json) -> web.StreamResponse:
        if patch["metadata"]["uid"] != item["metadata"]["uid"]:
            return status(409, "the UID in the patch does not match", "Conflict")
        if "spec" not in patch:
            return web.json_response(self.mark(resource, item["metadata"]["name"], patch["metadata"]))
        spec = {**item["spec"], **patch["spec"]}
        if "schedulingGates" in patch["spec"]:
            off = {each["name"] for each in patch["spec"]["schedulingGates"] if each["$patch"] == "delete"}
            held = item["spec"].get("schedulingGates", [])
            spec["schedulingGates"] = [gate for gate in held if gate["name"] not in off]
        item = self.put(resource, {**item, "spec": spec})
        self.patched(resource, item, patch)
        return web.json_response(item)

    def _list(self, seen: Seen) -> web.StreamResponse:
        selector = seen.query.get("labelSelector", "")
        items = [item for item in self.objects[seen.resource].values() if matches(item, selector)]
        field, _, name = seen.query.get("fieldSelector", "").partition("=")
        if field == "metadata.name":
            items = [item for item in items if item["metadata"]["name"] == name]
        metadata = {"resourceVersion": str(self._version)}
        return web.json_response({"kind": f"{_KINDS[seen.resource]}List", "metadata": metadata, "items": items})

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """Tell of every change after the version that the request names, until its time is over."""
        _, resource = classify(request)
        since = int(request.query["resourceVersion"])
        if since < self._compacted:
            return status(410, "too old resource version", "Expired")
        if since > self._version:
            return status(504, f"Too large resource version: {since}, current: {self._version}", Retry_After="1")
        response = await begin(request)
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"]) - _LAST_BOOKMARK):
                told = 0
                while True:
                    news = self._news
                    for change in self._history[told:]:
                        told += 1
                        line = change.event(request.query["labelSelector"])
                        if line is not None and change.version > since and change.resource == resource:
                            await send(response, line)
                    since = self._version
                    await news.wait()
        except TimeoutError:
            await send(response, event("BOOKMARK", {"metadata": {"resourceVersion": str(since)}}))
            await asyncio.sleep(_LAST_BOOKMARK)
            return response

    async def date(self, _request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Give an answer the server's own time."""
        if self.clock is None:
            response.headers.popall("Date", None)
        else:
            response.headers["Date"] = format_datetime(self.clock(), usegmt=True)

    async def close(self) -> None:
        """What it does by itself ends."""


def versioned(item: Json, version: int) -> Json:
    """The object as it is from this resourceVersion on."""
    return {**item, "metadata": {**item["metadata"], "resourceVersion": str(version)}}


def _merged(marks: Json | None, changes: Json) -> Json:
    return {key: value for key, value in {**(marks or {}), **changes}.items() if value is not None}
