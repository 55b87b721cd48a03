"""Asks the cluster itself whether attempts are gone: one fresh list for all who ask at about the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import AttemptRef
from spark_jobs.cluster.kubernetes.listing import JOBS, PODS, list_all
from spark_jobs.cluster.kubernetes.transport import Transport

_APART = 0.5
_NAMED_AT_MOST = 40


class _Round:
    """Those who share one list."""

    def __init__(self) -> None:
        self.job_ids: set[str] = set()
        self.answer: asyncio.Task[frozenset[str]] | None = None


class Absence:
    """Lists begin at most every half second in each namespace."""

    def __init__(self, transport: Transport, instance: str) -> None:
        self._transport = transport
        self._instance = instance
        self._rounds: dict[str, _Round] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._began: dict[str, float] = {}

    async def is_gone(self, ref: AttemptRef) -> bool:
        """Whether a list that began after this call shows neither its Job nor a pod of it that could run.

        Raises:
            ClusterUnavailable, ClusterForbidden: there is no list to be had.
        """
        shared = self._rounds.get(ref.namespace)
        if shared is None:
            shared = self._rounds[ref.namespace] = _Round()
            shared.answer = asyncio.create_task(self._ask(ref.namespace, shared))
            shared.answer.add_done_callback(_retrieve)
        shared.job_ids.add(ref.job_id)
        assert shared.answer is not None  # noqa: S101 - set above, by whoever began the round
        return (await asyncio.shield(shared.answer)).isdisjoint((ref.claim, ref.uid, ref.released))

    async def _ask(self, namespace: str, shared: _Round) -> frozenset[str]:
        """The claims and uids of what is there."""
        loop = asyncio.get_running_loop()
        async with self._locks[namespace]:
            await asyncio.sleep(self._began.get(namespace, -_APART) + _APART - loop.time())
            self._began[namespace] = loop.time()
            del self._rounds[namespace]  # who asks from now on needs a fresher list
            params = {"labelSelector": self._selector(shared.job_ids)}
            jobs, _ = await list_all(self._transport, JOBS, namespace, params)
            pods, _ = await list_all(self._transport, PODS, namespace, params)
        there = [job.metadata for job in jobs] + [pod.metadata for pod in pods if not pod.over]
        return frozenset(mark for each in there for mark in (each.claim, each.uid) if mark)

    def _selector(self, job_ids: set[str]) -> str:
        whole = marks.selector(self._instance)
        if len(job_ids) > _NAMED_AT_MOST:
            return whole
        return f"{whole},{marks.JOB} in ({','.join(sorted(job_ids))})"


def _retrieve(task: asyncio.Task[frozenset[str]]) -> None:
    """Those who asked may have been cancelled; the error was theirs to hear."""
    if not task.cancelled():
        task.exception()
