"""What crosses the wire: the one table of errors, and jobs, events and the queue as JSON."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from spark_jobs.domain.errors import Fault, InvalidSpec, QueueFull, RangeNotSatisfiable, SparkError, TryAgain
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.plain import spec_to_plain

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"


class ErrorRow(NamedTuple):
    """How one kind of error looks from outside: HTTP status, gRPC code, and what a person reads first."""

    status: int
    grpc: str
    title: str


ERRORS: dict[str, ErrorRow] = {
    "invalid_json": ErrorRow(400, "INVALID_ARGUMENT", "The body is not JSON"),
    "invalid_page_token": ErrorRow(400, "INVALID_ARGUMENT", "The page token is not valid"),
    "bad_request": ErrorRow(400, "INVALID_ARGUMENT", "The request is not valid HTTP"),
    "unauthenticated": ErrorRow(401, "UNAUTHENTICATED", "A token is needed"),
    "permission_denied": ErrorRow(403, "PERMISSION_DENIED", "This is not allowed"),
    "forbidden_origin": ErrorRow(403, "PERMISSION_DENIED", "Web pages of other origins may not call"),
    "not_found": ErrorRow(404, "UNIMPLEMENTED", "There is nothing at this address"),
    "job_not_found": ErrorRow(404, "NOT_FOUND", "There is no such job"),
    "attempt_not_found": ErrorRow(404, "NOT_FOUND", "There is no such attempt"),
    "method_not_allowed": ErrorRow(405, "UNIMPLEMENTED", "This address does not take this method"),
    "id_conflict": ErrorRow(409, "ALREADY_EXISTS", "The id belongs to another job"),
    "idempotency_conflict": ErrorRow(409, "ALREADY_EXISTS", "The key was used with another body"),
    "not_cancellable": ErrorRow(409, "FAILED_PRECONDITION", "The job is over"),
    "not_retryable": ErrorRow(409, "FAILED_PRECONDITION", "The job is not over"),
    "not_deletable": ErrorRow(409, "FAILED_PRECONDITION", "The job can't be deleted yet"),
    "events_gone": ErrorRow(410, "OUT_OF_RANGE", "These events are no longer kept"),
    "body_too_large": ErrorRow(413, "INVALID_ARGUMENT", "The body is too large"),
    "unsupported_media_type": ErrorRow(415, "INVALID_ARGUMENT", "The body must be application/json"),
    "range_not_satisfiable": ErrorRow(416, "OUT_OF_RANGE", "None of these bytes is there"),
    "unknown_host": ErrorRow(421, "PERMISSION_DENIED", "This server does not answer for this host"),
    "invalid_spec": ErrorRow(422, "INVALID_ARGUMENT", "The request has faults"),
    "queue_full": ErrorRow(429, "RESOURCE_EXHAUSTED", "The queue is full"),
    "too_many_searches": ErrorRow(429, "RESOURCE_EXHAUSTED", "Too many searches wait"),
    "internal": ErrorRow(500, "INTERNAL", "Something unexpected happened in the server"),
    "store_unavailable": ErrorRow(503, "UNAVAILABLE", "The store can't write now"),
    "draining": ErrorRow(503, "UNAVAILABLE", "The server is about to stop"),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error as RFC 9457 has it. ``code`` is stable. ``free``: how many jobs would still fit (queue_full only);
    ``incident``: the id under which the server's log tells more (internal only)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault] = []
    free: int | msgspec.UnsetType = msgspec.UNSET
    incident: str | msgspec.UnsetType = msgspec.UNSET


def problem(error: SparkError) -> Problem:
    """The error as a problem; only for errors that :data:`ERRORS` has a row for."""
    row = ERRORS[error.code]
    return Problem(
        type=problem_type(error.code),
        title=row.title,
        status=row.status,
        detail=error.message,
        code=error.code,
        errors=list(error.faults) if isinstance(error, InvalidSpec) else [],
        free=error.free if isinstance(error, QueueFull) else msgspec.UNSET,
    )


def simple_problem(code: str, detail: str) -> Problem:
    """A problem that is no error of the domain: an address or a method that does not exist."""
    row = ERRORS[code]
    return Problem(type=problem_type(code), title=row.title, status=row.status, detail=detail, code=code)


def internal_problem(incident: str) -> Problem:
    """What a caller learns about an error that should not happen: where its story stands, and nothing else."""
    row = ERRORS["internal"]
    return Problem(
        type=problem_type("internal"),
        title=row.title,
        status=row.status,
        detail=f"this is a fault in Spark; the server's log has it under {incident}",
        code="internal",
        incident=incident,
    )


def problem_type(code: str) -> str:
    """The URI that names a kind of error."""
    return f"urn:spark-jobs:error:{code}"


def problem_headers(error: SparkError) -> dict[str, str]:
    """The headers that go with an error's answer."""
    if isinstance(error, TryAgain):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    if error.code == "unauthenticated":
        return {"WWW-Authenticate": 'Bearer realm="spark"'}
    if isinstance(error, RangeNotSatisfiable):
        return {"Content-Range": f"bytes */{error.size}"}
    if error.code == "body_too_large":
        return {"Connection": "close"}  # else the rest of the body would have to be read
    return {}


class JobList(msgspec.Struct, frozen=True):
    """A page of jobs."""

    jobs: list[Job]
    next_page_token: str | None


class JobBatch(msgspec.Struct, frozen=True):
    """The jobs of one batch, in the order of their submission; ``replayed``: ids of those that were there already."""

    jobs: list[Job]
    replayed: list[str]


class LogLine(msgspec.Struct, frozen=True):
    """One line of a log, or a piece of a very long one. ``offset`` is the byte where it begins in its attempt's log;
    ``time`` is null where only a later piece of a line is sent. ``bytes`` (base64) stands in for ``text`` where the
    line is not UTF-8. The end of the line is part of it."""

    attempt: int
    offset: int
    time: str | None
    text: str | msgspec.UnsetType = msgspec.UNSET
    bytes: bytes | msgspec.UnsetType = msgspec.UNSET


class Alive(msgspec.Struct, frozen=True):
    """The server answers."""

    status: str = "ok"


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """How the server is. ``unreachable_since``: since when the cluster does not answer; null while it does."""

    store_open: bool
    engine_runs: bool
    unreachable_since: datetime | None = None


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server can do its work; a cluster that is away does not make it unready."""

    status: str
    store: str
    engine: str
    cluster: str


def job_plain(job: Job) -> dict[str, Any]:
    """A job with every key, ready for JSON."""
    plain: dict[str, Any] = msgspec.to_builtins(job)
    plain["spec"] = spec_to_plain(job.spec)
    return plain


def item_plain(job: Job) -> dict[str, Any]:
    """A job as lists and events show it: no attempts, no env, no position."""
    plain = job_plain(job)
    del plain["attempts"]
    del plain["spec"]["env"]
    plain["position"] = None
    return plain


def event_plain(event: JobEvent) -> dict[str, Any]:
    """An event, ready for JSON."""
    return {
        "seq": event.seq,
        "time": msgspec.to_builtins(event.time),
        "job_id": event.job_id,
        "attempt": event.attempt,
        "type": event.type,
        "from": event.source,
        "to": event.target,
        "reason": event.reason,
        "job": item_plain(event.job),
    }
