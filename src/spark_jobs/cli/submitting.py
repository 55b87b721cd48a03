"""Submitting jobs: the flags that say how long to try, what is said on stderr meanwhile, and the id on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Self

import msgspec

from spark_jobs.cli.failures import REFUSED
from spark_jobs.cli.flags import Flag
from spark_jobs.cli.options import CONNECTION
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import seconds
from spark_jobs.cli.text import moment, span
from spark_jobs.client import Client, Submission
from spark_jobs.domain.errors import QueueFull, SparkError
from spark_jobs.domain.job import Job
from spark_jobs.domain.quantities import duration_text

PATIENCE_FLAGS = (
    Flag(
        "submit_timeout",
        ("--submit-timeout",),
        str,
        "How long to repeat a submission while the server is away or the queue is full.",
        CONNECTION,
        default="30s",
        metavar="DURATION",
    ),
    Flag(
        "wait_for_room",
        ("--wait-for-room",),
        bool,
        "While the queue is full, wait as long as it takes.",
        CONNECTION,
        default=False,
    ),
)


class Patience(msgspec.Struct, frozen=True):
    """How long to go on with a submission, in seconds, and whether a full queue counts."""

    seconds: float
    for_room: bool

    @classmethod
    def taken_from(cls, flags: dict[str, Any]) -> Self:
        """What these flags say, which are taken out of them. Raises UsageError."""
        return cls(seconds("--submit-timeout", flags.pop("submit_timeout")), flags.pop("wait_for_room"))


async def submit_one(client: Client, spec: dict[str, object], patience: Patience, screen: Screen) -> Submission:
    """Submit a job and tell what is worth to know of it. Raises as ``Client.submit``."""
    submission = await client.submit(
        spec, timeout=patience.seconds, wait_for_room=patience.for_room, on_lost=_says(screen, patience)
    )
    _tell([spec], [submission], screen)
    return submission


async def submit_all(
    client: Client, specs: Sequence[dict[str, object]], patience: Patience, screen: Screen
) -> list[Submission]:
    """Submit jobs, all or none, and tell what is worth to know of them. Raises as ``Client.submit_batch``."""
    submissions = await client.submit_batch(
        specs, timeout=patience.seconds, wait_for_room=patience.for_room, on_lost=_says(screen, patience)
    )
    _tell(specs, submissions, screen)
    return submissions


def print_ids(submissions: Sequence[Submission]) -> int:
    """Print the ids on stdout, one a line; the exit code, which tells of jobs that had been over before."""
    sys.stdout.write("".join(f"{submission.job.id}\n" for submission in submissions))
    sys.stdout.flush()
    old = any(submission.replayed and submission.job.state.is_terminal for submission in submissions)
    return REFUSED if old else 0


def _says(screen: Screen, patience: Patience) -> Callable[[SparkError], None]:
    def lost(error: SparkError) -> None:
        if patience.for_room and isinstance(error, QueueFull):
            screen.note(f"{error.message}; waiting for room, asking again in {span(error.retry_after)}")
        else:
            screen.note(f"{error.message}; trying again for {span(patience.seconds)}")

    return lost


def _tell(specs: Sequence[dict[str, object]], submissions: Sequence[Submission], screen: Screen) -> None:
    limits: dict[str, None] = {}
    for spec, submission in zip(specs, submissions, strict=True):
        job = submission.job
        if submission.replayed:
            screen.say(f"job {job.id} exists since {moment(job.created_at)} ({job.state}): nothing was started")
        elif spec.get("timeout") is None:
            limits[_time_limit(job)] = None
    for limit in limits:
        screen.note(limit)


def _time_limit(job: Job) -> str:
    limit = job.spec.timeout
    if isinstance(limit, str) or limit is None:
        return "no time limit (server default)"
    return f"time limit {duration_text(limit)} (server default)"
