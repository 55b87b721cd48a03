"""From rows to what users see: jobs, attempts, events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import FromClause, Select, and_, bindparam, select

from spark_jobs.domain.job import Activity, Attempt, Job, LogState, LogSummary, Timings
from spark_jobs.domain.reasons import hint
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from spark_jobs.store.sql.prepared import Prepared, Row
from spark_jobs.store.sql.tables import attempts, jobs

# Columns of a row that are a Job's fields under their own names.
_PLAIN = (
    "id",
    "exit_code",
    "result",
    "cancel_requested_at",
    "retry_of",
    "not_before",
    "created_at",
    "started_at",
    "finished_at",
)

_latest = attempts.alias("latest")

_COLUMNS = (
    *(jobs.c[name] for name in _PLAIN),
    *(jobs.c[name] for name in ("seq", "state", "reason", "message", "spec", "priority", "attempt", "queue_deadline")),
    _latest.c.activity.label("doing"),
    _latest.c.reason.label("doing_reason"),
    _latest.c.message.label("doing_message"),
)


def job_rows(source: FromClause = jobs) -> Select[Any]:
    """Rows for :func:`job_of`, of the jobs in ``source``."""
    is_latest = and_(_latest.c.job_id == jobs.c.id, _latest.c.attempt == jobs.c.attempt)
    return select(*_COLUMNS).select_from(source.outerjoin(_latest, is_latest))


JOB_BY_ID = Prepared(job_rows().where(jobs.c.id == bindparam("job_id")))

ATTEMPTS_OF_JOB = Prepared(
    select(
        *(
            attempts.c[name]
            for name in (
                *("attempt", "state", "outcome", "reason", "message", "cluster", "namespace", "kubernetes_name"),
                *("pod", "node", "claimed_at", "started_at", "finished_at", "events"),
                *("placed_at", "running_at", "over_at", "settled_at"),
                *("log_bytes", "log_lines", "log_state", "log_problem", "archived_to"),
            )
        )
    )
    .where(attempts.c.job_id == bindparam("job_id"))
    .order_by(attempts.c.attempt)
)


def job_of(row: Row, now: datetime, *, runs: Sequence[Attempt] = (), position: int | None = None) -> Job:
    """The job of a row of :func:`job_rows`, with its real env."""
    state: JobState = row["state"]
    doing, reason, message = _activity(row, state, now)
    return Job(
        **{name: row[name] for name in _PLAIN},
        state=state,
        reason=reason,
        message=message,
        hint=hint(reason, message),
        activity=doing,
        position=position,
        spec=row["spec"],
        attempts=list(runs),
    )


def listed(job: Job) -> Job:
    """The job as lists and events show it: without env and attempts, which may be large or secret."""
    return msgspec.structs.replace(job, spec=without_env(job.spec), attempts=[], position=None)


def without_env(spec: JobSpec) -> JobSpec:
    """The spec without the values of its environment."""
    return msgspec.structs.replace(spec, env={}) if spec.env else spec


def _activity(row: Row, state: JobState, now: datetime) -> tuple[Activity | None, str | None, str | None]:
    """What goes on, why, and the words for it: the latest attempt's while one is under way, else the job's own."""
    if state.is_terminal:
        return None, row["reason"], row["message"]
    if state is JobState.QUEUED:
        waits = row["not_before"] is not None and row["not_before"] > now
        return (Activity.BACKOFF if waits else Activity.QUEUED), row["reason"], row["message"]
    return row["doing"], row["doing_reason"], row["doing_message"]


def attempts_of(rows: Iterable[Row], created_at: datetime) -> list[Attempt]:
    """The attempts of rows of :data:`ATTEMPTS_OF_JOB`, of a job that was created then."""
    runs: list[Attempt] = []
    queued_at: datetime | None = created_at
    for row in rows:
        runs.append(_attempt_of(row, queued_at))
        queued_at = row["over_at"]
    return runs


def _attempt_of(row: Row, queued_at: datetime | None) -> Attempt:
    state: JobState = row["state"]
    outcome = row["outcome"] if state.is_terminal else None  # what was noted counts once the state says so
    return Attempt(
        attempt=row["attempt"],
        state=state,
        reason=outcome.reason if outcome else row["reason"],
        message=outcome.message if outcome else row["message"],
        exit_code=outcome.exit_code if outcome else None,
        result=outcome.result if outcome else None,
        cluster=row["cluster"],
        namespace=row["namespace"],
        kubernetes_job=row["kubernetes_name"],
        pod=row["pod"],
        node=row["node"],
        claimed_at=row["claimed_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        timings=_timings(row, queued_at),
        events=row["events"],
        log=LogSummary(
            bytes=row["log_bytes"],
            lines=row["log_lines"],
            state=row["log_state"],
            complete=row["log_state"] is LogState.COMPLETE,
            problem=row["log_problem"],
            archived=row["archived_to"],
        ),
    )


def _timings(row: Row, queued_at: datetime | None) -> Timings:
    """By our own clock; only how long a container ran that nobody saw running is the cluster's word, in whole seconds."""
    placed, over = row["placed_at"], row["over_at"]
    began = row["running_at"]
    if began is None and row["started_at"] is not None and row["finished_at"] is not None and over is not None:
        began = max(over - (row["finished_at"] - row["started_at"]), placed or row["claimed_at"])
    return Timings(
        queued=_seconds(queued_at, row["claimed_at"]),
        starting=_seconds(row["claimed_at"], placed or over),
        pulling=_seconds(placed, began or over),
        running=_seconds(began, over),
        collecting=_seconds(over, row["settled_at"]),
    )


def _seconds(first: datetime | None, second: datetime | None) -> float | None:
    return None if first is None or second is None else max(0.0, (second - first).total_seconds())
