"""Errors as `google.rpc.Status` in its JSON form: what the first Spark's routes answer, and what gRPC sends beside a code."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from spark_jobs.api.wire import ERRORS, Problem
from spark_jobs.domain.errors import Fault

ORIGINAL_POSTS = frozenset({"/v1/queue_job", "/v1/get_job_logs", "/v1/get_job_status"})
ORIGINAL_PATHS = ORIGINAL_POSTS | {"/v1/ping"}
"""The routes of the first Spark, whose errors look so."""

DOMAIN = "spark-jobs"
_TYPE = "type.googleapis.com/google.rpc."


class Code(NamedTuple):
    """A code of gRPC: its number, and the HTTP status that grpc-gateway answers for it."""

    number: int
    status: int


CODES: dict[str, Code] = {
    "INVALID_ARGUMENT": Code(3, 400),
    "NOT_FOUND": Code(5, 404),
    "ALREADY_EXISTS": Code(6, 409),
    "PERMISSION_DENIED": Code(7, 403),
    "RESOURCE_EXHAUSTED": Code(8, 429),
    "FAILED_PRECONDITION": Code(9, 400),
    "OUT_OF_RANGE": Code(11, 400),
    "UNIMPLEMENTED": Code(12, 501),
    "INTERNAL": Code(13, 500),
    "UNAVAILABLE": Code(14, 503),
    "UNAUTHENTICATED": Code(16, 401),
}


def code_of(problem: Problem) -> Code:
    """The code of gRPC that stands for the problem."""
    return CODES[ERRORS[problem.code].grpc]


def status_plain(problem: Problem, retry_after: float | None = None) -> dict[str, Any]:
    """The problem as a status; ``retry_after`` is in seconds."""
    details = [_error_info(problem)]
    if problem.errors:
        violations = [violation(fault) for fault in problem.errors]
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": violations})
    if retry_after is not None:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{max(0.0, retry_after):.3f}s"})
    return {"code": code_of(problem).number, "message": problem.detail, "details": details}


def violation(fault: Fault) -> dict[str, str]:
    """A fault as a violation of a field."""
    return {"field": fault.pointer, "description": fault.detail, "reason": fault.code}


def _error_info(problem: Problem) -> dict[str, Any]:
    more = {name: getattr(problem, name) for name in ("free", "incident")}
    metadata = {name: str(value) for name, value in more.items() if value is not msgspec.UNSET}
    return {"@type": f"{_TYPE}ErrorInfo", "reason": problem.code, "domain": DOMAIN, "metadata": metadata}
