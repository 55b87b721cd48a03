"""What is asked for now and then, and only while it matters: why Jobs have no pod, and which nodes do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from spark_jobs import journal
from spark_jobs.cluster.kubernetes.answers import Answer
from spark_jobs.cluster.kubernetes.config import ClusterMetrics
from spark_jobs.cluster.kubernetes.events import note_refusals
from spark_jobs.cluster.kubernetes.index import Index
from spark_jobs.cluster.kubernetes.limiter import Priority
from spark_jobs.cluster.kubernetes.transport import Call, Transport
from spark_jobs.domain.errors import ClusterError, ClusterForbidden, ClusterUnavailable

log = journal.logger(__name__)

_TICK = 1.0
_PODLESS_FOR = 3.0
_EVENTS_EVERY = 10.0
_NODES_EVERY = 30.0
_FORBIDDEN_EVERY = 600.0
# A table holds a row for each node instead of its whole object, which lists every image that it has.
_TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"


class TableColumn(msgspec.Struct, frozen=True):
    """What a column of a table is called."""

    name: str = ""


class TableRow(msgspec.Struct, frozen=True):
    """One object in a table."""

    cells: list[object] = []


class Table(msgspec.Struct, frozen=True, rename="camel"):
    """A list as `kubectl get` prints it."""

    column_definitions: list[TableColumn] = []
    rows: list[TableRow] | None = None


_table = msgspec.json.Decoder(Table)


class Rounds:
    """Fills an index with what no watch brings. Runs until cancelled."""

    def __init__(self, transport: Transport, index: Index, metrics: ClusterMetrics) -> None:
        self._transport = transport
        self._index = index
        self._metrics = metrics
        self._events_due: dict[str, float] = {}
        self._nodes_due = 0.0
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """A look every second whether there is anything to ask."""
        while True:
            await asyncio.sleep(_TICK)
            await self._guarded("events", self._look_for_refusals)
            await self._guarded("nodes", self._look_at_nodes)

    async def _guarded(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except ClusterError as error:
            if self._said.get(what) != error.message:  # said once, not in every round
                log.info("the cluster gave no list", problem=error.message)
            self._said[what] = error.message
        except Exception:
            log.exception("looking around in the cluster failed unexpectedly")
            self._metrics.unexpected_error("watch")

    async def _look_for_refusals(self) -> None:
        now = asyncio.get_running_loop().time()
        for namespace in self._index.podless(_PODLESS_FOR):
            if now < self._events_due.get(namespace, 0.0):
                continue
            self._events_due[namespace] = now + _EVENTS_EVERY
            await note_refusals(self._transport, namespace, self._index)

    async def _look_at_nodes(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._nodes_due or not self._index.has_running_pods():
            return
        self._nodes_due = now + _NODES_EVERY
        call = Call(
            verb="list",
            path="/api/v1/nodes",
            what="list nodes",
            priority=Priority.WATCH,
            params={"includeObject": "None", "resourceVersion": "0"},
            accept=_TABLE,
        )
        answer = await self._transport.call(call)
        if not answer.ok:
            error = answer.error()
            if isinstance(error, ClusterForbidden):  # an account may well not see nodes: do without
                self._nodes_due = now + _FORBIDDEN_EVERY
            raise error
        self._index.set_unready_nodes(unready_nodes(answer))


def unready_nodes(answer: Answer) -> frozenset[str]:
    """The names of the nodes that are not ready, from a table of nodes.

    Raises:
        ClusterUnavailable: it is no such table.
    """
    try:
        table = _table.decode(answer.body)
        titles = [column.name for column in table.column_definitions]
        name, status = titles.index("Name"), titles.index("Status")
        rows = [(str(row.cells[name]), str(row.cells[status])) for row in table.rows or []]
    except (msgspec.DecodeError, ValueError, IndexError) as error:
        raise ClusterUnavailable(f"the answer to {answer.what} can't be read: {error}") from error
    return frozenset(node for node, state in rows if state.split(",")[0] != "Ready")
