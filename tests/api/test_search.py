"""Searching logs over HTTP and gRPC: what is found and refused, how it ends, and that it ends with its reader."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.rest import create_api
from spark_jobs.app.core import utc_now
from spark_jobs.auth import Access
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.errors import StoreUnavailable, TooManySearches
from spark_jobs.domain.search import FoundLine, LogMatch, SearchProgress
from spark_jobs.logs import LogBook
from spark_jobs.search.query import LogSearch
from spark_jobs.service import JobService, Policy
from tests.api.asgi import Caller
from tests.api.conftest import HEALTHY
from tests.api.rpc import Rpc, calling, refused, rpc_server, until_idle
from tests.api.served import PATIENCE, answer_head, request, serving
from tests.engine.bench import Bench

Line = dict[str, Any]
EXPLODING = "((a{100}){100}){100}"
MATCH = LogMatch(job_id="a", attempt=1, found=FoundLine(line=1, offset=0, text="x"))
PROGRESS = SearchProgress(logs=3, bytes=7, matches=1, complete=False)


async def search(api: Caller, pattern: str = "e", **query: Any) -> list[Line]:
    """The lines of a whole answer."""
    answer = await api.get(f"/v1/logs/search?{urlencode({'pattern': pattern, **query}, doseq=True)}")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.headers["x-accel-buffering"] == "no"
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert list(lines[-1]) == ["end"]
    return lines


def texts(lines: list[Line]) -> list[str]:
    return [line["match"]["found"]["text"] for line in lines if "match" in line]


@pytest.fixture
async def jobs(core: Bench) -> list[str]:
    """Two jobs that are over: one that logged three lines, then one that failed twice."""
    first = await core.submit(command=["lines"], name="first", labels={"team": "a"})
    await core.ends(first)
    second = await core.submit(command=["fails"], name="second", labels={"team": "b"}, retries=1, backoff=0)
    await core.ends(second)
    return [first, second]


async def test_lines_are_found_in_the_logs_of_all_jobs(api: Caller, jobs: list[str]) -> None:
    lines = await search(api, "e")
    found = [line["match"] for line in lines if "match" in line]
    assert [(each["job_id"], each["attempt"], each["found"]["text"]) for each in found] == [
        (jobs[1], 2, "broken"),
        (jobs[1], 1, "broken"),
        (jobs[0], 1, "one"),
        (jobs[0], 1, "three"),
    ]
    assert found[3]["name"] == "first"
    assert (found[3]["found"]["line"], found[3]["found"]["offset"]) == (3, 8)
    assert found[3]["found"]["time"].endswith("Z")
    end = lines[-1]["end"]
    assert (end["logs"], end["bytes"], end["matches"], end["complete"], end["problems"]) == (3, 28, 4, True, [])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"pattern": "^t"}, ["two", "three"]),
        ({"pattern": "^T", "ignore_case": "true"}, ["two", "three"]),
        ({"pattern": "^t", "fixed": ""}, []),
        ({"pattern": "o", "label": "team=a"}, ["one", "two"]),
        ({"pattern": "o", "state": "failed"}, ["broken", "broken"]),
        ({"pattern": "o", "state": "active"}, []),
        ({"pattern": "o", "name": "first"}, ["one", "two"]),
        ({"pattern": "o", "since": "2100-01-01T00:00:00Z"}, []),
        ({"pattern": "o", "since": "0001-01-01T00:00:00Z", "limit": "3"}, ["broken", "broken", "one"]),
        ({"pattern": "o", "since": "9999-12-31T23:59:59Z"}, []),
        ({"pattern": "o", "since": "1h", "limit": "3"}, ["broken", "broken", "one"]),
        ({"pattern": "o", "job": "JOB"}, ["one", "two"]),
        ({"pattern": "e\tf"}, []),
        ({"pattern": "é" * 2048}, []),
    ],
)
async def test_what_is_looked_for_and_where_can_be_chosen(
    api: Caller, jobs: list[str], query: dict[str, str], expected: list[str]
) -> None:
    of_job = {"job": jobs[0]} if "job" in query else {}
    assert texts(await search(api, **query | of_job)) == expected


async def test_lines_around_a_match_come_with_it(api: Caller, jobs: list[str]) -> None:
    [found] = [line["match"] for line in await search(api, "two", context=1, job=jobs[0]) if "match" in line]
    assert [line["text"] for line in (*found["before"], found["found"], *found["after"])] == ["one", "two", "three"]


@pytest.mark.usefixtures("jobs")
async def test_a_limit_that_was_reached_shows(api: Caller) -> None:
    lines = await search(api, "e", limit=2)
    assert len(texts(lines)) == 2
    assert lines[-1]["end"]["complete"] is False


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("", {"?pattern": "required"}),
        ("pattern=", {"?pattern": "invalid"}),
        ("pattern=a&pattern=b", {"?pattern": "repeated"}),
        ("pattern=(", {"?pattern": "invalid"}),
        (f"pattern={EXPLODING}", {"?pattern": "invalid"}),
        (f"pattern={'x' * 4097}", {"?pattern": "invalid"}),
        ("pattern=(%3F%3Dx)", {"?pattern": "invalid"}),
        ("patern=x", {"?patern": "unknown_parameter"}),
        ("pattern=x&context=101&limit=0&since=soon", dict.fromkeys(("?context", "?limit", "?since"), "invalid")),
        (
            "pattern=x&limit=1000000&state=x&label==y",
            {"?limit": "invalid", "?state": "unknown_state", "?label": "invalid"},
        ),
        ("pattern=x&page_size=5", {"?page_size": "unknown_parameter"}),
    ],
)
async def test_what_can_not_be_searched_for_is_refused_before_anything_is_sent(
    api: Caller, query: str, faults: dict[str, str]
) -> None:
    answer = await api.get(f"/v1/logs/search?{query}")
    assert (answer.status, answer.code) == (422, "invalid_spec")
    assert {fault["pointer"]: fault["code"] for fault in answer.json()["errors"]} == faults


@pytest.mark.parametrize("job", ["no-such-job", "..%2Fetc", ""])
async def test_a_job_that_is_not_there_is_not_found(api: Caller, rpc: Rpc, job: str) -> None:
    answer = await api.get(f"/v1/logs/search?pattern=x&job={job}")
    assert (answer.status, answer.code) == (404, "job_not_found")
    failure = await refused(rpc.all("SearchLogs", pb.SearchLogsRequest(pattern="x", job_id=job)))
    assert (failure.code, failure.reason) == ("NOT_FOUND", "job_not_found")


async def test_a_search_over_grpc_finds_the_same(rpc: Rpc, api: Caller, jobs: list[str]) -> None:
    wanted = pb.SearchLogsRequest(
        pattern="E", ignore_case=True, context=1, states=["JOB_STATE_SUCCEEDED"], labels=["team"], since="1h", limit=9
    )
    answers = await rpc.all("SearchLogs", wanted)
    found = [answer.match for answer in answers if answer.WhichOneof("item") == "match"]
    assert [(each.job_id, each.found.text, each.found.line) for each in found] == [
        (jobs[0], "one", 1),
        (jobs[0], "three", 3),
    ]
    assert [line.text for each in found for line in (*each.before, *each.after)] == ["two"]
    assert answers[-1].progress.complete is True
    assert len(texts(await search(api, "e"))) == len(await rpc.all("SearchLogs", pb.SearchLogsRequest(pattern="e"))) - 1


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({}, {"#/pattern": "invalid"}),
        ({"pattern": EXPLODING}, {"#/pattern": "invalid"}),
        (
            {"pattern": "x", "context": -1, "limit": 0, "labels": ["="]},
            dict.fromkeys(("#/context", "#/limit", "#/labels"), "invalid"),
        ),
        ({"pattern": "x", "states": [99]}, {"#/states/0": "unknown_state"}),
    ],
)
async def test_what_can_not_be_searched_for_is_refused_over_grpc(
    rpc: Rpc, fields: dict[str, Any], faults: dict[str, str]
) -> None:
    failure = await refused(rpc.all("SearchLogs", pb.SearchLogsRequest(**fields)))
    assert (failure.code, failure.faults) == ("INVALID_ARGUMENT", faults)


class Scripted(JobService):
    """A service whose searches find what a test says, fail with ``then``, or else go on until they are closed."""

    def __init__(self, core: Bench, *found: LogMatch | SearchProgress, then: Exception | None = None) -> None:
        store = core.core.store
        super().__init__(
            store, LogBook(store, core.core.bus), core.core.bus, Policy(defaults=Defaults()), clock=utc_now
        )
        self.begun = self.made = 0
        self.closed = asyncio.Event()
        self._found = found
        self._then = then

    async def search(self, query: LogSearch) -> AsyncGenerator[LogMatch | SearchProgress, None]:
        assert query.pattern == "x"
        self.begun += 1
        try:
            for item in self._found:
                self.made += 1
                yield item
            if self._then is None:
                await asyncio.Event().wait()
            else:
                raise self._then
        finally:
            self.closed.set()

    async def stopped(self) -> None:
        """Until the search was closed."""
        async with asyncio.timeout(PATIENCE):
            await self.closed.wait()


@asynccontextmanager
async def called(core: Bench, service: JobService) -> AsyncIterator[Rpc]:
    async with rpc_server(core, service=service) as (_, port), calling(port) as caller:
        yield caller


def app(core: Bench, service: JobService) -> Any:
    return create_api(service, Access(), core.core.metrics, lambda: HEALTHY)


async def test_what_is_found_comes_at_once_and_a_reader_who_goes_ends_the_search(core: Bench) -> None:
    service = Scripted(core, PROGRESS, MATCH)
    async with serving(app(core, service)) as served:
        reader, writer = await served.connect()
        writer.write(request("GET", "/v1/logs/search?pattern=x"))
        status, head = await answer_head(reader)
        assert (status, b"application/x-ndjson" in head) == (200, True)
        async with asyncio.timeout(PATIENCE):
            body = await reader.readuntil(b'"match"')
        assert b'"progress":{"logs":3' in body
        assert not service.closed.is_set()
        writer.close()
        await service.stopped()
        await served.idle()
    assert (service.begun, service.made) == (1, 2)


async def test_a_caller_who_hangs_up_before_anything_was_found_ends_the_search(core: Bench) -> None:
    service = Scripted(core)
    async with Caller(app(core, service)).open("GET", "/v1/logs/search?pattern=x") as answer:
        await answer.begun()
        answer.hang_up()
        await answer.ended()
        await service.stopped()


async def test_a_call_that_is_cancelled_ends_the_search(core: Bench) -> None:
    service = Scripted(core, MATCH)
    async with called(core, service) as rpc:
        call = rpc.open("SearchLogs", pb.SearchLogsRequest(pattern="x"))
        assert (await call.read()).match.found.text == "x"
        call.cancel()
        await service.stopped()
        await until_idle()


async def test_a_reader_who_takes_nothing_holds_the_search_back(core: Bench) -> None:
    """A slow reader costs no memory: what it has not taken is not looked for yet."""
    service = Scripted(core, *[MATCH] * 100_000)
    async with Caller(app(core, service)).open("GET", "/v1/logs/search?pattern=x") as answer:
        await answer.begun()
        await answer.until(b"match")
        assert service.made < 100_000 // 10


@pytest.mark.parametrize(
    ("error", "code"), [(StoreUnavailable("the store is closed"), "store_unavailable"), (KeyError("x"), "internal")]
)
async def test_a_search_that_breaks_off_says_so_and_has_no_end(core: Bench, error: Exception, code: str) -> None:
    service = Scripted(core, MATCH, then=error)
    answer = await Caller(app(core, service)).get("/v1/logs/search?pattern=x")
    found, broken = map(json.loads, answer.body.splitlines())
    assert (answer.status, list(found), broken["error"]["code"]) == (200, ["match"], code)
    assert "KeyError" not in answer.body.decode()
    async with called(core, service) as rpc:
        call = rpc.open("SearchLogs", pb.SearchLogsRequest(pattern="x"))
        await call.read()
        assert (await refused(call.read())).reason == code


async def test_a_search_that_fails_at_once_has_a_status(core: Bench) -> None:
    errors = (StoreUnavailable("closed"), 503), (TooManySearches("8 are open"), 429), (KeyError("x"), 500)
    for error, status in errors:
        answer = await Caller(app(core, Scripted(core, then=error))).get("/v1/logs/search?pattern=x")
        assert answer.status == status
