"""The jobs of a chaos run: each with the ends that it may have, and what its log must be."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from spark_jobs.domain.job import Job
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.state import JobState

IMAGE = "busybox:1"
GRACE = 2
BEGIN, END = "begin", "end"

_RETRIES = 'echo begin; test "$SPARK_JOB_ATTEMPT" -gt 1 || exit 9; sleep 1; echo end'


class End(NamedTuple):
    """A state with its reason and, where it is known, the exit code."""

    state: JobState
    reason: str | None = None
    exit_code: int | None = None

    def __str__(self) -> str:
        code = "" if self.exit_code is None else f" {self.exit_code}"
        return f"{self.state} {self.reason or ''}{code}".strip()


SUCCEEDED = End(JobState.SUCCEEDED, None, 0)
CANCELLED = End(JobState.CANCELLED, Reason.CANCELLED)
TIMED_OUT = End(JobState.TIMED_OUT, Reason.DEADLINE_EXCEEDED)
TAKEN = (End(JobState.FAILED, Reason.DELETED_EXTERNALLY), End(JobState.FAILED, Reason.LOST))
"""How a job may end as well if somebody deleted its pod or its Job."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One job of the run.

    ``lines``: what its last attempt prints if nothing cuts it short. ``attempts``: how many it takes. ``at``: seconds from
    the beginning of the run to its submission; ``cancel_after``: from there to its cancel, null for none.
    """

    kind: str
    spec: dict[str, Any]
    ends: tuple[End, ...]
    lines: tuple[str, ...] = ()
    attempts: int = 1
    at: float = 0.0
    cancel_after: float | None = None

    @property
    def id(self) -> str:
        """Chosen here, so that a repeated submission finds the first."""
        return str(self.spec["id"])


def end_of(job: Job, *, coded: bool) -> End:
    """How it ended, with the exit code if that is of interest."""
    return End(job.state, job.reason, job.exit_code if coded else None)


def plan(rng: random.Random, count: int, seconds: float) -> list[Planned]:
    """So many jobs, submitted within so many seconds, in the order of their submission. Every kind comes early."""
    kinds = [kind for kind, weight in _KINDS.items() for _ in range(weight)]
    chosen = [*_KINDS, *(rng.choice(kinds) for _ in range(count - len(_KINDS)))][:count]
    rng.shuffle(chosen)
    times = sorted(rng.uniform(0, seconds) for _ in chosen)
    jobs = []
    for number, (kind, at) in enumerate(zip(chosen, times, strict=True)):
        job = kind(rng)
        spec = {"id": f"chaos-{number:03}", "image": IMAGE, "termination_grace": GRACE, **job.spec}
        jobs.append(msgspec.structs.replace(job, spec=spec, at=at))
    return jobs


def _shell(script: str, **more: object) -> dict[str, Any]:
    return {"command": ["sh", "-c", script], **more}


def _counted(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    """A script that prints a known log over up to five seconds."""
    lines, pause = rng.randint(1, 300), rng.choice((0, 0, 1, 2, 3, 5))
    numbers = tuple(str(number) for number in range(1, lines + 1))
    return f"echo begin; seq 1 {lines}; sleep {pause}; echo end", (BEGIN, *numbers, END)


def _succeeds(rng: random.Random) -> Planned:
    script, lines = _counted(rng)
    return Planned(kind="succeeds", spec=_shell(script), ends=(SUCCEEDED,), lines=lines)


def _bursts(_: random.Random) -> Planned:
    lines = (BEGIN, *(str(number) for number in range(1, 20_001)), END)
    return Planned(kind="bursts", spec=_shell("echo begin; seq 1 20000; echo end"), ends=(SUCCEEDED,), lines=lines)


def _fails(rng: random.Random) -> Planned:
    script, lines = _counted(rng)
    code = rng.choice((1, 2, 7, 42, 127, 255))
    end = End(JobState.FAILED, Reason.NON_ZERO_EXIT, code)
    return Planned(kind="exit code", spec=_shell(f"{script}; exit {code}"), ends=(end,), lines=lines)


def _killed(_: random.Random) -> Planned:
    end = End(JobState.FAILED, Reason.SIGNALLED, 137)
    return Planned(
        kind="signal",
        spec=_shell("exec 2>&1; echo begin; sh -c 'kill -9 $$'; exit $?"),
        ends=(end,),
        lines=(BEGIN, "Killed"),
    )


def _too_long(rng: random.Random) -> Planned:
    spec = _shell("echo begin; sleep 600", timeout=rng.randint(2, 5))
    return Planned(kind="time limit", spec=spec, ends=(TIMED_OUT,), lines=(BEGIN,))


def _stubborn(rng: random.Random) -> Planned:
    spec = _shell("trap '' TERM; echo begin; while :; do sleep 1; done", timeout=rng.randint(2, 4))
    return Planned(kind="ignores TERM", spec=spec, ends=(TIMED_OUT,), lines=(BEGIN,))


def _cancelled(rng: random.Random) -> Planned:
    spec = _shell("echo begin; sleep 600")
    return Planned(kind="cancelled", spec=spec, ends=(CANCELLED,), lines=(BEGIN,), cancel_after=rng.uniform(0, 10))


def _raced(rng: random.Random) -> Planned:
    spec = _shell("echo begin; sleep 3; echo end")
    ends = (CANCELLED, SUCCEEDED)
    return Planned(kind="cancel race", spec=spec, ends=ends, lines=(BEGIN, END), cancel_after=rng.uniform(2, 9))


def _no_image(_: random.Random) -> Planned:
    end = End(JobState.FAILED, Reason.IMAGE_PULL_BACK_OFF)
    return Planned(kind="no image", spec={"image": "localhost:1/no/such:1", "command": ["true"]}, ends=(end,))


def _bad_name(_: random.Random) -> Planned:
    end = End(JobState.FAILED, Reason.INVALID_IMAGE_NAME)
    return Planned(kind="bad image name", spec={"image": "UPPER/Case:1", "command": ["true"]}, ends=(end,))


def _no_command(_: random.Random) -> Planned:
    end = End(JobState.FAILED, Reason.START_ERROR, 128)
    return Planned(kind="no command", spec={"command": ["/no/such"]}, ends=(end,))


def _retried(_: random.Random) -> Planned:
    spec = _shell(_RETRIES, retries=1, backoff=0.5, retry_on=["exit:9"])
    return Planned(kind="retries", spec=spec, ends=(SUCCEEDED,), lines=(BEGIN, END), attempts=2)


_KINDS: dict[Callable[[random.Random], Planned], int] = {
    _succeeds: 24,
    _fails: 14,
    _raced: 12,
    _cancelled: 10,
    _retried: 10,
    _too_long: 8,
    _stubborn: 4,
    _bursts: 4,
    _killed: 4,
    _no_image: 3,
    _bad_name: 2,
    _no_command: 4,
}
