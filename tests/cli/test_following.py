"""Following a log over real HTTP: each byte once, to the true end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spark_jobs.client import Client, Contact, LogOptions
from spark_jobs.domain.errors import ServerUnreachable
from spark_jobs.domain.job import Attempt, LogState, LogSummary
from spark_jobs.domain.state import JobState
from tests.cli.jobs import ID, ended, queued, wire
from tests.cli.scripted import Reply, Request, ScriptedServer, problem

LOGS = f"GET /v1/jobs/{ID}/logs"
JOB = f"GET /v1/jobs/{ID}"
TEXT = b"".join(b"line %d\n" % number for number in range(1000))


def from_offset(*, until: int, broken: bool) -> Any:
    """Answer with the log from the wanted byte up to a byte."""

    def answer(request: Request) -> Reply:
        start = int(request.one("offset") or 0)
        part = TEXT[start:until]
        return Reply(pieces=[part[at : at + 700] for at in range(0, len(part), 700)], broken=broken)

    return answer


def attempt(number: int, state: JobState, log: int) -> Attempt:
    """An attempt whose log is whole."""
    return Attempt(attempt=number, state=state, cluster="fake", log=LogSummary(bytes=log, state=LogState.COMPLETE))


async def follow(options: LogOptions | None = None, contact: Contact | None = None) -> list[tuple[int, bytes]]:
    """All that comes, joined by attempt."""
    found: dict[int, bytes] = {}
    async with Client() as client:
        async for piece in client.follow(ID, options, contact=contact or Contact(2)):
            found[piece.attempt] = found.get(piece.attempt, b"") + piece.data
    return list(found.items())


async def test_a_broken_stream_is_taken_up_at_its_byte(server: ScriptedServer) -> None:
    server.on(
        LOGS,
        from_offset(until=1234, broken=True),
        Reply(hang_up=True),
        problem(503, "draining", "going", headers={"Retry-After": "0"}),
        from_offset(until=4321, broken=True),
        from_offset(until=len(TEXT), broken=False),
    )
    server.on(JOB, Reply(200, wire(ended(log=len(TEXT)))))
    assert await follow() == [(1, TEXT)]


async def test_a_clean_end_is_no_end_while_the_job_is_not_over(server: ScriptedServer) -> None:
    running = queued(state=JobState.RUNNING, attempts=[attempt(1, JobState.RUNNING, 0)])
    server.on(LOGS, from_offset(until=50, broken=False), from_offset(until=len(TEXT), broken=False))
    server.on(JOB, Reply(200, wire(running)), Reply(200, wire(ended(log=len(TEXT)))))
    assert await follow() == [(1, TEXT)]


async def test_later_attempts_are_followed_each_from_its_first_byte(server: ScriptedServer) -> None:
    first, second = attempt(1, JobState.FAILED, 6), attempt(2, JobState.SUCCEEDED, 4)
    backoff = queued(attempts=[first])
    both = ended(attempts=[first, second])

    def logs(request: Request) -> Reply:
        log = {"1": b"first\n", "2": b"two\n"}[request.one("attempt") or ""]
        return Reply(pieces=[part] if (part := log[int(request.one("offset") or 0) :]) else [])

    server.on(LOGS, logs)
    server.on(JOB, Reply(200, wire(backoff)), Reply(200, wire(both)))
    assert await follow() == [(1, b"first\n"), (2, b"two\n")]


async def test_one_attempt_alone_ends_with_that_attempt(server: ScriptedServer) -> None:
    job = queued(attempts=[attempt(1, JobState.FAILED, 6)])
    server.on(LOGS, Reply(pieces=[b"first\n"]), Reply(pieces=[]))
    server.on(JOB, Reply(200, wire(job)))
    assert await follow(LogOptions(attempt=1)) == [(1, b"first\n")]


async def test_a_job_that_never_started_has_an_empty_log(server: ScriptedServer) -> None:
    server.on(LOGS, Reply(pieces=[]))
    server.on(JOB, Reply(200, wire(queued(state=JobState.CANCELLED))))
    assert await follow() == []


async def test_lines_from_the_end_are_taken_up_by_the_bytes_that_events_tell(server: ScriptedServer) -> None:
    events = [
        {"attempt": 1, "offset": 80, "time": "2031-05-04T12:00:00.000000000Z", "text": "nine\n"},
        {"attempt": 1, "offset": 85, "time": "2031-05-04T12:00:01.000000000Z", "bytes": "/wo="},
    ]

    def sse(*chosen: dict[str, Any], broken: bool = False) -> Reply:
        text = "".join(f"id: 1-{at}\ndata: {json.dumps(event)}\n\n" for at, event in enumerate(chosen))
        body = b": still here\n\n" + text.encode()
        # Cut where it hurts most.
        return Reply(
            pieces=[body[:20], body[20:33], body[33:]], headers={"Content-Type": "text/event-stream"}, broken=broken
        )

    server.on(LOGS, sse(events[0], broken=True), sse(events[1]), sse())
    server.on(JOB, Reply(200, wire(ended(log=87))))
    shown = await follow(LogOptions(tail=2, timestamps=True))
    assert shown == [(1, b"2031-05-04T12:00:00.000000000Z nine\n2031-05-04T12:00:01.000000000Z \xff\n")]
    first, second, *_ = server.asked(LOGS)
    assert (first.one("tail"), first.one("offset")) == ("2", None)
    assert (second.one("tail"), second.one("offset")) == (None, "85")


async def test_patience_with_a_server_that_is_away_ends(server: ScriptedServer) -> None:
    server.on(LOGS, Reply(hang_up=True))
    with pytest.raises(ServerUnreachable):
        await follow(contact=Contact(0.1))
