"""Searching logs, and what becomes of a search that breaks off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from spark_jobs.client.link import Link
from spark_jobs.client.views import SearchOptions
from spark_jobs.domain.errors import ServerUnreachable
from spark_jobs.domain.search import LogMatch, SearchProgress


async def search(
    link: Link, pattern: str, options: SearchOptions, on_progress: Callable[[SearchProgress], None]
) -> AsyncGenerator[LogMatch, None]:
    """See :meth:`spark_jobs.client.Client.search`."""
    matches = 0
    progress: SearchProgress | None = None
    try:
        async with aclosing(link.search(pattern, options)) as found:
            async for item in found:
                if isinstance(item, SearchProgress):
                    progress = item
                    on_progress(item)
                else:
                    matches += 1
                    yield item
    except ServerUnreachable as error:
        if matches == 0 and progress is None:
            raise
        raise ServerUnreachable(_broken_off(error, matches, progress)) from error


def _broken_off(error: ServerUnreachable, matches: int, progress: SearchProgress | None) -> str:
    seen = f", {progress.logs} logs and {progress.bytes} bytes looked through" if progress else ""
    return f"the search broke off (so far {matches} found{seen}), search again for the rest: {error.message}"
