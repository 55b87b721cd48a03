"""Searches at work."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.logs import LogBook
from spark_jobs.search.query import LogSearch
from spark_jobs.store.base import ServiceStore


class LogSearches:
    """Searches through the stored logs."""

    def __init__(self, store: ServiceStore, logs: LogBook) -> None:
        self._store = store
        self._logs = logs

    async def run(self, query: LogSearch) -> AsyncGenerator[LogMatch | SearchProgress, None]:  # noqa: ARG002 - looks soon
        """See ``JobService.search``."""
        yield SearchProgress(logs=0, bytes=0, matches=0, complete=True)
