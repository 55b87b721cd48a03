"""What to look for in stored logs, and in which."""

from __future__ import annotations

from datetime import datetime

import msgspec

from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.search import MOST_CONTEXT, MOST_MATCHES
from spark_jobs.store.base import JobFilter


class LogSearch(msgspec.Struct, frozen=True, kw_only=True):
    """One search. ``pattern`` is a regular expression in RE2's syntax, or plain text with ``fixed``; it matches within a
    line. ``context``: lines to show before and after each match. ``which`` and ``job_id``: in which jobs' logs;
    ``since``: only lines of that time or later. It ends after ``limit`` matches."""

    pattern: str
    fixed: bool = False
    ignore_case: bool = False
    context: int = 0
    which: JobFilter = JobFilter()
    job_id: str | None = None
    since: datetime | None = None
    limit: int = 1000

    def check(self) -> None:
        """Raises InvalidSpec where a number is out of its bounds."""
        faults = []
        if not 0 <= self.context <= MOST_CONTEXT:
            faults.append(Fault("context", f"must be from 0 to {MOST_CONTEXT}", "out_of_range"))
        if not 1 <= self.limit <= MOST_MATCHES:
            faults.append(Fault("limit", f"must be from 1 to {MOST_MATCHES}", "out_of_range"))
        if faults:
            raise InvalidSpec(faults)
