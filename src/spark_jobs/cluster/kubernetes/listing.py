"""Which kinds of objects are read, and how a whole list of them is got."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from spark_jobs.cluster.kubernetes.answers import Answer
from spark_jobs.cluster.kubernetes.limiter import Priority
from spark_jobs.cluster.kubernetes.transport import Call, Transport
from spark_jobs.cluster.objects import EventObject, JobObject, ObjectList, PodObject
from spark_jobs.domain.errors import ClusterUnavailable

_PAGE = 500

T = TypeVar("T")


class Kind(Generic[T]):
    """Where the objects of a kind are, and how to read them."""

    def __init__(self, name: str, api: str, item: type[T], page: type[ObjectList[T]]) -> None:
        self.name = name
        self.item: msgspec.json.Decoder[T] = msgspec.json.Decoder(item)
        self.page: msgspec.json.Decoder[ObjectList[T]] = msgspec.json.Decoder(page)
        self._api = api

    def path(self, namespace: str) -> str:
        """The collection's path."""
        return f"{self._api}/namespaces/{namespace}/{self.name}"

    def read(self, answer: Answer) -> T:
        """The one object in an answer.

        Raises:
            ClusterUnavailable: it holds none.
        """
        try:
            return self.item.decode(answer.body)
        except msgspec.DecodeError as error:
            raise ClusterUnavailable(f"the answer to {answer.what} can't be read: {error}") from error


JOBS = Kind("jobs", "/apis/batch/v1", JobObject, ObjectList[JobObject])
PODS = Kind("pods", "/api/v1", PodObject, ObjectList[PodObject])
EVENTS = Kind("events", "/api/v1", EventObject, ObjectList[EventObject])


async def list_all(
    transport: Transport, kind: Kind[T], namespace: str, params: dict[str, str], *, priority: Priority = Priority.WATCH
) -> tuple[list[T], str]:
    """All objects that the selectors in ``params`` choose, page by page, and the list's resourceVersion.

    Raises:
        ClusterUnavailable, ClusterForbidden: there is no list to be had.
    """
    items: list[T] = []
    whole = params
    params = {**whole, "limit": str(_PAGE)}
    while True:
        call = Call(
            verb="list",
            path=kind.path(namespace),
            what=f"list {kind.name} in {namespace}",
            priority=priority,
            params=params,
        )
        answer = await transport.call(call)
        if answer.code == 410 and "continue" in params:
            items, params = [], whole  # the next page is forgotten already: once more, all at one time
            continue
        page = _page(kind, answer)
        items += page.items or []
        if not page.metadata.next_page:
            return items, page.metadata.resource_version or ""
        params["continue"] = page.metadata.next_page


def _page(kind: Kind[T], answer: Answer) -> ObjectList[T]:
    if not answer.ok:
        raise answer.error()
    try:
        return kind.page.decode(answer.body)
    except msgspec.DecodeError as error:
        raise ClusterUnavailable(f"the answer to {answer.what} can't be read: {error}") from error
