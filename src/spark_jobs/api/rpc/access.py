"""Who may call over gRPC: the token is looked at before anything of a call is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any, TypeAlias

import grpc
import grpc.aio

from spark_jobs.api.rpc.failures import failure
from spark_jobs.api.wire import problem
from spark_jobs.auth import Access
from spark_jobs.domain.errors import Unauthenticated

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Lets through calls with the token as ``authorization: Bearer …``, and those of the services named ``free``."""

    def __init__(self, access: Access, free: Collection[str]) -> None:
        self._access = access
        self._free = frozenset(free)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """The handler of the call, or one that refuses it; null for a method that there is not."""
        _, service, _ = ["", "", *handler_call_details.method.strip("/").split("/")][-3:]
        if service in self._free:
            return await continuation(handler_call_details)
        pairs = handler_call_details.invocation_metadata or ()
        given = [value for name, value in pairs if name == "authorization"]
        try:
            self._access.check([value if isinstance(value, bytes) else value.encode() for value in given])
        except Unauthenticated as error:
            return _refusal(error)
        return await continuation(handler_call_details)


def _refusal(error: Unauthenticated) -> _Handler:
    ending = failure(problem(error))

    async def refuse(_requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(ending.code, ending.message, ending.metadata)

    # One that takes a stream is called before a request was read; to the caller all kinds look the same.
    return grpc.stream_stream_rpc_method_handler(refuse)
