"""gRPC beside REST: its port, its certificate, and what becomes of it where its packages are missing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from spark_jobs import __version__
from spark_jobs.app.core import Core, utc_now
from spark_jobs.app.sockets import in_url, listener, resolved
from spark_jobs.auth import Access, is_loopback
from spark_jobs.config import Settings
from spark_jobs.domain.errors import SettingError

if TYPE_CHECKING:
    from spark_jobs.api.rpc.server import RpcServer

log = structlog.get_logger(__name__)

_OTHERWISE = "0: any free one; none: REST alone"
_INSTALL = "pip install 'spark-jobs[grpc]'"


class GrpcSide:
    """The gRPC server of this process; without one nothing happens, and there is no port and no address."""

    def __init__(self, server: RpcServer | None = None, port: int | None = None, url: str | None = None) -> None:
        self._server = server
        self.port = port
        self.url = url

    async def start(self, core: Core) -> None:
        """Answer from now on."""
        if self._server is not None:
            await self._server.start(core.service, core.metrics)

    def drain(self, grace: float) -> None:
        """Take no new calls, and end those under way after ``grace`` seconds."""
        if self._server is not None:
            self._server.drain(grace)

    async def stop(self, grace: float = 0.0) -> None:
        """Drain, and return once nothing is under way any more."""
        if self._server is not None:
            await self._server.drain(grace)


@asynccontextmanager
async def grpc_bound(settings: Settings, access: Access) -> AsyncIterator[GrpcSide]:
    """A server that is bound to its port, which nobody answers at yet; it is stopped at the end of the block.

    Raises:
        SettingError: the port is taken, the certificate can't be used, or the packages are missing and asked for.
    """
    kind = _rpc_server(settings)
    if kind is None or settings.grpc_port is None:
        yield GrpcSide()
        return
    side = _bound(kind, settings, settings.grpc_port, access)
    try:
        yield side
    finally:
        await side.stop()


def _rpc_server(settings: Settings) -> type[RpcServer] | None:
    """The class, where gRPC is wanted and its packages are there."""
    if settings.grpc_port is None:
        return None
    # With what gRPC does when a process forks, one in thirty programs that uvloop starts dies at once.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    # What its core writes to stderr is in a form of its own; what matters comes to us as errors.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from spark_jobs.api.rpc.server import RpcServer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("spark_jobs"):
            raise
        asked = [name for name in ("grpc_port", "grpc_tls_cert") if settings.origin(name) != "default"]
        if asked:
            text = f"{settings.origin(asked[0])}: gRPC needs packages that are not installed: {_INSTALL}"
            raise SettingError(text, setting=asked[0]) from None
        log.warning("gRPC is not served, since its packages are not installed; REST is", install=_INSTALL)
        return None
    return RpcServer


def _bound(kind: type[RpcServer], settings: Settings, port: int, access: Access) -> GrpcSide:
    from spark_jobs.api.rpc.server import RpcSettings

    loopback = is_loopback(settings.host)
    server = kind(
        access,
        RpcSettings(
            version=str(__version__), clock=utc_now, reflection=settings.grpc_reflection, open_reflection=loopback
        ),
    )
    credentials = None
    if settings.grpc_tls_cert is not None and settings.grpc_tls_key is not None:
        from spark_jobs.api.rpc.certificates import Certificates

        credentials = Certificates(settings.grpc_tls_cert, settings.grpc_tls_key).credentials()
    # gRPC does not say why it can't listen; a socket of our own does.
    listener(settings.host, port, "grpc_port", otherwise=_OTHERWISE).close()
    _, address = resolved(settings.host, port)
    try:
        bound = server.bind(f"{in_url(address[0])}:{port}", credentials)
    except OSError as error:
        text = f"{error}; choose another port with --grpc-port ({_OTHERWISE})"
        raise SettingError(text, setting="grpc_port") from error
    scheme = "grpc" if credentials is None else "grpcs"
    return GrpcSide(server, bound, f"{scheme}://{in_url(settings.host)}:{bound}")
