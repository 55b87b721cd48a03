"""Jobs as a server shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from spark_jobs.domain.job import Attempt, Job, LogState, LogSummary
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState

ID = "spark-job-4k2m9q0x1c5va7f"
CREATED = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)


def spec(**fields: Any) -> JobSpec:
    """A spec with the defaults of an installation."""
    known: dict[str, Any] = {"image": "busybox:1", "command": ["true"], "timeout": 300.0}
    return JobSpec(**(known | fields))


def queued(job_id: str = ID, **fields: Any) -> Job:
    """A job that waits."""
    known: dict[str, Any] = {"id": job_id, "state": JobState.QUEUED, "created_at": CREATED, "spec": spec()}
    return Job(**(known | fields))


def ended(state: JobState = JobState.SUCCEEDED, *, job_id: str = ID, log: int = 0, **fields: Any) -> Job:
    """A job that is over after 12 s, with one attempt whose log has `log` bytes."""
    summary = LogSummary(bytes=log, lines=1, state=LogState.COMPLETE, complete=True)
    attempt = Attempt(attempt=1, state=state, cluster="fake", log=summary)
    known: dict[str, Any] = {
        "started_at": CREATED + timedelta(seconds=3),
        "finished_at": CREATED + timedelta(seconds=15),
        "attempts": [attempt],
        "exit_code": 0 if state is JobState.SUCCEEDED else None,
    }
    return queued(job_id, state=state, **(known | fields))


def wire(job: Job) -> dict[str, Any]:
    """The job as JSON has it."""
    plain: dict[str, Any] = msgspec.to_builtins(job)
    return plain
