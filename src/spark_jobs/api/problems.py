"""Errors as answers: what the routes raise, and what the framework raises for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap, Send

from spark_jobs.api.incidents import note_incident
from spark_jobs.api.status import ORIGINAL_PATHS, code_of, status_plain
from spark_jobs.api.stream import HungUp
from spark_jobs.api.wire import ERRORS, JSON, PROBLEM_JSON, Problem, problem, problem_headers, simple_problem
from spark_jobs.domain.errors import SparkError, TryAgain
from spark_jobs.metrics import Metrics

_Request: TypeAlias = Request[Any, Any, Any]
_Answer: TypeAlias = Response[bytes]


class _Form(NamedTuple):
    """A problem as it is sent."""

    status: int
    media_type: str
    body: bytes


def exception_handlers(metrics: Metrics) -> ExceptionHandlersMap:
    """The handlers that turn every exception into a problem."""

    def unexpected(request: _Request, error: Exception) -> _Answer:
        what = f"{request.method} {request.scope.get('path_template', '?')}"
        return _answer(_form(request.scope["path"], note_incident(metrics, what, error)))

    def known(request: _Request, error: SparkError) -> _Answer:
        if error.code not in ERRORS or error.code == "internal":
            return unexpected(request, error)
        return _answer(_form_of(request.scope["path"], error), problem_headers(error))

    return {SparkError: known, HTTPException: _framework, HungUp: _nobody, Exception: unexpected}


async def send_problem(send: Send, path: str, error: SparkError) -> None:
    """Answer a request to this path with an error, from outside the framework."""
    form = _form_of(path, error)
    names = {"Content-Type": form.media_type, "Content-Length": str(len(form.body)), **problem_headers(error)}
    pairs = [(name.lower().encode(), value.encode()) for name, value in names.items()]
    await send({"type": "http.response.start", "status": form.status, "headers": pairs})
    await send({"type": "http.response.body", "body": form.body, "more_body": False})


def _framework(_request: _Request, error: HTTPException) -> _Answer:
    if error.status_code == 404:
        text = "there is nothing at this address; /openapi.json lists what there is"
        return _answer(_as_problem(simple_problem("not_found", text)))
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        methods = allowed.get("allow", "others").replace("GET", "GET, HEAD")
        text = f"this address takes {methods}"
        return _answer(_as_problem(simple_problem("method_not_allowed", text)), {**allowed, "allow": methods})
    return _answer(_as_problem(simple_problem("bad_request", error.detail)))


def _nobody(_request: _Request, _error: HungUp) -> _Answer:
    return Response(b"", status_code=499)  # nobody reads it


def _form_of(path: str, error: SparkError) -> _Form:
    return _form(path, problem(error), error.retry_after if isinstance(error, TryAgain) else None)


def _form(path: str, content: Problem, retry_after: float | None = None) -> _Form:
    """RFC 9457, but the first Spark's clients get what they know."""
    if path.rstrip("/") not in ORIGINAL_PATHS:
        return _as_problem(content)
    return _Form(code_of(content).status, JSON, msgspec.json.encode(status_plain(content, retry_after)))


def _as_problem(content: Problem) -> _Form:
    return _Form(content.status, PROBLEM_JSON, msgspec.json.encode(content))


def _answer(form: _Form, headers: Mapping[str, str] | None = None) -> _Answer:
    return Response(form.body, status_code=form.status, media_type=form.media_type, headers=dict(headers or {}))
