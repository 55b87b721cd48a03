"""What every route shares: what it works with, and what it says about itself for its checks and its description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response

from spark_jobs.api.checks import checked_job_id
from spark_jobs.api.guard import GuardRules
from spark_jobs.api.packing import Packing
from spark_jobs.api.query import Query, split
from spark_jobs.api.wire import JSON, HealthView
from spark_jobs.metrics import Metrics
from spark_jobs.service import JobService

ApiRequest: TypeAlias = Request[Any, Any, Any]


def _now() -> datetime:
    return datetime.now(UTC)


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the installation decides about its HTTP interface; sizes of bodies are in bytes."""

    rules: GuardRules = GuardRules()
    version: str = "0"
    spec_bytes: int = 1024 * 1024
    batch_bytes: int = 16 * 1024 * 1024
    clock: Callable[[], datetime] = _now


@dataclass(frozen=True)
class Backend:
    """What routes work with. ``document``: the OpenAPI description; ``packing``: how answers are compressed."""

    service: JobService
    metrics: Metrics
    health: Callable[[], HealthView]
    settings: ApiSettings
    document: Callable[[], bytes]
    packing: Packing = field(default_factory=Packing)


def backend_of(request: ApiRequest) -> Backend:
    """What the routes of this application work with."""
    backend: Backend = request.app.state.backend
    return backend


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a route takes and answers beyond its signature.

    ``query`` and ``headers`` name parameters, ``body`` a schema, ``codes`` the errors of its own, ``also`` a second
    status with the same content, ``streams`` the media types of an answer without a schema. ``messages`` are those of
    the first Spark that a route of its own takes and gives.
    """

    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    body: str | None = None
    codes: tuple[str, ...] = ()
    also: int | None = None
    streams: tuple[str, ...] = ()
    messages: tuple[str | None, str] | None = None


def about(*codes: str, **facts: Any) -> dict[str, Any]:
    """The ``opt`` of a route that says these things about itself."""
    return {"about": About(codes=codes, **facts)}


def read_query(request: ApiRequest) -> Query:
    """The request's query, which holds only parameters that its route knows. Raises InvalidSpec."""
    facts: About = request.route_handler.opt.get("about", About())
    return Query(split(request.scope["query_string"]), facts.query)


async def refuse_unknown_parameters(request: ApiRequest) -> None:
    """Raise InvalidSpec for a parameter that the route does not know, so that no misspelt filter is ignored."""
    read_query(request)


def job_id_of(request: ApiRequest) -> str:
    """The id in the request's address, if it can be one at all. Raises JobNotFound."""
    return checked_job_id(request.path_params["job_id"])


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response[Any]:
    """An answer in JSON."""
    return Response(msgspec.json.encode(content), status_code=status, media_type=JSON, headers=headers)
