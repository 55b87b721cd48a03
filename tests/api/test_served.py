"""What only shows behind a real server: bodies that do not end, readers who go or do not read."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.logs import LogBook
from tests.api.asgi import Caller
from tests.api.served import PATIENCE, Served, answer_head, request, serving
from tests.engine.bench import Bench

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture
async def served(api: Caller) -> AsyncIterator[Served]:
    async with serving(api.app) as running:
        yield running


async def _endless(writer: asyncio.StreamWriter, *, chunked: bool) -> None:
    """Send a body until nobody takes it any more."""
    block = b"x" * 65536
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"10000\r\n" + block + b"\r\n" if chunked else block)
            await writer.drain()


@pytest.mark.parametrize("framing", [CHUNKED, "Content-Length: 100000000000"])
@pytest.mark.parametrize("target", ["/v1/jobs", "/v1/jobs/batch"])
async def test_a_body_without_end_is_cut_off(served: Served, framing: str, target: str) -> None:
    """Who never stops sending may miss the answer, since the reset overtakes it; that the sending ends is the point."""
    reader, writer = await served.connect()
    writer.write(request("POST", target, JSON, framing))
    sending = asyncio.create_task(_endless(writer, chunked=framing is CHUNKED))
    with contextlib.suppress(ConnectionError):
        status, head = await answer_head(reader)
        assert status == 413
        assert b"connection: close" in head
    async with asyncio.timeout(PATIENCE):
        await sending
    await served.idle()
    writer.close()


async def test_a_body_that_is_too_large_is_answered_and_not_reset(served: Served) -> None:
    body = b" " * (4 * 1024 * 1024)
    for _ in range(10):
        reader, writer = await served.connect()
        writer.write(request("POST", "/v1/jobs", JSON, f"Content-Length: {len(body)}") + body)
        status, _ = await answer_head(reader)
        assert status == 413
        writer.close()


async def test_a_body_that_breaks_off_starts_nothing(served: Served, api: Caller) -> None:
    _, writer = await served.connect()
    writer.write(request("POST", "/v1/jobs", JSON, "Content-Length: 500") + b'{"image": "busybox:1"')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await served.idle()
    assert (await api.get("/v1/jobs")).json()["jobs"] == []


async def test_a_submission_works_over_a_socket(served: Served) -> None:
    body = json.dumps({"image": "busybox:1", "command": ["lines"]}).encode()
    reader, writer = await served.connect()
    writer.write(request("POST", "/v1/jobs", JSON, f"Content-Length: {len(body)}") + body)
    status, head = await answer_head(reader)
    assert status == 201
    assert b"\r\nlocation: /v1/jobs/spark-job-" in head
    writer.close()


async def test_head_over_a_socket_leaves_the_connection_usable(served: Served) -> None:
    reader, writer = await served.connect()
    for _ in range(2):
        writer.write(request("HEAD", "/v1/queue"))
        status, _ = await answer_head(reader)
        assert status == 200
    writer.write(request("GET", "/livez"))
    assert (await answer_head(reader))[0] == 200
    writer.close()


async def test_followers_who_go_leave_nothing_behind(served: Served, core: Bench) -> None:
    job_id = await core.submit(command=["forever"])
    for accept in ("text/plain", "text/event-stream"):
        reader, writer = await served.connect()
        writer.write(request("GET", f"/v1/jobs/{job_id}/logs?follow=true", f"Accept: {accept}"))
        assert (await answer_head(reader))[0] == 200
        assert served.server.server_state.tasks
        writer.close()
        await served.idle()


async def _long_log(core: Bench, job_id: str, megabytes: int) -> int:
    """Add a long log to a running job; its size."""
    await core.until(job_id, lambda job: job.state == "RUNNING")
    recorder = await LogBook(core.core.store, core.core.bus).recorder(AttemptKey(job_id, 1))
    line = b"x" * 1023 + b"\n"
    for _ in range(megabytes * 4):
        recorder.add(line * 256, [1_900_000_000 * 10**9] * 256)
        await recorder.flush()
    return recorder.point.bytes


class Metered:
    """An app whose answers are weighed."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def weighed(message: Any) -> None:
            self.sent += len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, weighed)


async def test_a_reader_who_does_not_read_holds_the_log_back_and_nobody_else(api: Caller, core: Bench) -> None:
    """Case 13: what a slow reader has not taken stays in the store."""
    job_id = await core.submit(command=["slow"])
    size = await _long_log(core, job_id, 32)
    metered = Metered(api.app)
    async with serving(metered) as served:
        slow_reader, slow = await served.connect()
        slow.write(request("GET", f"/v1/jobs/{job_id}/logs?follow=true"))
        assert (await answer_head(slow_reader))[0] == 200
        quick_reader, quick = await served.connect()
        quick.write(request("GET", f"/v1/jobs/{job_id}/logs", "Connection: close"))
        await answer_head(quick_reader)
        taken = 0
        async with asyncio.timeout(PATIENCE):
            while block := await quick_reader.read(1 << 20):
                taken += len(block)
        assert taken == size
        assert metered.sent - size < size // 2
        slow.close()
        quick.close()
        await served.idle()
