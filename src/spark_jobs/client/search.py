"""Searching logs: what is asked for, and what becomes of a search that breaks off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from spark_jobs.domain.errors import ServerUnreachable
from spark_jobs.domain.search import LogMatch, SearchProgress

if TYPE_CHECKING:
    from spark_jobs.client.link import Link  # which names what is here


class SearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to look for a pattern, and in which logs; everything given must hold.

    ``fixed``: the pattern is plain text; ``context``: lines to show before and after each match. ``states``, ``labels`` and
    ``name`` are those of jobs, as in :class:`JobQuery`; ``job_id``: only in this job's logs. ``since``: only lines since an
    RFC 3339 time or a duration ago (``2h``). The search ends after ``limit`` matches.
    """

    fixed: bool = False
    ignore_case: bool = False
    context: int = 0
    states: Sequence[str] = ()
    labels: Sequence[str] = ()
    name: str | None = None
    job_id: str | None = None
    since: str | None = None
    limit: int = 1000

    def params(self, pattern: str) -> dict[str, str | list[str]]:
        """As query parameters of the REST interface."""
        params: dict[str, str | list[str]] = {
            "pattern": pattern,
            "context": str(self.context),
            "limit": str(self.limit),
        }
        flags = {"fixed": self.fixed, "ignore_case": self.ignore_case}
        params |= {name: "true" for name, wanted in flags.items() if wanted}
        single = {"name": self.name, "job": self.job_id, "since": self.since}
        params |= {name: value for name, value in single.items() if value is not None}
        several = {"state": self.states, "label": self.labels}
        return params | {name: list(values) for name, values in several.items() if values}


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
