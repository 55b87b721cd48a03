"""What a chaos run breaks, when and for how long: planned from the seed, carried out one fault per part at a time."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from dev.cluster import Cluster
from tests.e2e import kube
from tests.e2e.server import Server
from tests.fakes.passing import pass_by
from tests.fakes.relay import Relay


class Fault(NamedTuple):
    """One thing to break: what, at which second, for how many, and a number that picks the victim."""

    kind: str
    at: float
    seconds: float
    pick: float


LONGEST = {
    "server SIGKILL": 4.0,
    "server SIGTERM": 2.0,
    "relay cut": 5.0,
    "relay frozen": 15.0,
    "pod deleted": 0.0,
    "Job deleted": 0.0,
    "API server killed": 2.0,
    "kubelet stopped": 4.0,
}
"""The kinds, and how long each may last."""

_EVERY = 4.5  # seconds from one fault to the next, in the middle

_REST = 3.0  # seconds that a part is left alone in between, so that something goes on


def plan(rng: random.Random, seconds: float) -> list[Fault]:
    """The faults of a run. Every kind has its turn before one comes again."""
    count = max(len(LONGEST), round(seconds / _EVERY))
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += rng.sample(list(LONGEST), len(LONGEST))
    times = sorted(rng.uniform(2, seconds) for _ in range(count))
    scale = min(1.0, seconds / 120)
    return [
        Fault(kind, at, rng.uniform(0.2, 1) * LONGEST[kind] * max(scale, 0.4), rng.random())
        for kind, at in zip(kinds, times, strict=False)
    ]


class Breaker:
    """Carries faults out. ``deleted``: names of pods and Jobs that it asked to be deleted."""

    def __init__(
        self, server: Server, relay: Relay, cluster: Cluster, watchers: tuple[kube.Watcher, kube.Watcher]
    ) -> None:
        self._server = server
        self._relay = relay
        self._cluster = cluster
        self._pods, self._objects = watchers
        self._locks = {part: asyncio.Lock() for part in ("server", "relay", "API", "kubelet", "Job", "pod")}
        self.deleted: set[str] = set()
        self.done: Counter[str] = Counter()
        self.serving = True

    async def run(self, faults: list[Fault]) -> None:
        """All of them, at their times from now on; returns when everything works again."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                await pass_by(began + fault.at - asyncio.get_running_loop().time())
                tasks.create_task(self._break(fault))

    async def _break(self, fault: Fault) -> None:
        async with self._locks[fault.kind.split()[0]]:
            match fault.kind:
                case "server SIGKILL":
                    await self._end_server(signal.SIGKILL, fault.seconds)
                case "server SIGTERM":
                    await self._end_server(signal.SIGTERM, fault.seconds)
                case "relay cut":
                    await self._between(self._relay.cut, fault.seconds, self._relay.pass_)
                case "relay frozen":
                    await self._between(self._relay.freeze, fault.seconds, self._relay.pass_)
                case "pod deleted":
                    await self._delete("pod", self._pods, fault)
                case "Job deleted":
                    await self._delete("job", self._objects, fault)
                case "API server killed":
                    api = "kube-apiserver"
                    await self._between(
                        lambda: self._cluster.kill(api), fault.seconds, lambda: self._cluster.start(api)
                    )
                case "kubelet stopped":
                    node = "kubelet"
                    await self._between(
                        lambda: self._cluster.stop(node), fault.seconds, lambda: self._cluster.start(node)
                    )
            self.done[fault.kind] += 1
            await pass_by(_REST)

    async def _between(self, begin: Callable[[], object], seconds: float, end: Callable[[], object]) -> None:
        await asyncio.to_thread(begin)
        try:
            await pass_by(seconds)
        finally:
            await asyncio.to_thread(end)

    async def _end_server(self, number: int, seconds: float) -> None:
        self.serving = False
        await self._between(lambda: self._server.end(number), seconds, self._server.start)
        self.serving = True

    async def _delete(self, kind: str, watcher: kube.Watcher, fault: Fault) -> None:
        """Delete one that is not over, as a person would. It counts as deleted even where the API server is away."""
        names = sorted(name for name in watcher.left() if not _is_over(watcher.last(name)))
        if not names:
            return
        name = names[int(fault.pick * len(names))]
        self.deleted.add(name)
        where = watcher.last(name)["metadata"]["namespace"]
        command = [*kube.kubectl_command(), "delete", kind, name, "-n", where, "--wait=false"]
        await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)


def _is_over(thing: kube.Object) -> bool:
    status = thing.get("status", {})
    return (
        status.get("phase") in ("Succeeded", "Failed")
        or "completionTime" in status
        or "deletionTimestamp" in thing["metadata"]
    )
