"""The whole HTTP application: the routes, their errors, and the guard before them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from litestar import Litestar
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from spark_jobs.api import aliases, follow, jobs, search, system
from spark_jobs.api.guard import Guard
from spark_jobs.api.openapi import describe
from spark_jobs.api.problems import exception_handlers
from spark_jobs.api.routing import ApiSettings, Backend, refuse_unknown_parameters
from spark_jobs.api.wire import HealthView
from spark_jobs.auth import Access
from spark_jobs.metrics import Metrics
from spark_jobs.service import JobService

ROUTES: tuple[HTTPRouteHandler, ...] = (
    *jobs.ROUTES,
    *follow.ROUTES,
    *search.ROUTES,
    *system.ROUTES,
    *aliases.ROUTES,
)


def create_api(
    service: JobService,
    access: Access,
    metrics: Metrics,
    health: Callable[[], HealthView],
    settings: ApiSettings | None = None,
) -> ASGIApp:
    """The HTTP interface as an ASGI app, to be served in the event loop of ``service``."""
    chosen = settings or ApiSettings()

    @cache
    def document() -> bytes:
        return describe(ROUTES, version=chosen.version, token=access.required)

    backend = Backend(service, metrics, health, chosen, document)
    app = Litestar(
        ROUTES,
        state=State({"backend": backend}),
        exception_handlers=exception_handlers(metrics),
        before_request=refuse_unknown_parameters,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # bodies are bounded where they are read
    )
    return Guard(app, access, chosen.rules, metrics)
