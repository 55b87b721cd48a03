"""Searching logs with the client: pieces put together, and streams that end too early, over both links."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import grpc
import pytest

from spark_jobs import Client, SearchOptions
from spark_jobs.api.messages import found_message
from spark_jobs.client import ndjson, rest
from spark_jobs.client.ndjson import read_found
from spark_jobs.domain.errors import JobNotFound, ServerUnreachable, SparkError
from spark_jobs.domain.search import FoundLine, LogMatch, SearchProgress
from tests.cli.scripted import Reply, ScriptedServer
from tests.cli.scripted_rpc import Answer, Context, scripted

MATCH = LogMatch(job_id="a", attempt=1, found=FoundLine(line=1, offset=0, bytes=b"\xff\x00"), name="é")
PROGRESS = SearchProgress(logs=5, bytes=100, matches=1, complete=False)
END = SearchProgress(logs=9, bytes=200, matches=1, complete=True, problems=["x"])
WHOLE = (
    b'{"match":{"job_id":"a","attempt":1,"found":{"line":1,"offset":0,"bytes":"/wA="},"name":"\xc3\xa9"}}\n'
    b'{"progress":{"logs":5,"bytes":100,"matches":1,"complete":false,"problems":[]}}\n'
    b'{"news":"of a later version"}\n'
    b'{"end":{"logs":9,"bytes":200,"matches":1,"complete":true,"problems":["x"]}}\n'
)


async def read(pieces: Iterable[bytes]) -> list[LogMatch | SearchProgress]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [item async for item in read_found(chunks())]


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_lines_are_put_together_from_any_pieces(size: int) -> None:
    pieces = [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)]
    assert await read(pieces) == [MATCH, PROGRESS, END]


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"", ServerUnreachable, "broke the stream off"),
        (WHOLE[:-1], ServerUnreachable, "broke the stream off"),
        (b"<html>\n", ServerUnreachable, "sends no lines as a Spark"),
        (b'{"match":{"job_id":7}}\n', ServerUnreachable, "sends no lines as a Spark"),
        (b'{"error":{"code":"job_not_found","detail":"gone"}}\n', JobNotFound, "gone"),
        (b'{"error":{"code":"a_later_one","detail":"odd"}}\n', SparkError, "odd"),
    ],
)
async def test_what_has_no_end_is_never_taken_for_the_whole(data: bytes, error: type[SparkError], said: str) -> None:
    with pytest.raises(error, match=said):
        await read([data])


async def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "LONGEST_LINE", 1000)
    with pytest.raises(ServerUnreachable, match="sends no lines as a Spark"):
        await read([b"x" * 100] * 11)


async def searched(url: str, **options: Any) -> tuple[list[LogMatch], list[SearchProgress], str]:
    """What is found and told, and why it ended early."""
    found: list[LogMatch] = []
    told: list[SearchProgress] = []
    async with Client(url) as client:
        try:
            async for match in client.search("x", SearchOptions(**options), on_progress=told.append):
                found.append(match)  # noqa: PERF401 - what came before an error counts
        except ServerUnreachable as error:
            return found, told, error.message
    return found, told, ""


def sends(*items: LogMatch | SearchProgress, then: grpc.StatusCode | None = None) -> Answer:
    async def answer(_: bytes, context: Context) -> None:
        for item in items:
            await context.write(found_message(item).SerializeToString())
        if then is not None:
            await context.abort(then, "gone")

    return answer


async def test_a_search_over_grpc_that_breaks_off_says_how_far_it_was() -> None:
    script = {"SearchLogs": sends(MATCH, PROGRESS, then=grpc.StatusCode.UNAVAILABLE)}
    async with scripted(script) as (_, port):
        found, told, why = await searched(f"grpc://127.0.0.1:{port}")
    assert (found, told) == ([MATCH], [PROGRESS])
    assert why.startswith("the search broke off (so far 1 found, 5 logs and 100 bytes looked through), search again")


async def test_what_never_began_is_told_as_it_is() -> None:
    async with scripted({"SearchLogs": sends(then=grpc.StatusCode.UNAVAILABLE)}) as (_, port):
        found, told, why = await searched(f"grpc://127.0.0.1:{port}")
    assert (found, told) == ([], [])
    assert why.startswith("no Spark server answers")


async def test_a_whole_search_over_grpc_ends_with_how_far_it_was() -> None:
    async with scripted({"SearchLogs": sends(MATCH, END)}) as (_, port):
        assert await searched(f"grpc://127.0.0.1:{port}") == ([MATCH], [END], "")


@pytest.mark.parametrize("pieces", [[WHOLE], [WHOLE[:120], WHOLE[120:]]])
async def test_a_whole_search_over_rest(server: ScriptedServer, pieces: Sequence[bytes]) -> None:
    server.on("GET /v1/logs/search", Reply(pieces=pieces, headers={"Content-Type": "application/x-ndjson"}))
    assert await searched(server.url, labels=["a", "b=c"]) == ([MATCH], [PROGRESS, END], "")
    assert server.requests[0].query["label"] == ["a", "b=c"]
    assert "application/x-ndjson" in server.requests[0].headers["accept"]


async def test_a_server_that_hangs_is_not_waited_for(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A living server says something every two seconds."""
    monkeypatch.setattr(rest, "SILENCE", 0.5)
    released = threading.Event()

    def hanging() -> Iterable[bytes]:
        yield json.dumps({"progress": {"logs": 1, "bytes": 2, "matches": 0, "complete": False}}).encode() + b"\n"
        released.wait(20)

    server.on("GET /v1/logs/search", lambda _: Reply(pieces=hanging()))
    _, told, why = await searched(server.url)
    released.set()
    assert (len(told), "(so far 0 found, 1 logs and 2 bytes looked through)" in why) == (1, True)
