"""Logs and events over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spark_jobs.api.loglines import log_lines, stamped
from spark_jobs.domain.times import format_ns
from spark_jobs.service import LogPiece
from spark_jobs.store.base import LogChunk
from tests.api.asgi import Caller, Exchange
from tests.engine.bench import Bench

SSE = {"accept": "text/event-stream"}


def events(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream: event, id and decoded data; comments and places to go on from left out."""
    found = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


@pytest.fixture
async def over(core: Bench) -> str:
    """A job that is over and has logged three lines."""
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    return job_id


async def test_a_log_as_text_is_the_stored_bytes(api: Caller, over: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs")
    assert (answer.status, answer.body) == (200, b"one\ntwo\nthree\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("tail=2", b"two\nthree\n"),
        ("tail=0", b""),
        ("tail=99", b"one\ntwo\nthree\n"),
        ("offset=5", b"wo\nthree\n"),
        ("offset=14", b""),
        ("offset=9999", b""),
        ("attempt=1&follow", b"one\ntwo\nthree\n"),
        ("since=1h&tail=1", b"three\n"),
        ("since=2100-01-01T00:00:00Z", b""),
        ("since=0001-01-01T00:00:00Z", b"one\ntwo\nthree\n"),
        ("since=9999-12-31T23:59:59Z", b""),
    ],
)
async def test_a_part_of_a_log_can_be_asked_for(api: Caller, over: str, query: str, body: bytes) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs?{query}")
    assert (answer.status, answer.body) == (200, body)


async def test_each_line_can_have_its_time_before_it(api: Caller, over: str) -> None:
    lines = (await api.get(f"/v1/jobs/{over}/logs?timestamps=true")).body.decode().splitlines()
    assert [line.split(" ")[1] for line in lines] == ["one", "two", "three"]
    assert all(datetime.fromisoformat(line.split(" ")[0]).tzinfo for line in lines)


@pytest.mark.parametrize("query", ["attempt=2", "attempt=2&follow=true", "attempt=1000000"])
async def test_an_attempt_that_was_not_is_said_so(api: Caller, over: str, query: str) -> None:
    for headers in ({}, SSE):
        answer = await api.get(f"/v1/jobs/{over}/logs?{query}", **headers)
        assert (answer.status, answer.code) == (404, "attempt_not_found")


