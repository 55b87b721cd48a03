"""Reflection: the services and their messages, for tools that have no `.proto` files."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from spark_jobs.api.rpc.calls import Calls

_SERVICE = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
# The first stable version has the same messages on the wire; tools ask for it first.
NAMES = ("grpc.reflection.v1.ServerReflection", _SERVICE.full_name)


class Reflection:
    """The one method, which tells of the services of these names."""

    def __init__(self, names: Collection[str]) -> None:
        self._servicer: Any = reflection.aio.ReflectionServicer([*names, *NAMES])

    def handlers(self, calls: Calls) -> list[grpc.GenericRpcHandler]:
        """Handlers under both names."""
        return [calls.handler(_SERVICE, self, name=name) for name in NAMES]

    def server_reflection_info(self, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """An answer to each request."""
        answers: AsyncGenerator[Any, None] = self._servicer.ServerReflectionInfo(requests, None)
        return answers
