"""Errors as answers: what the routes raise, and what the framework raises for them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap, Send

from spark_jobs.api.stream import HungUp
from spark_jobs.api.wire import (
    ERRORS,
    PROBLEM_JSON,
    Problem,
    internal_problem,
    problem,
    problem_headers,
    simple_problem,
)
from spark_jobs.domain.errors import SparkError
from spark_jobs.metrics import Metrics

_log = logging.getLogger(__name__)
_Request: TypeAlias = Request[Any, Any, Any]
_Answer: TypeAlias = Response[bytes]


def exception_handlers(metrics: Metrics) -> ExceptionHandlersMap:
    """The handlers that turn every exception into a problem."""

    def unexpected(request: _Request, error: Exception) -> _Answer:
        metrics.unexpected_error("api")
        incident = secrets.token_hex(6)
        route = request.scope.get("path_template", "?")
        _log.error("incident %s: %s %s failed", incident, request.method, route, exc_info=error)
        return _answer(internal_problem(incident))

    def known(request: _Request, error: SparkError) -> _Answer:
        if error.code not in ERRORS or error.code == "internal":
            return unexpected(request, error)
        return _answer(problem(error), problem_headers(error))

    return {SparkError: known, HTTPException: _framework, HungUp: _nobody, Exception: unexpected}


async def send_problem(send: Send, error: SparkError, headers: Mapping[str, str]) -> None:
    """Answer with an error from outside the framework."""
    row = problem(error)
    body = msgspec.json.encode(row)
    names = {"Content-Type": PROBLEM_JSON, "Content-Length": str(len(body)), **problem_headers(error), **headers}
    pairs = [(name.lower().encode(), value.encode()) for name, value in names.items()]
    await send({"type": "http.response.start", "status": row.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _framework(_request: _Request, error: HTTPException) -> _Answer:
    if error.status_code == 404:
        return _answer(
            simple_problem("not_found", "there is nothing at this address; /openapi.json lists what there is")
        )
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        methods = allowed.get("allow", "others")
        return _answer(simple_problem("method_not_allowed", f"this address takes {methods}"), allowed)
    return _answer(simple_problem("bad_request", error.detail))


def _nobody(_request: _Request, _error: HungUp) -> _Answer:
    return Response(b"", status_code=499)  # nobody reads it


def _answer(content: Problem, headers: Mapping[str, str] | None = None) -> _Answer:
    return Response(
        msgspec.json.encode(content), status_code=content.status, media_type=PROBLEM_JSON, headers=dict(headers or {})
    )
