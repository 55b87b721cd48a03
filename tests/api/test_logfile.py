"""A log over HTTP as a file: ranges, packed, as JSON lines, of all attempts, and what is missing in it."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
import pytest
import zstandard

from spark_jobs.api import packing
from spark_jobs.api.logfile import byte_range, text
from spark_jobs.api.packing import Packing
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import RangeNotSatisfiable
from spark_jobs.service import LogPiece
from spark_jobs.store.base import LogChunk
from tests.api.asgi import Caller
from tests.engine.bench import Bench

LOG = b"one\ntwo\nthree\n"
BEGIN = 1_900_000_000 * 10**9


@pytest.fixture
async def over(core: Bench) -> str:
    """A job that is over and has logged three lines."""
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    return job_id


@pytest.mark.parametrize(
    ("wanted", "part", "shown"),
    [
        ("bytes=0-2", b"one", "bytes 0-2/14"),
        ("bytes=4-", b"two\nthree\n", "bytes 4-13/14"),
        ("bytes=-6", b"three\n", "bytes 8-13/14"),
        ("bytes=-99", LOG, "bytes 0-13/14"),
        ("bytes=13-99", b"\n", "bytes 13-13/14"),
        (f"bytes=13-{2**63 - 1}", b"\n", "bytes 13-13/14"),
        (" Bytes = 0 - 0 ", b"o", "bytes 0-0/14"),
    ],
)
async def test_a_range_of_a_log(api: Caller, over: str, wanted: str, part: bytes, shown: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs", range=wanted)
    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["content-range"] == shown
    assert answer.headers["content-length"] == str(len(part))


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=x-", "bytes=5-2", "bytes=-", "bytes=0-1,4-5", "bytes", ""])
async def test_a_range_that_can_not_be_read_is_as_none(api: Caller, over: str, wanted: str) -> None:
    """RFC 9110, 14.2: it is ignored, and so may be one of several parts."""
    answer = await api.get(f"/v1/jobs/{over}/logs", range=wanted)
    assert (answer.status, answer.body) == (200, LOG)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("wanted", ["bytes=14-", "bytes=99-100", "bytes=-0", f"bytes={10**17}-", f"bytes={2**63}-"])
async def test_a_range_in_which_nothing_is_names_the_size(api: Caller, over: str, wanted: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs", range=wanted)
    assert (answer.status, answer.code) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */14"
    assert "14 bytes" in answer.json()["detail"]


async def test_a_range_of_an_attempt_that_was_not_or_has_not_begun(api: Caller, over: str, core: Bench) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs?attempt=2", range="bytes=0-")
    assert (answer.status, answer.code) == (404, "attempt_not_found")
    await core.service.set_paused(True)
    waiting = await core.submit(command=["lines"])
    answer = await api.get(f"/v1/jobs/{waiting}/logs", range="bytes=0-")
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */0")
    assert (await api.get(f"/v1/jobs/{waiting}/logs")).body == b""


async def test_a_download_goes_on_only_with_the_log_that_it_began_with(api: Caller, over: str, core: Bench) -> None:
    first = await api.get(f"/v1/jobs/{over}/logs?download=true", range="bytes=0-3")
    tag = first.headers["etag"]
    rest = await api.get(f"/v1/jobs/{over}/logs?download=true", range="bytes=4-", if_range=tag)
    assert (rest.status, first.body + rest.body) == (206, LOG)
    await _add(core, over, b"four\n")
    whole = await api.get(f"/v1/jobs/{over}/logs?download=true", range="bytes=4-", if_range=tag)
    assert (whole.status, whole.body) == (200, LOG + b"four\n")
    assert whole.headers["etag"] != tag


async def _add(core: Bench, job_id: str, data: bytes) -> None:
    store, key = core.core.store, AttemptKey(job_id, 1)
    point = await store.log_point(key)
    chunk = LogChunk(offset=point.bytes, line=point.lines, data=data, stamps=(BEGIN,) * data.count(b"\n"))
    grown = msgspec.structs.replace(point, bytes=point.bytes + len(data), lines=point.lines + data.count(b"\n"))
    await store.log_append(key, [chunk], grown)


@pytest.mark.parametrize("query", ["follow=true", "tail=2", "offset=4", "since=1h", "timestamps=true", "all_attempts"])
async def test_only_a_whole_log_has_ranges(api: Caller, over: str, query: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs?{query}", range="bytes=0-0")
    assert answer.status == 200
    assert "accept-ranges" not in answer.headers
    plain = await api.get(f"/v1/jobs/{over}/logs")
    assert plain.headers["accept-ranges"] == "bytes"
    assert plain.headers["content-length"] == "14"


async def test_a_download_is_named_after_its_job_and_attempt(api: Caller, over: str) -> None:
    named = {
        "": f"{over}-1.log",
        "&follow=true": f"{over}.log",
        "&follow=true&attempt=1": f"{over}-1.log",
        "&all_attempts=true": f"{over}.log",
    }
    for query, name in named.items():
        answer = await api.get(f"/v1/jobs/{over}/logs?download=true{query}")
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert answer.body == LOG
    lines = await api.get(f"/v1/jobs/{over}/logs?download=true", accept="application/x-ndjson")
    assert lines.headers["content-disposition"] == f'attachment; filename="{over}-1.jsonl"'


async def test_a_head_shows_what_there_is(api: Caller, over: str) -> None:
    for asked in ({}, {"range": "bytes=0-3"}):  # a range is for GET alone
        async with api.open("HEAD", f"/v1/jobs/{over}/logs?download=true", **asked) as head:
            answer = await head.begun()
            assert await head.rest() == b""
        assert (answer.status, answer.headers["content-length"]) == (200, "14")


@pytest.mark.parametrize(
    ("accepted", "given"),
    [
        ("*/*", "text/plain"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "text/plain"),
        ("application/json", "text/plain"),
        ("", "text/plain"),
        ("APPLICATION/X-NDJSON", "application/x-ndjson"),
        ("application/x-ndjson;q=0, text/plain", "text/plain"),
        ("text/plain;q=0.2, application/x-ndjson;q=0.9", "application/x-ndjson"),
        ("text/plain;q=1, text/event-stream;q=0.1", "text/plain"),
        ("text/event-stream, application/problem+json", "text/event-stream"),
    ],
)
async def test_the_form_is_what_the_reader_likes_best(api: Caller, over: str, accepted: str, given: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs", accept=accepted)
    assert answer.headers["content-type"].partition(";")[0] == given


def _unpacked(coding: str, body: bytes) -> bytes:
    if coding == "gzip":
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompressobj().decompress(body) if coding == "zstd" else body


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0, zstd;q=0.0", ""),
        ("identity, gzip;q=0.5", ""),
        ("identity;q=0.5, gzip", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "gzip"),
        ("GZIP ; Q=1", "gzip"),
        ("br, x-odd;q=high", ""),
        ("", ""),
    ],
)
async def test_text_is_packed_for_those_who_accept_it(api: Caller, over: str, accepted: str, coding: str) -> None:
    for query in ("", "?tail=2", "?timestamps=true"):
        plain = await api.get(f"/v1/jobs/{over}/logs{query}")
        packed = await api.get(f"/v1/jobs/{over}/logs{query}", accept_encoding=accepted)
        assert packed.headers.get("content-encoding", "") == coding
        assert "Accept-Encoding" in packed.headers["vary"]
        assert _unpacked(coding, packed.body) == plain.body


async def test_what_is_followed_and_what_is_a_range_is_not_packed(api: Caller, over: str) -> None:
    followed = await api.get(f"/v1/jobs/{over}/logs?follow=true", accept_encoding="gzip")
    part = await api.get(f"/v1/jobs/{over}/logs", accept_encoding="gzip", range="bytes=0-2")
    assert (followed.body, part.body) == (LOG, b"one")


async def test_only_so_many_answers_are_packed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes memory for as long as its reader does."""
    monkeypatch.setattr(packing, "AT_ONCE", 1)
    packer = Packing()
    slow = packer.packed("gzip", _endless())
    assert packer.coding("gzip") == "gzip"
    await anext(slow)
    assert packer.coding("gzip") is None
    await slow.aclose()
    assert packer.coding("gzip") == "gzip"


