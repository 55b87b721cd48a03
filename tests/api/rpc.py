"""A gRPC server in this event loop, and a caller of its methods by their names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # has no types

from spark_jobs.api.proto import job_service_pb2, spark_service_pb2
from spark_jobs.api.rpc.server import RpcServer, RpcSettings
from spark_jobs.app.core import utc_now
from spark_jobs.auth import Access
from spark_jobs.service import JobService
from tests.engine.bench import Bench

PATIENCE = 20.0
_OF_CALLS = ("_handle_exceptions", "_schedule_rpc_coro", "next_or_none")
_SERVICES = (job_service_pb2.DESCRIPTOR.services_by_name, spark_service_pb2.DESCRIPTOR.services_by_name)
METHODS: dict[str, Any] = {
    method.name: method for services in _SERVICES for service in services.values() for method in service.methods
}


@dataclass(frozen=True)
class Refused:
    """How a call ended that did not succeed. ``faults`` are pointers and codes; ``retry`` is in seconds."""

    code: str
    message: str
    reason: str
    metadata: dict[str, str]
    faults: dict[str, str]
    retry: float | None


def read_failure(error: grpc.aio.AioRpcError) -> Refused:
    """Code, message and details of a failed call, which must fit together."""
    raw = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    assert isinstance(raw, bytes), error
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    status = status_pb2.Status.FromString(raw)
    found = [kind for detail in status.details for kind in (info, bad, retry) if detail.Unpack(kind)]
    assert info.domain == "spark-jobs"
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return Refused(
        code=error.code().name,
        message=status.message,
        reason=info.reason,
        metadata=dict(info.metadata),
        faults={each.field: each.reason for each in bad.field_violations},
        retry=retry.retry_delay.ToTimedelta().total_seconds() if retry in found else None,
    )


async def refused(call: Awaitable[object]) -> Refused:
    """The failure that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_failure(raised.value)


class Rpc:
    """Calls the methods of one server; ``metadata`` goes with each call."""

    def __init__(self, channel: grpc.aio.Channel, port: int, *metadata: tuple[str, str]) -> None:
        self.channel = channel
        self.port = port
        self._metadata = metadata

    def open(self, name: str, request: Any) -> Any:
        """The call of this method, under way."""
        method = METHODS[name]
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        answer: Any = GetMessageClass(method.output_type)
        call: Any = getattr(self.channel, kind)(
            f"/{method.containing_service.full_name}/{name}", _serialized, answer.FromString
        )
        sent = iter(request) if isinstance(request, list) else request
        return call(sent, metadata=self._metadata, timeout=PATIENCE)

    async def call(self, name: str, request: Message | bytes) -> Any:
        """The one answer."""
        return await self.open(name, request)

    async def all(self, name: str, request: Any) -> list[Any]:
        """All answers."""
        return [answer async for answer in self.open(name, request)]


def _serialized(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


@asynccontextmanager
async def rpc_server(
    core: Bench, access: Access | None = None, *, service: JobService | None = None, **settings: Any
) -> AsyncIterator[tuple[RpcServer, int]]:
    """A server on a free port for this core, or for another service on it."""
    given: dict[str, Any] = {"version": "1.2.3", "clock": utc_now, **settings}
    server = RpcServer(access or Access(), RpcSettings(**given))
    port = server.bind("127.0.0.1:0")
    await server.start(service or core.service, core.core.metrics)
    try:
        yield server, port
    finally:
        await server.drain(0)


@asynccontextmanager
async def calling(port: int, *metadata: tuple[str, str]) -> AsyncIterator[Rpc]:
    """A caller with a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        yield Rpc(channel, port, *metadata)


def under_way() -> set[asyncio.Task[Any]]:
    """The tasks of calls that the server in this loop is answering."""
    return {task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") in _OF_CALLS}


async def until_idle() -> None:
    """Until no call is being answered."""
    async with asyncio.timeout(PATIENCE):
        while answering := under_way():
            await asyncio.wait(answering)
