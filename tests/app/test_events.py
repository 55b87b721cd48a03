"""Events of state changes over restarts of the server on the same folder: none missing, none twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from spark_jobs.client import Client
from tests.e2e.server import Server

PATIENCE = 30.0


class Restarted(Server):
    """`spark dev`; ``up`` is set while it serves."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, command="dev")
        self.up = asyncio.Event()

    async def begin(self) -> None:
        """Start it."""
        await asyncio.to_thread(self.start)
        self.up.set()

    async def restart(self, number: int) -> None:
        """End it with a signal, and start it again."""
        self.up.clear()
        await asyncio.to_thread(self.end, number)
        await self.begin()


class Follower:
    """Follows a stream as a browser does: after a lost connection it goes on after the last event that it has seen."""

    def __init__(self, server: Restarted, token: str, path: str) -> None:
        self._server = server
        self._token = token
        self._path = path
        self._news = asyncio.Condition()
        self.events: list[dict[str, Any]] = []
        self.connections = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
            while await self._server.up.wait():
                with contextlib.suppress(httpx2.HTTPError):
                    await self._follow(http)

    async def _follow(self, http: httpx2.AsyncClient) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "text/event-stream"}
        if self.events:
            headers["Last-Event-ID"] = str(self.events[-1]["seq"])
        async with http.stream("GET", f"{self._server.url}{self._path}?after=0", headers=headers) as answer:
            assert answer.status_code == 200
            self.connections += 1
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    async with self._news:
                        self.events.append(json.loads(line.removeprefix("data: ")))
                        self._news.notify_all()

    async def until_over(self, *ids: str) -> None:
        """Until the ends of these jobs have been told."""

        def all_over() -> bool:
            over = {event["job_id"] for event in self.events if event["job"]["finished_at"]}
            return set(ids) <= over

        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(all_over)


@asynccontextmanager
async def following(server: Restarted, token: str, path: str) -> AsyncIterator[Follower]:
    """A follower for as long as the block lasts."""
    follower = Follower(server, token, path)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.wait({task})


async def submit(server: Server, token: str, count: int) -> list[str]:
    """Jobs that end at once."""
    async with Client(server.url, token=token) as client:
        spec = {"image": "x", "command": ["true"]}
        return [(await client.submit(spec)).job.id for _ in range(count)]


async def test_a_stream_is_taken_up_over_restarts_without_gap_or_repeat(tmp_path: Path) -> None:
    server = Restarted(tmp_path)
    await server.begin()
    try:
        token = (tmp_path / "data" / "token").read_text().strip()
        [first] = ids = await submit(server, token, 1)
        async with (
            following(server, token, "/v1/events") as every,
            following(server, token, f"/v1/jobs/{first}/events") as own,
        ):
            await every.until_over(first)
            for number in (signal.SIGKILL, signal.SIGTERM):
                ids += await submit(server, token, 8)
                await server.restart(number)
            ids += await submit(server, token, 3)
            await every.until_over(*ids)
            await own.until_over(first)
        async with following(server, token, "/v1/events") as again:
            await again.until_over(*ids)
    finally:
        server.end()
    assert every.connections == 3
    assert [event["seq"] for event in every.events] == list(range(1, len(every.events) + 1))
    assert every.events == again.events
    assert own.events == [event for event in again.events if event["job_id"] == first]
