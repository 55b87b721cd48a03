"""The one table of errors: whoever asks over REST or over gRPC is told the same, each in the words of the interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from typing import Any

import pytest

from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.rest import create_api
from spark_jobs.api.routing import ApiSettings
from spark_jobs.api.rpc.failures import failure
from spark_jobs.api.status import CODES
from spark_jobs.api.wire import ERRORS, simple_problem
from spark_jobs.app.core import utc_now
from spark_jobs.auth import Access, FixedToken
from spark_jobs.domain.defaults import Defaults
from spark_jobs.logs import LogBook
from spark_jobs.search.query import LogSearch
from spark_jobs.search.searches import MOST_SEARCHES
from spark_jobs.service import JobService, Policy
from spark_jobs.store.sql.store import SqlStore
from tests.api.asgi import Answer, Caller
from tests.api.conftest import HEALTHY
from tests.api.rpc import Refused, Rpc, calling, refused, rpc_server
from tests.engine.bench import Bench

SPEC = pb.JobSpec(image="busybox:1", command=["lines"])
PLAIN = {"image": "busybox:1", "command": ["lines"]}

# What only HTTP knows: addresses, methods, bodies, browsers. A permission is refused by no server of today.
OF_HTTP = {
    "range_not_satisfiable",
    "invalid_json",
    "bad_request",
    "not_found",
    "method_not_allowed",
    "unsupported_media_type",
    "forbidden_origin",
    "unknown_host",
    "permission_denied",
}


class Both:
    """One service behind both interfaces, and the core that it belongs to."""

    def __init__(self, api: Caller, rpc: Rpc, service: JobService, core: Bench) -> None:
        self.api = api
        self.rpc = rpc
        self.service = service
        self.core = core

    async def post(self, path: str, body: object = None) -> Answer:
        return await self.api.post(f"/v1/jobs{path}", body)

    async def submit(self, **fields: Any) -> Refused:
        request = pb.SubmitRequest(idempotency_key=fields.pop("key", None))
        request.spec.MergeFrom(SPEC)
        request.spec.MergeFrom(pb.JobSpec(**fields))
        return await refused(self.rpc.call("Submit", request))


Pair = tuple[Answer, Refused]


async def _invalid_spec(both: Both) -> Pair:
    return await both.post("", {**PLAIN, "retries": -1}), await both.submit(retries=-1)


async def _invalid_page_token(both: Both) -> Pair:
    return await both.api.get("/v1/jobs?page_token=x"), await refused(
        both.rpc.call("List", pb.ListRequest(page_token="x"))
    )


async def _job_not_found(both: Both) -> Pair:
    return await both.api.get("/v1/jobs/none"), await refused(both.rpc.call("Get", pb.GetRequest(job_id="none")))


async def _attempt_not_found(both: Both) -> Pair:
    job_id = await both.core.submit()
    await both.core.ends(job_id)
    request = pb.FollowLogsRequest(job_id=job_id, attempt=9)
    return await both.api.get(f"/v1/jobs/{job_id}/logs?attempt=9"), await refused(both.rpc.all("FollowLogs", request))


async def _id_conflict(both: Both) -> Pair:
    await both.core.submit(id="taken")
    return await both.post("", {**PLAIN, "id": "taken"}), await both.submit(id="taken")


async def _idempotency_conflict(both: Both) -> Pair:
    await both.core.service.submit({"image": "other:1"}, idempotency_key="k")
    return await both.api.post("/v1/jobs", PLAIN, idempotency_key="k"), await both.submit(key="k")


async def _over(both: Both) -> str:
    job_id = await both.core.submit()
    await both.core.ends(job_id)
    return job_id


async def _not_cancellable(both: Both) -> Pair:
    job_id = await _over(both)
    return await both.post(f"/{job_id}/cancel"), await refused(both.rpc.call("Cancel", pb.CancelRequest(job_id=job_id)))


async def _waiting(both: Both) -> str:
    await both.core.service.set_paused(True)
    return await both.core.submit()


async def _not_retryable(both: Both) -> Pair:
    job_id = await _waiting(both)
    return await both.post(f"/{job_id}/retry"), await refused(both.rpc.call("Retry", pb.RetryRequest(job_id=job_id)))


async def _not_deletable(both: Both) -> Pair:
    job_id = await _waiting(both)
    deleting = both.rpc.call("Delete", pb.DeleteRequest(job_id=job_id))
    return await both.api.delete(f"/v1/jobs/{job_id}"), await refused(deleting)


async def _events_gone(both: Both) -> Pair:
    watching = both.rpc.all("WatchEvents", pb.WatchEventsRequest(after=10**9))
    return await both.api.get("/v1/events?after=1000000000"), await refused(watching)


async def _body_too_large(both: Both) -> Pair:
    request = pb.SubmitBatchRequest(spec=pb.JobSpec(image="a", args=["x" * 1_000_000]))
    return await both.post("", b" " * (2**20 + 1)), await refused(both.rpc.all("SubmitBatch", [request] * 17))


async def _queue_full(both: Both) -> Pair:
    await both.core.service.set_paused(True)
    for _ in range(3):
        await both.core.submit()
    return await both.post("", PLAIN), await both.submit()


async def _too_many_searches(both: Both) -> Pair:
    async with AsyncExitStack() as opened:
        for _ in range(MOST_SEARCHES):
            search = await opened.enter_async_context(aclosing(both.service.search(LogSearch(pattern="x"))))
            await anext(search)
        searching = both.rpc.all("SearchLogs", pb.SearchLogsRequest(pattern="x"))
        return await both.api.get("/v1/logs/search?pattern=x"), await refused(searching)


async def _draining(both: Both) -> Pair:
    both.service.drain()
    return await both.post("", PLAIN), await both.submit()


async def _store_unavailable(both: Both) -> Pair:
    return await both.post("", PLAIN), await both.submit()


async def _unauthenticated(both: Both) -> Pair:
    return await both.api.get("/v1/queue"), await refused(both.rpc.call("GetQueue", pb.GetQueueRequest()))


async def _internal(both: Both) -> Pair:
    return await both.api.get("/v1/jobs?since=1h"), await refused(both.rpc.call("List", pb.ListRequest(since="1h")))


WAYS: dict[str, Callable[[Both], Awaitable[Pair]]] = {
    "invalid_spec": _invalid_spec,
    "invalid_page_token": _invalid_page_token,
    "unauthenticated": _unauthenticated,
    "job_not_found": _job_not_found,
    "attempt_not_found": _attempt_not_found,
    "id_conflict": _id_conflict,
    "idempotency_conflict": _idempotency_conflict,
    "not_cancellable": _not_cancellable,
    "not_retryable": _not_retryable,
    "not_deletable": _not_deletable,
    "events_gone": _events_gone,
    "body_too_large": _body_too_large,
    "queue_full": _queue_full,
    "too_many_searches": _too_many_searches,
    "internal": _internal,
    "store_unavailable": _store_unavailable,
    "draining": _draining,
}


def test_every_error_is_compared_or_known_to_http_alone() -> None:
    assert WAYS.keys() | OF_HTTP == ERRORS.keys()
    assert not WAYS.keys() & OF_HTTP


def _broken() -> datetime:
    raise RuntimeError("a fault")


async def _closed() -> SqlStore:
    store = SqlStore(None, clock=utc_now)
    await store.open()
    await store.close()
    return store


@pytest.fixture
async def both(core: Bench, request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    """Both interfaces, as the error that is wanted needs them: with a short queue, and something that is broken."""
    code = request.node.callspec.params["code"]
    parts = core.core
    store = await _closed() if code == "store_unavailable" else parts.store
    policy = Policy(defaults=Defaults(), queue_size=3, slots=2)
    service = JobService(store, LogBook(store, parts.bus), parts.bus, policy, clock=utc_now)
    access = Access(FixedToken("correct-horse-battery-staple")) if code == "unauthenticated" else Access()
    clock = _broken if code == "internal" else utc_now
    api = create_api(service, access, parts.metrics, lambda: HEALTHY, ApiSettings(clock=clock))
    async with rpc_server(core, access, service=service, clock=clock) as (_, port), calling(port) as rpc:
        yield Both(Caller(api), rpc, service, core)


@pytest.mark.parametrize("code", WAYS)
async def test_rest_and_grpc_tell_the_same(code: str, both: Both) -> None:
    answer, told = await WAYS[code](both)
    row = ERRORS[code]
    assert (answer.status, answer.code) == (row.status, code)
    assert (told.code, told.reason) == (row.grpc, code)
    problem = answer.json()
    if code not in ("internal", "body_too_large"):
        assert told.message == problem["detail"]
    assert told.faults == {fault["pointer"]: fault["code"] for fault in problem["errors"]}
    assert (told.retry is not None) == ("retry-after" in answer.headers)
    assert ("free" in problem) == ("free" in told.metadata)
    assert ("incident" in problem) == ("incident" in told.metadata)
    if "free" in problem:
        assert told.metadata["free"] == str(problem["free"])


@pytest.mark.parametrize("code", ERRORS)
def test_every_row_has_a_code_of_grpc_with_its_number(code: str) -> None:
    ending = failure(simple_problem(code, "what happened"))
    assert ending.code.name == ERRORS[code].grpc
    assert ending.code.value[0] == CODES[ERRORS[code].grpc].number
    assert ending.message == "what happened"
