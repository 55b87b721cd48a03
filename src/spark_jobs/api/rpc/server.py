"""The gRPC server: bound first, then given the service, in whose event loop it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import grpc
import grpc.aio
import msgspec

from spark_jobs.api.original import Original
from spark_jobs.api.proto import job_service_pb2, spark_service_pb2
from spark_jobs.api.rpc import health, reflected
from spark_jobs.api.rpc.access import AccessInterceptor
from spark_jobs.api.rpc.calls import Calls
from spark_jobs.api.rpc.jobs import JobRpc
from spark_jobs.auth import Access
from spark_jobs.metrics import Metrics
from spark_jobs.service import JobService

LARGEST_MESSAGE = 4 * 1024 * 1024

_JOBS = job_service_pb2.DESCRIPTOR.services_by_name["JobService"]
_ORIGINAL = spark_service_pb2.DESCRIPTOR.services_by_name["SparkService"]
_SERVICES = (_ORIGINAL.full_name, _JOBS.full_name)
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.so_reuseport", 0),  # else two servers share a port without noticing
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    # Whoever is gone without a word is noticed, and whoever asks whether we are there is not sent away for it.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),  # the core would wait a minute by itself, whatever the line above says
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
]


class RpcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the installation decides about its gRPC interface. ``open_reflection``: reflection needs no token."""

    version: str
    clock: Callable[[], datetime]
    reflection: bool = True
    open_reflection: bool = False


class RpcServer:
    """One server. To be made, bound, started and stopped in one event loop."""

    def __init__(self, access: Access, settings: RpcSettings) -> None:
        self._settings = settings
        free = [health.NAME, *(reflected.NAMES if settings.open_reflection else ())]
        self._server = grpc.aio.server(interceptors=[AccessInterceptor(access, free)], options=_OPTIONS)
        self._health: health.Health | None = None
        self._stopping: asyncio.Task[None] | None = None

    def bind(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen at ``HOST:PORT``, with TLS where there are credentials; the port. Raises OSError."""
        try:
            if credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"gRPC can't listen at {address}") from error

    async def start(self, service: JobService, metrics: Metrics) -> None:
        """Answer for this service from now on."""
        calls = Calls(metrics)
        self._health = health.Health(_SERVICES, lambda: service.draining)
        handlers = [
            calls.handler(_JOBS, JobRpc(service, self._settings.clock)),
            calls.handler(_ORIGINAL, Original(service, self._settings.version)),
            self._health.handler(),
        ]
        if self._settings.reflection:
            handlers += reflected.Reflection([*_SERVICES, health.NAME]).handlers(calls)
        self._server.add_generic_rpc_handlers(handlers)
        await self._server.start()

    def drain(self, grace: float) -> asyncio.Task[None]:
        """Take no new calls, and end those under way after ``grace`` seconds; the task is done once none is left."""
        if self._stopping is None:
            if self._health is not None:
                self._health.end()
            self._stopping = asyncio.create_task(self._server.stop(grace))
        return self._stopping
