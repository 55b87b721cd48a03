"""Requests made from the description: whatever it allows or forbids, the server answers as the description says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from spark_jobs.api.openapi import describe
from spark_jobs.api.rest import ROUTES, create_api
from spark_jobs.auth import Access
from tests.api.conftest import HEALTHY, in_memory
from tests.api.served import serving

ENDLESS = ("/v1/events", "/v1/jobs/{job_id}/events")
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
SCHEMA = schemathesis.openapi.from_dict(msgspec.json.decode(describe(ROUTES, version="1", token=False)))
FOUND = [result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok)]
OPERATIONS = {operation.label: operation for operation in FOUND if operation.path not in ENDLESS}
# What takes no input can't be given a wrong one.
TRIES = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.body or any(operation.iter_parameters())
]
BOUNDED = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


async def _serve(port: Future[int], stop: Future[asyncio.Event]) -> None:
    done = asyncio.Event()
    async with in_memory() as core:
        app = create_api(core.service, Access(), core.core.metrics, lambda: HEALTHY)
        async with serving(app) as served:
            stop.set_result(done)
            port.set_result(served.port)
            await done.wait()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server in a thread of its own, since the requests are blocking ones."""
    port: Future[int] = Future()
    stop: Future[asyncio.Event] = Future()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_serve(port, stop)))
    thread.start()
    yield f"http://127.0.0.1:{port.result(20)}"
    loop.call_soon_threadsafe(stop.result().set)
    thread.join()
    loop.close()


def test_every_route_is_understood() -> None:
    assert len(FOUND) == len(list(SCHEMA.get_all_operations())) == 21


# The engine in the other thread draws its jitter from `random` while Hypothesis makes requests in this one.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize(("label", "mode"), TRIES)
def test_answers_are_as_described(address: str, label: str, mode: GenerationMode) -> None:
    @BOUNDED
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def try_it(case: Any) -> None:
        case.call_and_validate(base_url=address, checks=CHECKS, timeout=20)

    try_it()
