"""How a scripted API server reads the requests that it gets."""

from __future__ import annotations

from typing import Any, NamedTuple

from aiohttp import web

from tests.fakes.answering import Json


class Seen(NamedTuple):
    """A request that came: when (seconds of the loop's clock), Kubernetes' verb and resource, and what it carried."""

    time: float
    verb: str
    resource: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def token(self) -> str | None:
        """The bearer token."""
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if kind == "Bearer" else None

    @property
    def name(self) -> str:
        """The name of the object that the path leads to."""
        return name_in(self.path)


def name_in(path: str) -> str:
    """The name of the object that a path leads to, or to a part of."""
    return path.removesuffix("/log").rpartition("/")[2]


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
