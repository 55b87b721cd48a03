"""The queue over HTTP, behind a real server: its bound, submissions that are repeated, and what it shows."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from spark_jobs.api.rest import create_api
from spark_jobs.auth import Access
from spark_jobs.client import Client
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.state import JobState
from tests.api.conftest import FOREVER, HEALTHY
from tests.api.served import PATIENCE, Served, answer_head, request, serving
from tests.engine.bench import Bench, bench

SPEC = {"image": "busybox:1", "command": ["true"], "termination_grace": 0.1}
ROUNDS = 20


class Stage:
    """A server with one slot and room for five jobs that wait. While ``holding``, containers run until cancelled."""

    def __init__(self) -> None:
        self.holding = True
        self.cluster = FakeCluster(lambda _: FOREVER if self.holding else Script(lingers=0.0))
        self.core: Bench
        self.served: Served
        self.http: httpx2.AsyncClient

    @asynccontextmanager
    async def set_up(self, folder: Path) -> AsyncIterator[Stage]:
        """Serve for as long as the block lasts."""
        async with bench(folder, self.cluster, slots=1, queue_size=5) as self.core:
            api = create_api(self.core.service, Access(), self.core.core.metrics, lambda: HEALTHY)
            async with (
                serving(api) as self.served,
                httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.served.port}", trust_env=False) as self.http,
            ):
                yield self

    async def submit(self, key: str, **spec: object) -> httpx2.Response:
        """One submission on a connection of its own."""
        return await self.http.post("/v1/jobs", json={**SPEC, **spec}, headers={"Idempotency-Key": key})

    async def jobs(self, query: str = "") -> list[dict[str, Any]]:
        """All jobs, in the order of their submission."""
        listed = (await self.http.get(f"/v1/jobs?page_size=1000{query}")).json()
        return list(reversed(listed["jobs"]))

    async def clear(self) -> None:
        """Let everything come to its end."""
        self.holding = False
        running = (await self.http.get("/v1/jobs?state=STARTING,RUNNING")).json()["jobs"]
        for job in running:
            await self.http.post(f"/v1/jobs/{job['id']}/cancel")
        for job in await self.jobs("&state=active"):
            await self.core.ends(job["id"])
        await self.core.closed()
        self.holding = True


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage().set_up(tmp_path) as running:
        yield running


async def one_round(stage: Stage, number: int) -> list[str]:
    """Ten submissions at once; the keys of those that were accepted."""
    keys = [f"{number}-{i}" for i in range(10)]
    before = len(stage.cluster.made)
    answers = await asyncio.gather(*(stage.submit(key, labels={"round": str(number), "key": key}) for key in keys))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers].count(201) == 6
    assert len(refused) == 4
    assert {(answer.json()["code"], answer.json()["free"]) for answer in refused} == {("queue_full", 0)}
    assert all(1 <= int(answer.headers["retry-after"]) <= 30 for answer in refused)
    jobs = await stage.jobs(f"&label=round={number}")
    await stage.core.until(jobs[0]["id"], lambda job: job.state is JobState.RUNNING)
    view = (await stage.http.get("/v1/queue")).json()
    assert (view["depth"], view["running"]) == (5, 1)
    assert [each["id"] for each in view["waiting"]] == [job["id"] for job in jobs[1:]]
    assert {job["id"] for job in jobs} == {answer.json()["id"] for answer in answers if answer.status_code == 201}
    await stage.clear()
    assert [ref.job_id for ref in stage.cluster.made[before:]] == [job["id"] for job in jobs]
    return [key for key, answer in zip(keys, answers, strict=True) if answer.status_code == 201]


async def test_ten_at_once_are_always_six_accepted_in_order_and_four_refused_without_a_trace(tmp_path: Path) -> None:
    """Invariant 3."""
    async with Stage().set_up(tmp_path) as stage:
        accepted = [key for number in range(ROUNDS) for key in await one_round(stage, number)]
        assert stage.cluster.most_at_once == 1
    assert len(accepted) == 6 * ROUNDS
    with closing(sqlite3.connect(tmp_path / "spark.db")) as database:

        def found(statement: str) -> list[Any]:
            return [row[0] for row in database.execute(statement)]

        assert sorted(found("SELECT idempotency_key FROM jobs")) == sorted(accepted)
        assert sorted(found("SELECT value FROM labels WHERE key = 'key'")) == sorted(accepted)
        assert found("SELECT seq FROM jobs ORDER BY seq") == list(range(1, len(accepted) + 1))
        assert found("SELECT job_seq FROM installation") == [len(accepted)]
        assert found("SELECT count(*) FROM events WHERE job_id NOT IN (SELECT id FROM jobs)") == [0]
        assert found("SELECT seq FROM events ORDER BY seq") == list(
            range(1, found("SELECT event_seq FROM installation")[0] + 1)
        )


async def test_what_a_refused_submission_brought_is_free_for_another(stage: Stage) -> None:
    for number in range(6):
        assert (await stage.submit(f"{number}")).status_code == 201
    assert (await stage.submit("late", id="mine")).status_code == 429
    assert (await stage.submit("5")).headers["spark-replayed"] == "true"
    await stage.clear()
    again = await stage.submit("late", id="mine", name="another body")
    assert (again.status_code, again.json()["spec"]["name"]) == (201, "another body")


async def test_twenty_at_once_with_one_key_are_one_job_and_another_body_is_a_conflict(stage: Stage) -> None:
    answers = await asyncio.gather(*(stage.submit("one") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await stage.submit("one", name="other")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert len(await stage.jobs()) == 1


class Relay:
    """Stands between a client and the server, and keeps the first answers to itself: what they tell of has happened."""

    def __init__(self, port: int, swallow: int) -> None:
        self._port = port
        self._swallow = swallow
        self.swallowed: list[bytes] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Relay for as long as the block lasts; its address."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, request_to = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.create_task(_pump(reader, request_to))
        head = await upstream.readuntil(b"\r\n\r\n")
        if len(self.swallowed) < self._swallow:
            self.swallowed.append(head)
            writer.transport.abort()
        else:
            writer.write(head)
            await _pump(upstream, writer)
        asking.cancel()
        await asyncio.wait({asking})
        for each in (request_to, writer):
            each.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while block := await source.read(65536):
        sink.write(block)
        await sink.drain()
    sink.write_eof()


async def test_a_client_whose_answers_are_lost_has_one_job_and_knows_that_it_is_its_own(stage: Stage) -> None:
    relay = Relay(stage.served.port, swallow=3)
    async with relay.listening() as url, Client(url, submit_timeout=PATIENCE) as client:
        submission = await client.submit(SPEC)
    assert [head.split(b" ")[1] for head in relay.swallowed] == [b"201", b"200", b"200"]
    assert not submission.replayed
    assert [job["id"] for job in await stage.jobs()] == [submission.job.id]


@pytest.mark.parametrize("named_by", ["key", "id"])
async def test_a_connection_that_is_cut_before_the_answer_leaves_one_job_to_the_repeat(
    stage: Stage, named_by: str
) -> None:
    for number in range(6):
        body = json.dumps({**SPEC, "id": f"mine-{number}"} if named_by == "id" else SPEC).encode()
        key = [f"Idempotency-Key: {number}"] if named_by == "key" else []
        sent = (
            request("POST", "/v1/jobs", "Content-Type: application/json", f"Content-Length: {len(body)}", *key) + body
        )
        _, cut = await stage.served.connect()
        cut.write(sent)
        await cut.drain()
        cut.transport.abort()
        reader, writer = await stage.served.connect()
        writer.write(sent)
        status, _ = await answer_head(reader)
        assert status in (200, 201)
        writer.close()
        await stage.served.idle()
        assert len(await stage.jobs()) == number + 1
