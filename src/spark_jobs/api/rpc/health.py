"""`grpc.health.v1`: whether the server takes work, for balancers and probes. Needs no token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2 as pb

NAME = pb.DESCRIPTOR.services_by_name["Health"].full_name

_SERVING = pb.HealthCheckResponse.SERVING
_NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING
_UNKNOWN = pb.HealthCheckResponse.SERVICE_UNKNOWN
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Health:
    """Answers for the services of these names, and for the whole server by the empty one."""

    def __init__(self, names: Collection[str], draining: Callable[[], bool]) -> None:
        self._names = frozenset({"", *names})
        self._draining = draining
        self._ended = asyncio.Event()

    def handler(self) -> grpc.GenericRpcHandler:
        """The handler of both methods."""
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return grpc.method_handlers_generic_handler(NAME, methods)

    def end(self) -> None:
        """Tell those who watch that the server takes nothing more, and let them go."""
        self._ended.set()

    async def _check(self, raw: bytes, context: _Context) -> bytes:
        status = self._status(raw)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no service of this name here")
        return _response(status)

    async def _watch(self, raw: bytes, context: _Context) -> None:
        status = self._status(raw)
        await context.write(_response(status))
        await self._ended.wait()
        if status == _SERVING:
            await context.write(_response(_NOT_SERVING))

    def _status(self, raw: bytes) -> int:
        try:
            name = pb.HealthCheckRequest.FromString(raw).service
        except DecodeError:
            return _UNKNOWN  # no name here is like that
        if name not in self._names:
            return _UNKNOWN
        return _NOT_SERVING if self._draining() else _SERVING


def _response(status: int) -> bytes:
    return bytes(pb.HealthCheckResponse(status=status).SerializeToString())
