"""One list and one watch over the objects of one kind in one namespace, for as long as the server runs (invariant 12).

A watch only ever brings news: its end says nothing about any job. From time to time (the stall bound) a list is compared
with what is held, whatever the watch looks like: a watch that stalls or leaves something out misleads no longer than that.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from spark_jobs import journal
from spark_jobs.cluster import marks
from spark_jobs.cluster.kubernetes.answers import decode_status
from spark_jobs.cluster.kubernetes.config import ClusterMetrics
from spark_jobs.cluster.kubernetes.framing import Lines, LineTooLong
from spark_jobs.cluster.kubernetes.index import Shelf, number
from spark_jobs.cluster.kubernetes.limiter import Priority
from spark_jobs.cluster.kubernetes.listing import Kind, list_all
from spark_jobs.cluster.kubernetes.transport import Call, Transport
from spark_jobs.cluster.objects import JobObject, Metadata, PodObject
from spark_jobs.domain.errors import ClusterError, ClusterUnavailable

log = journal.logger(__name__)

WATCH_SECONDS = 45.0
_SILENCE_MARGIN = 5.0
_FIRST_DELAY, _LAST_DELAY = 0.5, 5.0
_SHORT_LIFE = 1.0
_LONGEST_EVENT = 16 * 1024 * 1024

T = TypeVar("T", JobObject, PodObject)


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch."""

    type: str
    object: msgspec.Raw = msgspec.Raw(b"null")


class Bookmark(msgspec.Struct, frozen=True):
    """What every event's object has, even where all else is null."""

    metadata: Metadata | None = None


class _Watched(enum.Enum):
    """How a watch ended."""

    ENDED = "ended"  # as watches do: go on from the last version
    DOUBTFUL = "doubtful"  # go on from a list


_event = msgspec.json.Decoder(WatchEvent)
_bookmark = msgspec.json.Decoder(Bookmark)


class Source(NamedTuple):
    """What all informers of an installation share."""

    transport: Transport
    instance: str
    metrics: ClusterMetrics
    stall_bound: float


class Informer(Generic[T]):
    """Keeps a shelf current. ``turned(current)`` is called when the view becomes current, or stops being so."""

    def __init__(
        self, kind: Kind[T], namespace: str, source: Source, shelf: Shelf[T], turned: Callable[[], None]
    ) -> None:
        self.current = False
        self._kind: Kind[T] = kind
        self._namespace = namespace
        self._selector = marks.selector(source.instance)
        self._transport = source.transport
        self._shelf: Shelf[T] = shelf
        self._metrics = source.metrics
        self._stall_bound = source.stall_bound
        self._turned = turned
        self._called = f"{kind.name} in {namespace}"
        self._sees = True
        self._version = ""
        self._events = 0
        self._delay = _FIRST_DELAY

    async def run(self) -> None:
        """List and watch until cancelled; nothing ends it."""
        while True:
            try:
                await self._list()
                self._turn(current=True)
                await self._watch_until(asyncio.get_running_loop().time() + self._stall_bound)
            except ClusterError as error:
                self._lose_sight(error.message)
                await self._back_off(error.retry_after if isinstance(error, ClusterUnavailable) else None)
            except Exception:
                log.exception("a watch failed unexpectedly", kind=self._kind.name, namespace=self._namespace)
                self._metrics.unexpected_error("watch")
                self._turn(current=False)
                await self._back_off()

    def _turn(self, *, current: bool) -> None:
        if current != self.current:
            self.current = current
            self._turned()

    def _lose_sight(self, problem: str) -> None:
        """Said once, until a watch is open again: where only watches are refused, lists go on to work in between."""
        if self._sees:
            log.warning("lost sight of the cluster", kind=self._kind.name, namespace=self._namespace, problem=problem)
        self._sees = False
        self._transport.contact.blind(self._called, problem)
        self._turn(current=False)

    def _regain_sight(self) -> None:
        if not self._sees:
            log.info("sees the cluster again", kind=self._kind.name, namespace=self._namespace)
        self._sees = True
        self._transport.contact.sees(self._called)

    async def _back_off(self, at_least: float | None = None) -> None:
        await asyncio.sleep(max(self._delay * random.uniform(0.7, 0.95), at_least or 0.0))  # noqa: S311 - spreads load, guards nothing
        self._delay = min(self._delay * 2, _LAST_DELAY)

    async def _list(self) -> None:
        params = {"labelSelector": self._selector}
        items, version = await list_all(self._transport, self._kind, self._namespace, params)
        if number(version) >= number(self._version):
            self._shelf.replace(self._namespace, items, version)
        else:
            log.warning("the cluster went back in time: a backup was restored", kind=self._kind.name, version=version)
            self._shelf.restart(self._namespace, items)
        self._version = version

    async def _watch_until(self, due: float) -> None:
        """Watch, again and again, until a list is due or the watch is in doubt."""
        loop = asyncio.get_running_loop()
        while (began := loop.time()) < due:
            self._events = 0
            try:
                async with asyncio.timeout_at(due):
                    end = await self._watch()
            except TimeoutError:
                end = _Watched.ENDED
            if self._events or loop.time() - began >= _SHORT_LIFE:
                self._delay = _FIRST_DELAY
            elif loop.time() < due:
                end = _Watched.DOUBTFUL
            self._metrics.watch_restarted(self._kind.name)
            if end is _Watched.DOUBTFUL:
                await self._back_off()
                return

    async def _watch(self) -> _Watched:
        seconds = WATCH_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing
        params = {
            "watch": "true",
            "labelSelector": self._selector,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(seconds)),
        }
        lines = Lines(_LONGEST_EVENT)
        call = Call(
            verb="watch",
            path=self._kind.path(self._namespace),
            what=f"watch {self._kind.name} in {self._namespace}",
            priority=Priority.WATCH,
            params=params,
        )
        async with self._transport.stream(call, silence=seconds + _SILENCE_MARGIN) as stream:
            if stream.refusal is not None:
                if stream.refusal.code == 410:
                    return _Watched.DOUBTFUL
                raise stream.refusal.error()
            self._regain_sight()
            try:
                async for chunk in stream.chunks():
                    for line in lines.feed(chunk):
                        if line.strip() and not self._take(line):
                            return _Watched.DOUBTFUL
            except ClusterUnavailable as error:
                log.info("a watch broke off", kind=self._kind.name, problem=error.message)
            except (msgspec.DecodeError, LineTooLong) as error:
                log.warning("a watch sent what can't be read", kind=self._kind.name, problem=str(error) or "too long")
                return _Watched.DOUBTFUL
        return _Watched.ENDED

    def _take(self, line: bytes) -> bool:
        """One event; false where it says that the watch can't go on."""
        event = _event.decode(line)
        if event.type == "ERROR":
            status = decode_status(event.object)
            log.info("the cluster ended a watch", kind=self._kind.name, code=status.code, problem=status.message)
            return False
        metadata = _bookmark.decode(event.object).metadata
        if event.type in ("ADDED", "MODIFIED"):
            self._shelf.put(self._namespace, self._kind.item.decode(event.object))
        elif event.type == "DELETED":
            self._shelf.delete(self._namespace, self._kind.item.decode(event.object))
        self._events += 1
        self._version = (metadata and metadata.resource_version) or self._version
        return True
