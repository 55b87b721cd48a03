"""The informers of every namespace in use, made when the first job of a namespace appears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from spark_jobs.cluster.base import AttemptRef, Observation
from spark_jobs.cluster.kubernetes.index import Index
from spark_jobs.cluster.kubernetes.informer import Informer, Source
from spark_jobs.cluster.kubernetes.listing import JOBS, PODS
from spark_jobs.cluster.objects import JobObject, PodObject


class View:
    """Jobs and pods of one namespace, as far as the index has them. ``changed`` is called for everything in it, and for
    what was asked for in vain, when the view turns."""

    def __init__(self, namespace: str, source: Source, index: Index, changed: Callable[[str], None]) -> None:
        self._namespace = namespace
        self._index = index
        self._changed = changed
        self._asked: set[str] = set()
        self._jobs: Informer[JobObject] = Informer(JOBS, namespace, source, index.jobs, self._turned)
        self._pods: Informer[PodObject] = Informer(PODS, namespace, source, index.pods, self._turned)
        self.tasks = [asyncio.create_task(self._jobs.run()), asyncio.create_task(self._pods.run())]

    @property
    def current(self) -> bool:
        """Whether the absence of an object means something."""
        return self._jobs.current and self._pods.current

    def observe(self, ref: AttemptRef) -> Observation:
        """What is shown of an attempt."""
        if not self.current:
            self._asked.add(ref.claim)
        return self._index.observe(ref, current=self.current)

    def _turned(self) -> None:
        asked = self._asked
        self._asked = set()
        for claim in asked | self._index.claims(self._namespace):
            self._changed(claim)


class Views:
    """Views by namespace."""

    def __init__(self, source: Source, index: Index, changed: Callable[[str], None]) -> None:
        self._source = source
        self._index = index
        self._changed = changed
        self._views: dict[str, View] = {}

    def of(self, namespace: str) -> View:
        """The namespace's view; it begins to be filled when it is first asked for."""
        if namespace not in self._views:
            self._views[namespace] = View(namespace, self._source, self._index, self._changed)
        return self._views[namespace]

    async def stop(self) -> None:
        """Stop watching."""
        tasks = [task for view in self._views.values() for task in view.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
