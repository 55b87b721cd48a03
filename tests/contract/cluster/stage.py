"""A started cluster with what the suite has put into it, and ways to wait for what it shows."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from spark_jobs.cluster.base import (
    AttemptRef,
    Cluster,
    Created,
    LogLines,
    Observation,
    PodSeen,
    Running,
    Terminated,
)
from spark_jobs.domain.ids import new_claim
from tests.contract.cluster.programs import Program

PATIENCE = 60.0
"""Seconds; nothing that is waited for may take longer, on a busy machine either."""


class Stage:
    """Waits on the cluster's own word that something has changed."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.told: set[str] = set()
        self._namespace = namespace
        self._refs: list[AttemptRef] = []
        self._kept: set[str] = set()
        self._news = asyncio.Event()

    def changed(self, claim: str) -> None:
        """To be given to the cluster."""
        self.told.add(claim)
        self._news.set()

    def ref(self, *, name: str | None = None) -> AttemptRef:
        """A new attempt, or a stranger's with the same name."""
        name = name or f"spark-suite-{secrets.token_hex(6)}-1"
        ref = AttemptRef(job_id="suite", attempt=1, claim=new_claim(), namespace=self._namespace, name=name)
        self._refs.append(ref)
        return ref

    async def create(self, program: Program) -> AttemptRef:
        """Create an attempt that must be accepted."""
        ref = self.ref()
        answer = await self.cluster.create(ref, program.spec())
        assert isinstance(answer, Created)
        return AttemptRef(
            job_id=ref.job_id,
            attempt=ref.attempt,
            claim=ref.claim,
            namespace=ref.namespace,
            name=ref.name,
            uid=answer.uid,
        )

    async def held(self, ref: AttemptRef) -> PodSeen:
        """Its pod, which waits to be released, where this cluster holds pods."""
        self._kept.add(ref.claim)
        return _pod(await self.until(ref, lambda seen: seen.pod is not None))

    async def until(self, ref: AttemptRef, wanted: Callable[[Observation], bool]) -> Observation:
        """Wait until what is shown is as wanted. Its pod is let go meanwhile, but for one that is to be :meth:`held`."""
        async with asyncio.timeout(PATIENCE):
            while not wanted(seen := self.cluster.observe(ref)) or not seen.current:
                self._news.clear()
                if seen.pod is not None and seen.pod.held and ref.claim not in self._kept:
                    await self.cluster.release(ref, seen.pod)
                await self._news.wait()
        return seen

    async def running(self, ref: AttemptRef) -> PodSeen:
        """Its pod, once the container runs."""
        return _pod(await self.until(ref, lambda seen: seen.pod is not None and _runs(seen.pod)))

    async def over(self, ref: AttemptRef) -> tuple[PodSeen, Terminated]:
        """Its pod and its container's end, once nothing of it runs."""
        pod = _pod(await self.until(ref, lambda seen: seen.pod is not None and seen.pod.over))
        assert isinstance(pod.container, Terminated)
        return pod, pod.container

    async def vanished(self, ref: AttemptRef) -> None:
        """Once nothing is shown of it."""
        await self.until(ref, lambda seen: seen.job is None and seen.pod is None)

    async def text(self, ref: AttemptRef, pod: PodSeen) -> str:
        """Its whole log as it is now."""
        return join(await self.lines(ref, pod)).decode()

    async def lines(self, ref: AttemptRef, pod: PodSeen, since_ns: int | None = None) -> list[LogLines]:
        """Its log as it is now."""
        async with asyncio.timeout(PATIENCE):
            return [lines async for lines in self.cluster.logs(ref, pod, since_ns=since_ns)]

    @asynccontextmanager
    async def following(self, ref: AttemptRef, pod: PodSeen) -> AsyncIterator[AsyncIterator[LogLines]]:
        """A live stream of its log."""
        async with asyncio.timeout(PATIENCE), aclosing(self.cluster.logs(ref, pod, follow=True)) as stream:
            yield stream

    async def ready(self, ref: AttemptRef) -> PodSeen:
        """Its pod, once the program has printed its first line."""
        pod = await self.running(ref)
        async with self.following(ref, pod) as stream:
            assert (await anext(stream)).data.startswith(b"ready\n")
        return pod

    async def clear(self) -> None:
        """Delete everything that was created."""
        for ref in self._refs:
            await self.cluster.delete(ref, over=False)


def join(lines: list[LogLines]) -> bytes:
    """The bytes of all."""
    return b"".join(each.data for each in lines)


def stamps(lines: list[LogLines]) -> list[int]:
    """The stamps of all."""
    return [stamp for each in lines for stamp in each.stamps]


def _pod(seen: Observation) -> PodSeen:
    assert seen.pod is not None
    return seen.pod


def _runs(pod: PodSeen) -> bool:
    assert not isinstance(pod.container, Terminated), f"it ended before it was seen running: {pod.container}"
    return isinstance(pod.container, Running)
