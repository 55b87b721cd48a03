"""The informers of every namespace in use, made when the first job of a namespace appears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from spark_jobs.cluster.kubernetes.index import Index
from spark_jobs.cluster.kubernetes.informer import Informer, Source
from spark_jobs.cluster.kubernetes.listing import JOBS, PODS
from spark_jobs.cluster.objects import JobObject, PodObject


class View:
    """Jobs and pods of one namespace."""

    def __init__(self, jobs: Informer[JobObject], pods: Informer[PodObject], tasks: list[asyncio.Task[None]]) -> None:
        self._jobs = jobs
        self._pods = pods
        self.tasks = tasks

    @property
    def current(self) -> bool:
        """Whether the absence of an object means something."""
        return self._jobs.current and self._pods.current


class Views:
    """Views by namespace. ``changed(claim)`` is called for everything in a namespace whose view turned."""

    def __init__(self, source: Source, index: Index, changed: Callable[[str], None]) -> None:
        self._source = source
        self._index = index
        self._changed = changed
        self._views: dict[str, View] = {}

    def of(self, namespace: str) -> View:
        """The namespace's view; it begins to be filled when it is first asked for."""
        if namespace not in self._views:
            self._views[namespace] = self._make(namespace)
        return self._views[namespace]

    async def stop(self) -> None:
        """Stop watching."""
        tasks = [task for view in self._views.values() for task in view.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _make(self, namespace: str) -> View:
        def turned() -> None:
            for claim in self._index.claims(namespace):
                self._changed(claim)

        jobs = Informer(JOBS, namespace, self._source, self._index.jobs, turned)
        pods = Informer(PODS, namespace, self._source, self._index.pods, turned)
        return View(jobs, pods, [asyncio.create_task(jobs.run()), asyncio.create_task(pods.run())])
