"""A core behind real servers of both interfaces, in this event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from spark_jobs.api.rest import create_api
from spark_jobs.auth import Access
from spark_jobs.client import Client
from tests.api.conftest import HEALTHY
from tests.api.rpc import rpc_server
from tests.api.served import serving
from tests.cli.oneway import OneWay
from tests.engine.bench import Bench

SCHEMES = ("http", "grpc")


@asynccontextmanager
async def served(core: Bench) -> AsyncIterator[dict[str, int]]:
    """Serve the core by both ways; the ports by scheme."""
    app = create_api(core.service, Access(), core.core.metrics, lambda: HEALTHY)
    async with serving(app) as rest, rpc_server(core) as (_, grpc_port):
        yield {"http": rest.port, "grpc": grpc_port}


@asynccontextmanager
async def through(core: Bench, scheme: str) -> AsyncIterator[tuple[Client, OneWay]]:
    """A client of the core with a relay in between."""
    async with served(core) as ports, OneWay() as relay:
        relay.to = ports[scheme]
        async with Client(f"{scheme}://127.0.0.1:{relay.port}") as client:
            yield client, relay
