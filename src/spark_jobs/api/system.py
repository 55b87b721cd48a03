"""Routes of the server itself: its queue, its health, its metrics, and its description."""

from __future__ import annotations

import asyncio
from pathlib import Path

from litestar import MediaType, Response, get, post
from litestar.exceptions import NotFoundException

from spark_jobs.api.routing import ApiRequest, about, backend_of, json_response
from spark_jobs.api.wire import JSON, Alive, Readiness
from spark_jobs.domain.times import format_time
from spark_jobs.metrics import CONTENT_TYPE
from spark_jobs.service import QueueView

_STATIC = Path(__file__).parent / "static"
# The files of the page at /docs. Styles are set by Swagger UI's script too, and its icons are data addresses.
_PAGE_FILES: dict[str, tuple[Path, str]] = {
    "swagger-ui.css": (_STATIC / "swagger" / "swagger-ui.css", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": (_STATIC / "swagger" / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "favicon-32x32.png": (_STATIC / "swagger" / "favicon-32x32.png", "image/png"),
    "docs.js": (_STATIC / "docs.js", "text/javascript; charset=utf-8"),
}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@get("/v1/queue")
async def queue(request: ApiRequest) -> Response[QueueView]:
    """The queue and the slots now."""
    return json_response(await backend_of(request).service.queue())


@post("/v1/queue/pause", status_code=200)
async def pause(request: ApiRequest) -> Response[QueueView]:
    """Start no more jobs until the queue is resumed, over restarts of the server too; jobs that run go on."""
    return json_response(await backend_of(request).service.set_paused(True))


@post("/v1/queue/resume", status_code=200)
async def resume(request: ApiRequest) -> Response[QueueView]:
    """Start jobs again."""
    return json_response(await backend_of(request).service.set_paused(False))


@get("/livez")
async def livez() -> Response[Alive]:
    """The server answers. Needs no token."""
    return json_response(Alive())


@get("/readyz", opt=about(also=503))
async def readyz(request: ApiRequest) -> Response[Readiness]:
    """200 when the store is open, the engine turns and the server is not about to stop. Needs no token."""
    health = backend_of(request).health()
    draining = backend_of(request).service.draining
    ready = health.store_open and health.engine_runs and not draining
    since = health.unreachable_since
    view = Readiness(
        status="draining" if draining else "ready" if ready else "not ready",
        store="open" if health.store_open else "closed",
        engine="running" if health.engine_runs else "stalled",
        cluster="reachable" if since is None else f"unreachable since {format_time(since)}",
    )
    return json_response(view, 200 if ready else 503)


@get("/metrics", opt=about(streams=("text/plain",)))
async def metrics(request: ApiRequest) -> Response[bytes]:
    """Metrics for Prometheus. Needs no token."""
    return Response(await backend_of(request).metrics.render(), media_type=CONTENT_TYPE)


@get("/openapi.json", include_in_schema=False)
async def openapi(request: ApiRequest) -> Response[bytes]:
    """This interface's description, OpenAPI 3.1."""
    return Response(backend_of(request).document(), media_type=JSON)


@get("/docs", include_in_schema=False)
async def docs() -> Response[bytes]:
    """The page that shows the description and tries it out; works without internet."""
    content = await asyncio.to_thread((_STATIC / "docs.html").read_bytes)
    return Response(content, media_type=MediaType.HTML, headers={"Content-Security-Policy": _PAGE_POLICY})


@get("/docs/{name:str}", include_in_schema=False)
async def docs_file(request: ApiRequest) -> Response[bytes]:
    """A file of that page."""
    path, media_type = _PAGE_FILES.get(request.path_params["name"], (None, ""))
    if path is None or not path.is_file():
        raise NotFoundException
    headers = {"Cache-Control": "max-age=3600"}
    return Response(await asyncio.to_thread(path.read_bytes), media_type=media_type, headers=headers)


ROUTES = (queue, pause, resume, livez, readyz, metrics, openapi, docs, docs_file)
