"""What to look for in stored logs, and in which."""

from __future__ import annotations

from datetime import datetime

import msgspec

from spark_jobs.store.base import JobFilter

LONGEST_PATTERN = 4096
"""Bytes of UTF-8."""

MOST_MATCHES = 100_000
"""So many can be asked for at most."""


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