@pytest.mark.parametrize("query", ["attempt=0", "tail=-1", "follow=maybe", "offset=x", "offset=99999999999999999999"])
async def test_a_part_that_means_nothing_is_refused(api: Caller, over: str, query: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs?{query}")
    assert (answer.status, answer.pointers) == (422, [f"?{query.partition('=')[0]}"])


async def test_a_log_as_events_is_line_by_line_and_ends_with_the_job(api: Caller, over: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs", **SSE)
    assert answer.headers["content-type"] == "text/event-stream"
    *lines, end = events(answer.body)
    assert [(line["id"], line["data"]["offset"], line["data"]["text"]) for line in lines] == [
        ("1-4", 0, "one\n"),
        ("1-8", 4, "two\n"),
        ("1-14", 8, "three\n"),
    ]
    assert set(lines[0]["data"]) == {"attempt", "offset", "time", "text"}
    assert (end["event"], end["data"]["id"], end["data"]["state"]) == ("end", over, "SUCCEEDED")


async def test_events_of_a_log_go_on_after_the_last_one_received(api: Caller, over: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs?follow=true", last_event_id="1-8", **SSE)
    assert [event["data"].get("text") for event in events(answer.body)] == ["three\n", None]
    for odd in ("8", "1-", "x-1", "1-99999999999999999999"):
        refused = await api.get(f"/v1/jobs/{over}/logs", last_event_id=odd, **SSE)
        assert (refused.status, refused.pointers) == (422, ["Last-Event-ID"])


async def test_a_log_that_is_gone_when_its_reader_comes_back_never_looks_whole(
    api: Caller, core: Bench, over: str
) -> None:
    await core.closed()
    future = datetime.max.replace(tzinfo=UTC)
    await core.core.store.sweep(jobs_before=datetime.min.replace(tzinfo=UTC), logs_before=future)
    for follow in ("", "&follow=true"):
        answer = await api.get(f"/v1/jobs/{over}/logs?attempt=1&offset=8{follow}")
        assert (answer.status, answer.code) == (404, "attempt_not_found")
    resumed = await api.get(f"/v1/jobs/{over}/logs", last_event_id="1-8", **SSE)
    [error] = events(resumed.body)
    assert (error["event"], error["data"]["code"]) == ("error", "attempt_not_found")
    assert "no longer kept" in error["data"]["detail"]
    answer = await api.get(f"/v1/jobs/{over}/logs")
    assert (answer.status, answer.body) == (200, b""), "the job says why"


async def test_following_shows_lines_as_they_come_and_ends_with_the_job(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["forever"])
    async with api.open("GET", f"/v1/jobs/{job_id}/logs?follow=true") as log:
        assert (await log.begun()).status == 200
        assert await log.until(b"begun\n") == b"begun\n"
        await api.post(f"/v1/jobs/{job_id}/cancel")
        assert await log.rest() == b""
        await log.ended()
    assert (await core.ends(job_id)).state == "CANCELLED"


async def test_a_job_can_be_followed_before_it_starts(api: Caller, core: Bench) -> None:
    await api.post("/v1/queue/pause")
    job_id = await core.submit(command=["lines"])
    async with api.open("GET", f"/v1/jobs/{job_id}/logs?follow=true", **SSE) as log:
        await log.begun()
        await api.post("/v1/queue/resume")
        body = await log.rest()
    assert [event["data"].get("text") for event in events(body)] == ["one\n", "two\n", "three\n", None]


async def test_following_goes_on_through_later_attempts(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["fails"], retries=1, backoff=0)
    whole = await api.get(f"/v1/jobs/{job_id}/logs?follow=true", last_event_id="1-0", **SSE)
    *lines, end = events(whole.body)
    assert [(line["data"]["attempt"], line["id"]) for line in lines] == [(1, "1-7"), (2, "2-7")]
    assert end["data"]["state"] == "FAILED"


async def test_following_one_attempt_stays_with_it_over_a_lost_connection(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["fails"], retries=1, backoff=0)
    await core.ends(job_id)
    target = f"/v1/jobs/{job_id}/logs?attempt=1&follow=true"
    for last, expected in ((None, ["1-7"]), ("1-0", ["1-7"]), ("1-7", [])):
        headers = {} if last is None else {"last_event_id": last}
        *lines, end = events((await api.get(target, **headers, **SSE)).body)
        assert ([line["id"] for line in lines], end["event"]) == (expected, "end")
    refused = await api.get(target, last_event_id="2-0", **SSE)
    assert (refused.status, refused.pointers) == (422, ["Last-Event-ID"])


async def test_followers_are_let_go_when_the_server_stops(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["forever"])
    async with (
        api.open("GET", f"/v1/jobs/{job_id}/logs?follow=true", **SSE) as log,
        api.open("GET", "/v1/events") as changes,
    ):
        await log.begun()
        await log.until(b"begun")
        await changes.begun()
        core.core.drain()
        assert events(await log.rest()) == []
        await changes.rest()


async def _changes(exchange: Exchange, last: bytes) -> list[dict[str, Any]]:
    return events(await exchange.until(last))


async def test_changes_of_all_jobs_are_told_as_they_happen(api: Caller, core: Bench) -> None:
    async with api.open("GET", "/v1/events") as changes:
        assert (await changes.begun()).headers["content-type"] == "text/event-stream"
        job_id = await core.submit(command=["lines"], env={"A": "hidden"})
        told = await _changes(changes, b'"to":"SUCCEEDED"')
    assert [event["data"]["from"] for event in told] == [None, *[event["data"]["to"] for event in told[:-1]]]
    assert [told[0]["data"]["to"], told[1]["data"]["to"]] == ["QUEUED", "STARTING"]
    for event in told:
        data = event["data"]
        assert set(data) == {"seq", "time", "job_id", "attempt", "type", "from", "to", "reason", "job"}
        assert (event["id"], data["type"], data["job_id"]) == (str(data["seq"]), "job.state", job_id)
        assert "env" not in data["job"]["spec"]
        assert "attempts" not in data["job"]


async def test_changes_can_be_resumed_after_a_number(api: Caller, core: Bench) -> None:
    first = await core.submit(command=["lines"])
    await core.ends(first)
    second = await core.submit(command=["lines"])
    await core.ends(second)
    async with api.open("GET", "/v1/events?after=0") as changes:
        await changes.begun()
        told = await _changes(changes, second.encode())
    middle = told[1]["id"]
    async with api.open("GET", "/v1/events?after=0", last_event_id=middle) as changes:
        await changes.begun()
        resumed = await _changes(changes, second.encode())
    assert resumed[0]["id"] == told[2]["id"]
    async with api.open("GET", f"/v1/jobs/{first}/events?after=0") as changes:
        await changes.begun()
        own = await _changes(changes, b'"to":"SUCCEEDED"')
    assert {event["data"]["job_id"] for event in own} == {first}
    assert (await api.get("/v1/events", last_event_id="x")).pointers == ["Last-Event-ID"]
    assert (await api.get("/v1/events?after=-1")).pointers == ["?after"]


async def test_a_stream_begins_with_the_place_to_go_on_from(api: Caller, core: Bench, over: str) -> None:
    """Whoever loses contact before anything came misses nothing of what happens until they are back."""
    last = await core.core.store.last_event()
    for target in ("/v1/events", f"/v1/jobs/{over}/events"):
        async with api.open("GET", target) as changes:
            await changes.begun()
            assert (await changes.message())["body"] == f"id: {last}\n\n".encode()
    async with api.open("GET", f"/v1/jobs/{over}/logs?follow=true&tail=0", **SSE) as log:
        await log.begun()
        assert (await log.message())["body"] == b"id: 1-14\n\n"


async def test_what_happened_in_a_gap_before_the_first_event_is_told(api: Caller, core: Bench) -> None:
    async with api.open("GET", "/v1/events") as changes:
        await changes.begun()
        place = (await changes.message())["body"].decode().removeprefix("id: ").strip()
    missed = await core.submit(command=["lines"])
    await core.ends(missed)
    async with api.open("GET", "/v1/events", last_event_id=place) as changes:
        await changes.begun()
        told = await _changes(changes, b'"to":"SUCCEEDED"')
    assert [event["data"]["to"] for event in told] == ["QUEUED", "STARTING", "RUNNING", "SUCCEEDED"]


async def test_the_changes_of_a_job_end_when_it_is_deleted(api: Caller, core: Bench, over: str) -> None:
    await core.closed()
    async with api.open("GET", f"/v1/jobs/{over}/events?after=0") as changes, api.open("GET", "/v1/events") as all_:
        for stream in (changes, all_):
            await stream.begun()
        await changes.until(b'"to":"SUCCEEDED"')
        await core.service.delete(over)
        assert await changes.rest() == b""
        assert not all_.task.done()
    assert (await api.get(f"/v1/jobs/{over}/events?after=0")).code == "job_not_found"


async def test_after_nothing_all_that_is_kept_is_told_though_jobs_were_deleted(
    api: Caller, core: Bench, over: str
) -> None:
    """Who has seen nothing yet lacks nothing of jobs that are gone; who has seen a part of their changes does."""
    kept = await core.submit(command=["lines"])
    await core.ends(kept)
    await core.closed()
    await core.service.delete(over)
    async with api.open("GET", "/v1/events?after=0") as changes:
        await changes.begun()
        told = await _changes(changes, b'"to":"SUCCEEDED"')
    assert {event["data"]["job_id"] for event in told} == {kept}
    gone = await api.get("/v1/events?after=1")
    assert (gone.status, gone.code) == (410, "events_gone")


async def test_following_a_log_of_a_job_that_never_starts_ends_with_the_job(api: Caller, core: Bench) -> None:
    await core.service.set_paused(True)
    waiting = await core.submit(command=["lines"])
    async with api.open("GET", f"/v1/jobs/{waiting}/logs?follow=true", **SSE) as log:
        await log.begun()
        assert (await log.message())["body"] == b"id: 1-0\n\n"
        await core.service.cancel(waiting)
        [end] = events(await log.rest())
    assert (end["event"], end["data"]["state"], end["data"]["attempts"]) == ("end", "CANCELLED", [])


def chunk(data: bytes, *stamps: int, offset: int = 0) -> LogChunk:
    return LogChunk(offset=offset, line=0, data=data, stamps=stamps)


def test_a_time_keeps_its_nanoseconds() -> None:
    assert format_ns(1_764_000_000_123_456_789) == "2025-11-24T16:00:00.123456789Z"
    assert format_ns(0) == "1970-01-01T00:00:00.000000000Z"


def test_the_rest_of_a_line_that_began_before_has_no_time() -> None:
    piece = chunk(b"rest\nnew\n", 5, offset=7)
    assert stamped(piece) == b"rest\n1970-01-01T00:00:00.000000005Z new\n"
    [(rest, rest_end), (new, new_end)] = log_lines(LogPiece(attempt=2, chunk=piece))
    assert (rest.time, rest.text, rest.offset, rest_end) == (None, "rest\n", 7, 12)
    assert (new.time, new.offset, new_end) == ("1970-01-01T00:00:00.000000005Z", 12, 16)


def test_only_a_newline_ends_a_line_and_odd_bytes_are_kept() -> None:
    data = b"a\rb\x0cc\xc2\x85d\n\xff\xfe\n\nlast"
    lines = [line for line, _ in log_lines(LogPiece(attempt=1, chunk=chunk(data, 1, 2, 3, 4)))]
    assert [line.text for line in (lines[0], lines[2], lines[3])] == ["a\rb\x0cc\x85d\n", "\n", "last"]
    assert json.loads(msgspec.json.encode(lines[1])) == {
        "attempt": 1,
        "offset": 9,
        "time": format_ns(2),
        "bytes": "//4K",
    }
    whole = [line.bytes if isinstance(line.bytes, bytes) else str(line.text).encode() for line in lines]
    assert b"".join(whole) == data
