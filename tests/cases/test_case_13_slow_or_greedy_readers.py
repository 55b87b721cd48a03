"""Case 13: slow or greedy readers of long logs cost little memory, and slow nobody."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.client.sse import PLACE, read_events
from spark_jobs.shelf import PIECE_BYTES
from tests import figures
from tests.cases.readers import MIB, Reader, Watched, numbered, slow_readers, store_log, watched
from tests.fakes.passing import pass_by

GROWTH = 64
SLOW_FOR = 3.0
LOG = "/v1/jobs/long/logs"
LINES = 200_000


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The home of a server that has a log of 200 MiB, in lines so short that their times take more room than they do."""
    home = tmp_path_factory.mktemp("long")
    return home, asyncio.run(store_log(home / "data", "long", numbered(200 * MIB)))


async def quick_one(server: Watched) -> tuple[str, float]:
    """The digest that a reader at full speed finds, and how many seconds that took."""
    began = time.monotonic()
    async with server.session() as http:
        return await Reader(LOG).read(http), time.monotonic() - began


@pytest.mark.parametrize("accept", ["text/plain", "text/event-stream", "application/x-ndjson"])
async def test_readers_of_1_kib_a_second(long_log: tuple[Path, str], accept: str) -> None:
    home, digest = long_log
    name = f"case 13: 200 at 1 KiB/s of 200 MiB as {accept}"
    async with watched(home) as server:
        before = server.forget_peak()
        async with slow_readers(server, f"{LOG}?follow=true", 200, accept):
            await pass_by(SLOW_FOR)
            found, took = await quick_one(server)
            peak = server.memory("VmHWM")
    assert found == digest
    figures.note(f"{name}, one at full speed beside", 200 / took, "MiB/s, no bound")
    figures.at_most(f"{name}, growth of the server", peak - before, GROWTH, "MiB")


async def test_readers_of_1_kib_a_second_over_grpc(long_log: tuple[Path, str]) -> None:
    home, digest = long_log
    async with watched(home) as server:
        before = server.forget_peak()
        tasks = [asyncio.create_task(_slowly(server)) for _ in range(200)]
        await pass_by(SLOW_FOR)
        found, _ = await quick_one(server)
        peak = server.memory("VmHWM")
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ends} == {asyncio.CancelledError}
    assert found == digest
    figures.at_most("case 13: 200 at 1 KiB/s over gRPC, growth of the server", peak - before, GROWTH, "MiB")


async def _slowly(server: Watched) -> None:
    """Take the log over a connection of its own, with the times of its lines."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    async with grpc.aio.insecure_channel(server.address, options) as channel:
        ask = channel.unary_stream(
            "/spark.v1.JobService/FollowLogs",
            pb.FollowLogsRequest.SerializeToString,
            pb.LogChunk.FromString,
        )
        request = pb.FollowLogsRequest(job_id="long", follow=True, timestamps=True)
        async for chunk in ask(request, metadata=(("authorization", f"Bearer {server.token}"),)):
            await pass_by(len(chunk.data) / 1024)


async def test_200_followers_of_one_job_of_which_one_is_slow(tmp_path: Path) -> None:
    gate = tmp_path / "go"
    script = f"while [ ! -e {gate} ]; do sleep 0.05; done; seq 1 {LINES}"
    expected = hashlib.sha256(b"".join([b"%d\n" % number for number in range(1, LINES + 1)])).hexdigest()
    async with watched(tmp_path) as server, server.session() as http:
        job_id = await server.submit(command=["sh", "-c", script])
        readers = [Reader(f"/v1/jobs/{job_id}/logs?follow=true", slow=number == 0) for number in range(200)]
        before = server.forget_peak()
        tasks = [asyncio.create_task(reader.read(http)) for reader in readers]
        await pass_by(1)
        gate.touch()
        began = time.monotonic()
        quick = await asyncio.gather(*tasks[1:])
        took = time.monotonic() - began
        assert not tasks[0].done()
        readers[0].quick.set()
        slow = await tasks[0]
        peak = server.memory("VmHWM")
        alone = Reader(f"/v1/jobs/{job_id}/logs?follow=true")
        began = time.monotonic()
        await alone.read(http)
        one = time.monotonic() - began
    figures.exactly("case 13: followers of 200 that have the same bytes", [*quick, slow].count(expected), 200)
    figures.note("case 13: 199 followers beside a slow one", took, f"s; one alone afterwards took {one:.2f} s")
    figures.at_most("case 13: growth of the server by 200 followers", peak - before, GROWTH, "MiB")


def _endless(size: int) -> Iterator[bytes]:
    """Blocks of one line that never ends, with characters of several bytes that blocks cut in the middle."""
    text = "0123456789abcdeé€".encode()
    whole = text * (size // len(text) + 1)
    for at in range(0, size, 256 * 1024):
        yield whole[at : min(at + 256 * 1024, size)]


def _bytes_of(line: Any) -> bytes:
    """What an event holds: text, or what is none since a block of the store ends in a character."""
    assert line["time"] is None
    return str(line["text"]).encode() if "text" in line else base64.b64decode(line["bytes"])


async def test_a_line_of_512_mib_without_an_end(tmp_path: Path) -> None:
    size = 512 * MIB
    digest = await store_log(tmp_path / "data", "long", _endless(size))
    async with watched(tmp_path) as server, server.session() as http:
        before = server.forget_peak()
        assert await Reader(f"{LOG}?follow=true").read(http) == digest
        as_text = server.memory("VmHWM") - before
        before = server.forget_peak()
        found, longest = hashlib.sha256(), 0
        path = f"{LOG}?follow=true&offset={size - 32 * MIB}"
        async with http.get(path, headers={"Accept": "text/event-stream"}) as answer:
            async for event in read_events(answer.content.iter_any()):
                if event.name != "message":
                    assert event.name in (PLACE, "end")
                    continue
                data = _bytes_of(json.loads(event.data))
                found.update(data)
                longest = max(longest, len(data))
        as_events = server.memory("VmHWM") - before
    last = hashlib.sha256(b"".join(_endless(size))[size - 32 * MIB :]).hexdigest()
    figures.exactly("case 13: the last 32 MiB of the line as events", found.hexdigest() == last, True)
    figures.at_most("case 13: the longest piece of the line", longest / 1024, PIECE_BYTES / 1024, "KiB")
    figures.at_most("case 13: growth by a reader of 512 MiB without a newline", max(as_text, as_events), GROWTH, "MiB")
