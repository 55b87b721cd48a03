"""Which queued jobs may start now. Pure: numbers in, jobs out."""

from __future__ import annotations

from collections.abc import Sequence

from spark_jobs.store.base import Candidate

AHEAD = 8
"""At most this many are claimed ahead of their creates, so that a job of higher priority is not kept waiting by them."""


def room(*, slots: int, used: int, paused: bool) -> int:
    """How many more attempts may be claimed now (invariant 2)."""
    return 0 if paused else max(0, min(slots - used, AHEAD))


def pick(candidates: Sequence[Candidate], free: int) -> list[Candidate]:
    """The jobs to claim, in the order in which their creates are sent: by priority, then by submission (invariant 3)."""
    ordered = sorted(candidates, key=lambda each: (-each.priority, each.seq))
    return ordered[:free]
