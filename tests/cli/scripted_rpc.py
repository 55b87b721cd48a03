"""A real gRPC server in this event loop that answers what a test says, and keeps what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import Message

from spark_jobs.api.rpc.failures import failure
from spark_jobs.api.wire import Problem

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Answer: TypeAlias = Callable[[bytes, Context], Awaitable[None]]
"""Gets the first request and may write to the context."""


class ScriptedRpc(grpc.GenericRpcHandler):
    """Answers by the method's name; ``asked`` are names, requests and metadata so far."""

    def __init__(self, script: dict[str, Answer]) -> None:
        self.asked: list[tuple[str, bytes, dict[str, Any]]] = []
        self._script = script

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        name = handler_call_details.method.rpartition("/")[2]
        answer = self._script.get(name)
        if answer is None:
            return None

        async def run(requests: AsyncIterator[bytes], context: Context) -> None:
            first = await anext(aiter(requests))
            self.asked.append((name, first, dict(context.invocation_metadata() or ())))
            await answer(first, context)

        return grpc.stream_stream_rpc_method_handler(run)


def says(*messages: Message | bytes) -> Answer:
    """Answer with these messages."""

    async def answer(_: bytes, context: Context) -> None:
        for message in messages:
            await context.write(message if isinstance(message, bytes) else message.SerializeToString())

    return answer


def fails(problem: Problem, retry_after: float | None = None) -> Answer:
    """Answer with this error, in the words of a Spark server."""

    async def answer(_: bytes, context: Context) -> None:
        ending = failure(problem, retry_after)
        await context.abort(ending.code, ending.message, ending.metadata)

    return answer


def ends(code: grpc.StatusCode, details: str = "") -> Answer:
    """Answer with this code and nothing else, as a proxy does."""

    async def answer(_: bytes, context: Context) -> None:
        await context.abort(code, details)

    return answer


@asynccontextmanager
async def scripted(
    script: dict[str, Answer], credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[tuple[ScriptedRpc, int]]:
    """A server on a free port of loopback."""
    handler = ScriptedRpc(script)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([handler])
    here = "127.0.0.1:0"
    port = server.add_secure_port(here, credentials) if credentials else server.add_insecure_port(here)
    await server.start()
    try:
        yield handler, port
    finally:
        await server.stop(0)