async def _endless() -> AsyncGenerator[bytes, None]:
    while True:
        yield b"x" * 1000


async def test_lines_of_json_are_those_of_the_events(api: Caller, over: str) -> None:
    answer = await api.get(f"/v1/jobs/{over}/logs?tail=2", accept="application/x-ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [(line["attempt"], line["offset"], line["text"]) for line in lines] == [(1, 4, "two\n"), (1, 8, "three\n")]
    followed = await api.get(f"/v1/jobs/{over}/logs?follow=true&tail=2", accept="application/x-ndjson")
    assert followed.body == answer.body


async def test_all_attempts_come_one_after_the_other(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["fails"], retries=2, backoff=0)
    await core.ends(job_id)
    assert (await api.get(f"/v1/jobs/{job_id}/logs?all_attempts=true")).body == b"broken\n" * 3
    lines = await api.get(f"/v1/jobs/{job_id}/logs?all_attempts&tail=1", accept="application/x-ndjson")
    assert [json.loads(line)["attempt"] for line in lines.body.splitlines()] == [1, 2, 3]
    for query in ("all_attempts&attempt=1", "all_attempts&offset=3"):
        refused = await api.get(f"/v1/jobs/{job_id}/logs?{query}")
        assert (refused.status, refused.pointers) == (422, ["?all_attempts"])


async def test_a_log_that_is_deleted_while_it_is_read_never_looks_whole(
    api: Caller, core: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    await core.closed()
    for _ in range(8):
        await _add(core, job_id, (b"x" * 1023 + b"\n") * 256)
    async with api.open("GET", f"/v1/jobs/{job_id}/logs") as reading:
        assert (await reading.begun()).headers["content-length"] == str(14 + 8 * 256 * 1024)
        await reading.message()
        await core.service.delete(job_id)
        with pytest.raises(ConnectionError):
            await reading.rest()
    [told] = [record for record in caplog.records if "broke off" in record.getMessage()]
    assert "was deleted while it was read" in told.getMessage()
    assert (told.levelname, told.exc_info) == ("WARNING", None)


@pytest.mark.parametrize("size", [0, 1, 10])
def test_ranges_are_within_the_log(size: int) -> None:
    for first in range(size):
        for last in range(first, size + 3):
            assert byte_range(f"bytes={first}-{last}", size) == (first, min(size, last + 1))
    for count in range(1, size + 3):
        assert size == 0 or byte_range(f"bytes=-{count}", size) == (max(0, size - count), size)
    with pytest.raises(RangeNotSatisfiable) as raised:
        byte_range(f"bytes={size}-", size)
    assert raised.value.size == size


async def test_what_is_missing_keeps_its_room() -> None:
    mark = b"[spark] 70000 bytes are missing here\n"
    end = 4 + 70_000

    async def pieces() -> AsyncIterator[LogPiece]:
        for offset, data in ((0, b""), (0, b"one\n"), (end - len(mark), mark), (end, b"two\n")):
            yield LogPiece(attempt=1, chunk=LogChunk(offset=offset, line=0, data=data, stamps=()))

    body = b"".join([data async for data in text(pieces())])
    assert (body[:4], body[end:], len(body)) == (b"one\n", b"two\n", end + 4)
    assert body.replace(b"\0", b"") == b"one\n\n" + mark + b"two\n"
