"""The server process: one core, REST and gRPC before it, signals, and an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from typing import Literal

import structlog
import uvicorn

from spark_jobs import __version__
from spark_jobs.api.guard import GuardRules
from spark_jobs.api.rest import create_api
from spark_jobs.api.routing import ApiSettings
from spark_jobs.api.wire import HealthView
from spark_jobs.app import service_log
from spark_jobs.app.choose import choose
from spark_jobs.app.core import Core, running
from spark_jobs.app.event_loop import loop_factory
from spark_jobs.app.grpc_server import GrpcSide, grpc_bound
from spark_jobs.app.sockets import HttpProtocol, in_url, listener
from spark_jobs.auth import Access, AccessSettings, announced, decide_access, is_loopback
from spark_jobs.config import Settings
from spark_jobs.domain.errors import SparkError

log = structlog.get_logger(__name__)

OK, FAULT = 0, 70
STALLED = 90.0
"""Seconds after which an engine whose loop has not turned is no longer ready."""

IDLE = 120
"""Seconds for which a connection without a request is kept. Pools of clients and proxies drop theirs after 5 (httpx) to 90
(Go); a server that is first takes the next request's connection away under it."""

_LINGER = 5
_LOCAL = "jobs run as processes of this machine: their images are not used, and they end with this server"


def serve(settings: Settings) -> int:
    """Run the server until it is told to stop; the exit code.

    Raises:
        SparkError: it can't start as it is set up: a setting, the data folder, the credentials.
    """
    service_log.configure(settings.log_format)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(settings))
    except SparkError:
        raise
    except Exception:
        log.exception("a fault in Spark ended the server; jobs in the cluster go on, start it again")
        return FAULT
    return OK


async def _serve(settings: Settings) -> None:
    access = decide_access(_access_settings(settings))
    with listener(settings.host, settings.port, "port", otherwise="0: any free one") as rest:
        async with grpc_bound(settings, access) as grpc, running(choose(settings)) as core:
            for note in (*access.notes, *([_LOCAL] if settings.cluster == "local" else [])):
                log.warning(note)
            await grpc.start(core)
            try:
                await _serve_rest(settings, access, core, grpc, rest)
            finally:
                await grpc.stop(_LINGER)
    log.info("stopped", jobs=_fate(settings.cluster))


async def _serve_rest(settings: Settings, access: Access, core: Core, grpc: GrpcSide, rest: socket.socket) -> None:
    """Answer over REST, and tell where, until a signal comes."""
    api = create_api(core.service, access, core.metrics, lambda: _health(core), _api_settings(settings))
    server = _Server(http_config(api))
    port = rest.getsockname()[1]
    url = f"http://{in_url(settings.host)}:{port}"
    addresses = [url, *([grpc.url] if grpc.url else [])]
    with contextlib.ExitStack() as told:
        for each in filter(None, (port, grpc.port)):
            told.enter_context(announced(each, addresses, access))
        told.enter_context(_signals(core, server, grpc, _fate(settings.cluster)))
        facts = {"grpc": grpc.url} if grpc.url else {}
        facts |= _token(access)
        rest.listen()  # whoever hears that it serves is not refused, and waits for the loop's first turn
        log.info("serving", url=url, cluster=core.cluster.name, data=str(settings.data_dir), **facts)
        await server.serve(sockets=[rest])


def _fate(cluster: str) -> str:
    """What becomes of the jobs under way when the server stops."""
    return "those under way end with it" if cluster == "local" else "those in the cluster go on"


def _token(access: Access) -> dict[str, str]:
    return {"token_file": str(access.token_file)} if access.token_file else {}


def _access_settings(settings: Settings) -> AccessSettings:
    return AccessSettings(
        auth=settings.auth,
        host=settings.host,
        local_cluster=settings.cluster == "local",
        data_dir=settings.data_dir,
        token=settings.token,
        token_file=settings.token_file,
    )


def _api_settings(settings: Settings) -> ApiSettings:
    return ApiSettings(
        rules=GuardRules(
            loopback=is_loopback(settings.host),
            allowed_hosts=tuple(settings.allowed_host),
            allow_origins=tuple(settings.allow_origin),
        ),
        version=str(__version__),
    )


def http_config(api: object, *, lifespan: Literal["on", "off"] = "on") -> uvicorn.Config:
    """How an application is served over HTTP."""
    return uvicorn.Config(
        api,  # type: ignore[arg-type]  # uvicorn types an ASGI app more narrowly than Litestar does
        http=HttpProtocol,
        log_config=None,
        access_log=False,
        lifespan=lifespan,
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=_LINGER,
    )


def _health(core: Core) -> HealthView:
    idle = core.engine.idle_seconds()
    cluster = core.cluster.health()
    return HealthView(
        store_open=True,
        engine_runs=idle is not None and idle < STALLED,
        unreachable_since=None if cluster.reachable else cluster.since,
    )


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Change no handler."""
        yield


@contextlib.contextmanager
def _signals(core: Core, server: uvicorn.Server, grpc: GrpcSide, fate: str) -> Iterator[None]:
    """The first SIGTERM or SIGINT drains: nothing new is taken or started, writes are finished, Jobs go on. The second
    one ends the process at once."""
    loop = asyncio.get_running_loop()

    def received(number: int) -> None:
        if server.should_exit:
            os._exit(128 + number)
        log.info("stopping; a second signal ends this process at once", jobs=fate)
        server.should_exit = True
        core.drain()
        grpc.drain(_LINGER)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
