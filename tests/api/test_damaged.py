"""A log that the disk has damaged, over every interface: what is lost is said where it was, and all else can be read."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.rest import create_api
from spark_jobs.auth import Access
from spark_jobs.client import Client, LogOptions
from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.store.base import LogChunk
from tests.api.asgi import Caller
from tests.api.conftest import HEALTHY
from tests.api.rpc import calling, rpc_server
from tests.api.served import serving
from tests.engine.bench import Bench, bench

SIZE = 300_000  # bytes in a chunk: too large for two to be put together
LOST = f"[spark] {SIZE} bytes are missing here: the stored log is damaged from byte {SIZE} on\n".encode()


def content(number: int) -> bytes:
    """Lines that can't be packed well."""
    letters = random.Random(number).randbytes(SIZE // 2).hex().encode()
    return b"".join([letters[at : at + 99] + b"\n" for at in range(0, SIZE, 100)])[: SIZE - 1] + b"\n"


FIRST, LAST = content(0), content(2)
TEXT = FIRST + bytes(SIZE - len(LOST) - 1) + b"\n" + LOST + LAST


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Bench]:
    """A core with a job `damaged` whose log has lost its second chunk."""
    async with bench(tmp_path / "data", FakeCluster()) as running:
        await running.ends(await running.submit(id="damaged"))
        await running.closed()
        store, key = running.core.store, AttemptKey("damaged", 1)
        point = await store.log_point(key)
        for number in range(3):
            data, lines = content(number), content(number).count(b"\n")
            chunk = LogChunk(offset=point.bytes, line=point.lines, data=data, stamps=tuple(range(1, lines + 1)))
            point = msgspec.structs.replace(point, bytes=point.bytes + SIZE, lines=point.lines + lines)
            await store.log_append(key, [chunk], point)
        with closing(sqlite3.connect(tmp_path / "data" / "logs.db")) as other, other:
            other.execute('UPDATE chunks SET data = zeroblob(99) WHERE "offset" = ?', (SIZE,))
        yield running


@pytest.fixture
def api(core: Bench) -> Caller:
    return Caller(create_api(core.service, Access(), core.core.metrics, lambda: HEALTHY))


@pytest.mark.parametrize("query", ["", "?follow=true", "?download=true", "?all_attempts=true"])
async def test_as_text_every_byte_keeps_its_place(api: Caller, query: str) -> None:
    answer = await api.get(f"/v1/jobs/damaged/logs{query}")
    assert (answer.status, answer.body == TEXT, len(answer.body)) == (200, True, 3 * SIZE)


@pytest.mark.parametrize(("first", "last"), [(0, SIZE - 1), (2 * SIZE, 3 * SIZE - 1), (SIZE - 50, SIZE + 49)])
async def test_a_range_of_it_has_its_length(api: Caller, first: int, last: int) -> None:
    answer = await api.get("/v1/jobs/damaged/logs", range=f"bytes={first}-{last}")
    assert answer.status == 206
    assert answer.body == TEXT[first : last + 1]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_as_lines_what_is_lost_is_one(api: Caller, accept: str) -> None:
    body = (await api.get("/v1/jobs/damaged/logs", accept=accept)).body
    raw = [line.removeprefix(b"data: ") for line in body.splitlines() if line.startswith((b"data: ", b'{"attempt'))]
    lines = [line for line in map(json.loads, raw) if "offset" in line]
    lost = next(line for line in lines if line["offset"] >= SIZE)
    assert (lost["text"].encode(), lost["time"]) == (LOST, None)
    assert lost["offset"] + len(LOST) == 2 * SIZE
    rest = "".join([line["text"] for line in lines if line is not lost])
    assert rest.encode() == FIRST + LAST
    assert all(line["time"] for line in lines if line is not lost)


async def test_over_grpc_and_for_clients_it_is_the_same(api: Caller, core: Bench) -> None:
    async with serving(api.app) as served, rpc_server(core) as (_, port), calling(port) as rpc:
        chunks = await rpc.all("FollowLogs", pb.FollowLogsRequest(job_id="damaged", follow=True))
        assert b"".join([chunk.data for chunk in chunks]) == FIRST + LOST + LAST
        for url, text in ((f"http://127.0.0.1:{served.port}", TEXT), (f"grpc://127.0.0.1:{port}", FIRST + LOST + LAST)):
            async with Client(url) as client:
                for options in (LogOptions(), LogOptions(tail=10**6)):
                    pieces = [piece async for piece in client.follow("damaged", options)]
                    assert pieces[-1].end == 3 * SIZE
                    whole = b"".join([piece.data for piece in pieces])
                    assert whole.replace(b"\0", b"").replace(b"\n\n", b"\n") == FIRST + LOST + LAST
                assert b"".join([data async for data in client.logs("damaged")]) == text
