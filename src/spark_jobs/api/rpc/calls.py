"""Between gRPC and the methods of a service: requests are decoded, answers encoded, and errors become codes."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from spark_jobs.api.incidents import note_incident
from spark_jobs.api.rpc.failures import failure
from spark_jobs.api.stream import HEADERS_AFTER, closing, next_or_none, stopped
from spark_jobs.api.wire import ERRORS, problem
from spark_jobs.domain.errors import Fault, InvalidSpec, SparkError, TryAgain
from spark_jobs.metrics import Metrics

_log = logging.getLogger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Decode: TypeAlias = Callable[[bytes], Message]
_WORDS = re.compile(r"(?<!^)(?=[A-Z])")


class Opening(NamedTuple):
    """Instead of a first message: metadata to begin the answer with, at once."""

    metadata: tuple[tuple[str, str], ...]


class Calls:
    """Makes handlers of methods that take and give messages and raise errors of the tree."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def handler(self, service: Any, methods: object, *, name: str | None = None) -> grpc.GenericRpcHandler:
        """A handler of all methods of the service: ``QueueJob`` is ``methods.queue_job``, and so on. ``name`` is the
        service's, where it is not its own.

        A method with one answer is a coroutine, one with several an async generator; several requests are an async
        iterator.
        """
        handlers = {method.name: self._method(method, methods) for method in service.methods}
        return grpc.method_handlers_generic_handler(name or service.full_name, handlers)

    def _method(self, method: Any, methods: object) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour: Any = getattr(methods, _WORDS.sub("_", method.name).lower())
        # gRPC is handed bytes: what it says itself of a message that can't be decoded is no fault of the caller's.
        decode = partial(_decoded, GetMessageClass(method.input_type))
        name = method.full_name
        if method.client_streaming and method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(partial(self._exchange, name, behaviour, decode))
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(partial(self._stream, name, behaviour, decode))
        return grpc.unary_unary_rpc_method_handler(partial(self._call, name, behaviour, decode))

    async def _call(
        self,
        name: str,
        behaviour: Callable[[Message], Awaitable[Message]],
        decode: _Decode,
        raw: bytes,
        context: Context,
    ) -> bytes:
        async with self._failing(name, context):
            answer = await behaviour(decode(raw))
            return answer.SerializeToString()
        raise AssertionError("a failure ends the call")

    async def _stream(
        self,
        name: str,
        behaviour: Callable[[Message], AsyncGenerator[Message | Opening, None]],
        decode: _Decode,
        raw: bytes,
        context: Context,
    ) -> None:
        async with self._failing(name, context):
            await _send(behaviour(decode(raw)), context)

    async def _exchange(
        self,
        name: str,
        behaviour: Callable[[AsyncIterator[Message]], AsyncGenerator[Message | Opening, None]],
        decode: _Decode,
        raws: AsyncIterator[bytes],
        context: Context,
    ) -> None:
        async with self._failing(name, context):
            await _send(behaviour(decode(raw) async for raw in raws), context)

    @asynccontextmanager
    async def _failing(self, name: str, context: Context) -> AsyncIterator[None]:
        """Ends the call with the code of an error that comes out of the block. A cancellation is nobody's error, nor is a
        caller who goes while something is on its way to them."""
        try:
            yield
        except grpc.aio.InternalError as error:
            _log.debug("a caller of %s went away: %s", name, error)
            self._metrics.grpc_call(name, "CANCELLED")
            return
        except asyncio.CancelledError:
            self._metrics.grpc_call(name, "CANCELLED")
            raise
        except SparkError as error:
            if error.code not in ERRORS or error.code == "internal":
                ending = failure(note_incident(self._metrics, name, error))
            else:
                ending = failure(problem(error), error.retry_after if isinstance(error, TryAgain) else None)
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            ending = failure(note_incident(self._metrics, name, error))
        else:
            self._metrics.grpc_call(name, "OK")
            return
        self._metrics.grpc_call(name, ending.code.name)
        await context.abort(ending.code, ending.message, ending.metadata)


async def _send(answers: AsyncGenerator[Message | Opening, None], context: Context) -> None:
    """One answer after the other, each when the one before was taken, so that a slow reader costs no memory."""
    async with closing(answers) as messages:
        first = asyncio.create_task(next_or_none(messages))
        try:
            await asyncio.wait({first}, timeout=HEADERS_AFTER)
            if not first.done():
                await context.send_initial_metadata(())  # the caller may want to know that it is listened to
            message = await first
        finally:
            await stopped(first)
        while message is not None:
            if isinstance(message, Opening):
                await context.send_initial_metadata(message.metadata)
            else:
                await context.write(message.SerializeToString())
            message = await next_or_none(messages)


def _decoded(kind: type[Message], raw: bytes) -> Message:
    try:
        return kind.FromString(raw)
    except DecodeError:
        text = f"can't be read as {kind.DESCRIPTOR.full_name}: a text in it is not UTF-8, or it was cut"
        raise InvalidSpec([Fault("#", text, "invalid_message")]) from None
