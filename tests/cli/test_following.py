"""Reading and following a log over real HTTP: each byte once, to the true end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from spark_jobs.client import Client, Contact, LogOptions
from spark_jobs.domain.errors import ServerUnreachable
from spark_jobs.domain.job import Attempt, LogState, LogSummary
from spark_jobs.domain.state import JobState
from tests.cli.jobs import ID, ended, queued, wire
from tests.cli.scripted import Reply, Request, ScriptedServer, problem
from tests.engine.bench import PATIENCE

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
    async with asyncio.timeout(PATIENCE), Client() as client:
        async for piece in client.follow(ID, options, contact=contact or Contact(PATIENCE)):
            found[piece.attempt] = found.get(piece.attempt, b"") + piece.data
    return list(found.items())


async def read(options: LogOptions | None = None) -> bytes:
    """What there is now."""
    async with asyncio.timeout(PATIENCE), Client() as client:
        return b"".join([piece async for piece in client.logs(ID, options, contact=Contact(PATIENCE))])


@pytest.fixture
def breaking(server: ScriptedServer) -> ScriptedServer:
    """A server that sends the log in five tries."""
    server.on(
        LOGS,
        from_offset(until=1234, broken=True),
        Reply(hang_up=True),
        problem(503, "draining", "going", headers={"Retry-After": "0"}),
        from_offset(until=4321, broken=True),
        from_offset(until=len(TEXT), broken=False),
    )
    server.on(JOB, Reply(200, wire(ended(log=len(TEXT)))))
    return server


async def test_a_broken_stream_is_taken_up_at_its_byte(breaking: ScriptedServer) -> None:
    assert await follow() == [(1, TEXT)]
    assert breaking.asked(LOGS)[0].one("follow") == "true"


async def test_an_answer_that_breaks_off_is_taken_up_at_its_byte(breaking: ScriptedServer) -> None:
    assert await read() == TEXT
    assert [request.one("attempt") for request in breaking.asked(LOGS)] == ["1"] * 5
    assert breaking.asked(LOGS)[0].one("follow") is None


async def test_an_answer_that_never_began_is_an_error_at_once(server: ScriptedServer) -> None:
    server.on(LOGS, Reply(hang_up=True), from_offset(until=len(TEXT), broken=False))
    server.on(JOB, Reply(200, wire(ended(log=len(TEXT)))))
    with pytest.raises(ServerUnreachable):
        await read()
    assert len(server.asked(LOGS)) == 1


async def test_each_of_all_attempts_is_read_and_the_later_one_taken_up(server: ScriptedServer) -> None:
    job = ended(attempts=[attempt(1, JobState.FAILED, 6), attempt(2, JobState.SUCCEEDED, 4)])
    server.on(JOB, Reply(200, wire(job)))
    server.on(LOGS, Reply(pieces=[b"first\n"]), Reply(hang_up=True), Reply(pieces=[b"two\n"]))
    assert await read(LogOptions(all_attempts=True)) == b"first\ntwo\n"
    assert [request.one("attempt") for request in server.asked(LOGS)] == ["1", "2", "2"]


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


@pytest.mark.parametrize("followed", [True, False])
async def test_lines_from_the_end_are_taken_up_by_the_bytes_that_each_of_them_tells(
    server: ScriptedServer, followed: bool
) -> None:
    lines = [
        {"attempt": 1, "offset": 80, "time": "2031-05-04T12:00:00.000000000Z", "text": "nine\n"},
        {"attempt": 1, "offset": 85, "time": "2031-05-04T12:00:01.000000000Z", "bytes": "/wo="},
    ]
    first, last = [json.dumps(line).encode() + b"\n" for line in lines]
    place = Reply(pieces=[b": still here\n\nid: 1-80\n\n"], headers={"Content-Type": "text/event-stream"})
    # Cut where it hurts most.
    server.on(
        LOGS, place, Reply(pieces=[first[:20], first[20:] + last[:9]], broken=True), Reply(pieces=[last]), Reply()
    )
    server.on(JOB, Reply(200, wire(ended(log=87))))
    options = LogOptions(tail=2, timestamps=True)
    shown = (await follow(options))[0][1] if followed else await read(options)
    assert shown == b"2031-05-04T12:00:00.000000000Z nine\n2031-05-04T12:00:01.000000000Z \xff\n"
    asked = [(request.one("tail"), request.one("offset")) for request in server.asked(LOGS)]
    assert asked[:3] == [("2", None), (None, "80"), (None, "85")]


async def test_patience_with_a_server_that_is_away_ends(server: ScriptedServer) -> None:
    server.on(LOGS, Reply(hang_up=True))
    with pytest.raises(ServerUnreachable):
        await follow(contact=Contact(0.1))
