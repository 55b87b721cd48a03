"""Logs and events over gRPC: whole, resumed, and over when nobody reads any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
import pytest

from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.app.core import utc_now
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.defaults import Defaults
from spark_jobs.logs import LogBook
from spark_jobs.service import JobService, Policy
from spark_jobs.shelf import PIECE_BYTES
from spark_jobs.store.base import LogChunk
from tests.api.rpc import Rpc, calling, refused, rpc_server, under_way, until_idle
from tests.engine.bench import Bench


async def log(rpc: Rpc, job_id: str, **fields: Any) -> list[pb.LogChunk]:
    return await rpc.all("FollowLogs", pb.FollowLogsRequest(job_id=job_id, **fields))


async def text(rpc: Rpc, job_id: str, **fields: Any) -> bytes:
    return b"".join([chunk.data for chunk in await log(rpc, job_id, **fields)])


@pytest.fixture
async def over(core: Bench) -> str:
    """A job that is over and has logged three lines."""
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    return job_id


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({}, b"one\ntwo\nthree\n"),
        ({"tail": 2}, b"two\nthree\n"),
        ({"tail": 0}, b""),
        ({"offset": 5}, b"wo\nthree\n"),
        ({"offset": 9999}, b""),
        ({"attempt": 1, "follow": True}, b"one\ntwo\nthree\n"),
        ({"attempt": 1, "offset": 8, "follow": True}, b"three\n"),
        ({"since": "1h", "tail": 1}, b"three\n"),
        ({"since": "2100-01-01T00:00:00Z"}, b""),
    ],
)
async def test_a_part_of_a_log_can_be_asked_for(rpc: Rpc, over: str, fields: Any, body: bytes) -> None:
    assert await text(rpc, over, **fields) == body


async def test_each_line_can_have_its_time(rpc: Rpc, over: str) -> None:
    [begin, chunk] = await log(rpc, over, timestamps=True)
    assert (begin.attempt, begin.offset, begin.data) == (1, 0, b"")
    assert (chunk.attempt, chunk.offset, len(chunk.line_times)) == (1, 0, 3)
    assert list(chunk.line_times) == sorted(chunk.line_times)
    assert not (await log(rpc, over))[1].line_times


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"attempt": 0}, {"#/attempt": "invalid"}),
        ({"offset": -1, "tail": -1, "since": "x"}, dict.fromkeys(("#/offset", "#/tail", "#/since"), "invalid")),
    ],
)
async def test_a_part_that_means_nothing_is_refused(rpc: Rpc, over: str, fields: Any, faults: dict[str, str]) -> None:
    answer = await refused(log(rpc, over, **fields))
    assert (answer.code, answer.faults) == ("INVALID_ARGUMENT", faults)


async def test_an_attempt_that_was_not_is_said_so(rpc: Rpc, over: str) -> None:
    for follow in (False, True):
        answer = await refused(log(rpc, over, attempt=2, follow=follow))
        assert (answer.code, answer.reason) == ("NOT_FOUND", "attempt_not_found")


async def test_following_goes_on_through_later_attempts(rpc: Rpc, core: Bench) -> None:
    job_id = await core.submit(command=["fails"], retries=2, backoff=0)
    chunks = await log(rpc, job_id, attempt=1, offset=3, follow=True)
    assert [(chunk.attempt, chunk.offset, chunk.data) for chunk in chunks] == [
        (1, 3, b""),
        (1, 3, b"ken\n"),
        (2, 0, b""),
        (2, 0, b"broken\n"),
        (3, 0, b""),
        (3, 0, b"broken\n"),
    ]
    assert {chunk.attempt for chunk in await log(rpc, job_id, attempt=2)} == {2}


async def test_all_attempts_can_be_asked_for(rpc: Rpc, core: Bench) -> None:
    job_id = await core.submit(command=["fails"], retries=1, backoff=0)
    await core.ends(job_id)
    chunks = await log(rpc, job_id, all_attempts=True, tail=1)
    assert [(chunk.attempt, chunk.data) for chunk in chunks if chunk.data] == [(1, b"broken\n"), (2, b"broken\n")]
    answer = await refused(log(rpc, job_id, all_attempts=True, attempt=1))
    assert answer.faults == {"#/all_attempts": "contradictory"}


async def test_following_shows_lines_as_they_come_and_ends_with_the_job(rpc: Rpc, core: Bench) -> None:
    await rpc.call("PauseQueue", pb.PauseQueueRequest())
    job_id = await core.submit(command=["forever"])
    call = rpc.open("FollowLogs", pb.FollowLogsRequest(job_id=job_id, follow=True))
    assert (await call.read()).data == b""  # it stands before there is an attempt
    await rpc.call("ResumeQueue", pb.ResumeQueueRequest())
    assert (await call.read()).data == b"begun\n"
    await rpc.call("Cancel", pb.CancelRequest(job_id=job_id))
    assert await call.read() is grpc.aio.EOF
    assert (await core.ends(job_id)).state == "CANCELLED"


async def _long_log(core: Bench, job_id: str, megabytes: int) -> bytes:
    """Add a long log to a running job; all of it."""
    await core.until(job_id, lambda job: job.state == "RUNNING")
    recorder = await LogBook(core.core.store, core.core.bus).recorder(AttemptKey(job_id, 1))
    line = b"x" * 1023 + b"\n"
    for _ in range(megabytes * 4):
        recorder.add(line * 256, [1_900_000_000 * 10**9] * 256)
        await recorder.flush()
    return await core.log(job_id)


async def test_a_long_log_comes_in_slices_byte_for_byte(rpc: Rpc, core: Bench) -> None:
    job_id = await core.submit(command=["slow"])
    whole = await _long_log(core, job_id, 3)
    chunks = await log(rpc, job_id, timestamps=True)
    assert b"".join([chunk.data for chunk in chunks]) == whole
    assert max(len(chunk.data) for chunk in chunks) <= PIECE_BYTES
    offset = 0
    for chunk in chunks:
        assert chunk.offset == offset
        offset += len(chunk.data)
    assert sum(len(chunk.line_times) for chunk in chunks) == whole.count(b"\n")


class Weighed(LogBook):
    """Logs that are weighed as they are read."""

    taken = 0

    async def stream(
        self, key: AttemptKey, *, offset: int, times: bool = False, done: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[LogChunk]:
        async for chunk in super().stream(key, offset=offset, times=times, done=done):
            self.taken += len(chunk.data)
            yield chunk


async def test_a_reader_who_does_not_read_holds_the_log_back_and_nobody_else(core: Bench) -> None:
    """Case 13: what a slow reader has not taken stays in the store."""
    job_id = await core.submit(command=["slow"])
    whole = await _long_log(core, job_id, 32)
    parts = core.core
    book = Weighed(parts.store, parts.bus)
    service = JobService(parts.store, book, parts.bus, Policy(defaults=Defaults()), clock=utc_now)
    async with rpc_server(core, service=service) as (_, port), calling(port) as slow, calling(port) as quick:
        call = slow.open("FollowLogs", pb.FollowLogsRequest(job_id=job_id))
        assert [(await call.read()).offset for _ in range(2)] == [0, 0]
        assert await text(quick, job_id) == whole
        assert book.taken - len(whole) < len(whole) // 2
        call.cancel()


async def test_changes_of_all_jobs_are_told_as_they_happen(rpc: Rpc, core: Bench) -> None:
    call = rpc.open("WatchEvents", pb.WatchEventsRequest())
    await call.initial_metadata()
    job_id = await core.submit(command=["lines"], env={"A": "hidden"})
    told: list[pb.JobEvent] = []
    while not told or told[-1].to != pb.JOB_STATE_SUCCEEDED:
        told.append(await call.read())
    call.cancel()
    assert {event.job_id for event in told} == {job_id}
    first = getattr(told[0], "from")
    assert (first, told[0].to, told[0].type) == (pb.JOB_STATE_UNSPECIFIED, pb.JOB_STATE_QUEUED, "job.state")
    assert all(not event.job.spec.env and not event.job.attempts for event in told)


async def test_changes_can_be_resumed_after_a_number(rpc: Rpc, core: Bench) -> None:
    first, second = await core.submit(command=["lines"]), await core.submit(command=["lines"])
    await core.ends(first)
    await core.ends(second)
    last = await core.core.store.last_event()
    whole = await _events(rpc, last, pb.WatchEventsRequest(after=0))
    assert [event.seq for event in whole] == list(range(1, last + 1))
    rest = await _events(rpc, last, pb.WatchEventsRequest(after=whole[2].seq))
    assert [event.seq for event in rest] == list(range(whole[3].seq, last + 1))
    own = [event.seq for event in whole if event.job_id == first]
    of_first = await _events(rpc, own[-1], pb.WatchEventsRequest(after=0, job_id=first))
    assert [event.seq for event in of_first] == own


async def test_a_stream_of_changes_begins_with_the_place_to_go_on_from(rpc: Rpc, core: Bench) -> None:
    await core.ends(await core.submit(command=["lines"]))
    last = await core.core.store.last_event()
    call = rpc.open("WatchEvents", pb.WatchEventsRequest())
    assert dict(await call.initial_metadata())["spark-place"] == str(last)
    call.cancel()


async def test_the_changes_of_a_job_end_when_it_is_deleted(rpc: Rpc, core: Bench) -> None:
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    await core.closed()
    call = rpc.open("WatchEvents", pb.WatchEventsRequest(job_id=job_id))
    await call.initial_metadata()
    await core.service.delete(job_id)
    assert await call.read() is grpc.aio.EOF
    assert (await refused(rpc.all("WatchEvents", pb.WatchEventsRequest(job_id=job_id)))).reason == "job_not_found"


async def _rest(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def _events(rpc: Rpc, last: int, request: pb.WatchEventsRequest) -> list[pb.JobEvent]:
    """The events up to the one with this number."""
    call = rpc.open("WatchEvents", request)
    told = [await call.read()]
    while told[-1].seq < last:
        told.append(await call.read())
    call.cancel()
    return told


async def test_what_can_not_be_watched_is_said_so(rpc: Rpc) -> None:
    answer = await refused(rpc.all("WatchEvents", pb.WatchEventsRequest(job_id="no-such-job")))
    assert (answer.code, answer.reason) == ("NOT_FOUND", "job_not_found")
    answer = await refused(rpc.all("WatchEvents", pb.WatchEventsRequest(after=-1)))
    assert answer.faults == {"#/after": "invalid"}
    answer = await refused(rpc.all("WatchEvents", pb.WatchEventsRequest(after=10**9)))
    assert (answer.code, answer.reason) == ("OUT_OF_RANGE", "events_gone")


async def test_streams_end_when_the_server_is_about_to_stop(rpc: Rpc, core: Bench) -> None:
    job_id = await core.submit(command=["forever"])
    following = rpc.open("FollowLogs", pb.FollowLogsRequest(job_id=job_id, follow=True))
    watching = rpc.open("WatchEvents", pb.WatchEventsRequest())
    waiting = asyncio.ensure_future(rpc.call("Get", pb.GetRequest(job_id=job_id, wait=60)))
    assert [(await following.read()).data for _ in range(2)] == [b"", b"begun\n"]
    await watching.initial_metadata()
    core.core.drain()
    for stream in (following, watching):
        told = await refused(_rest(stream))
        assert (told.code, told.reason, told.retry) == ("UNAVAILABLE", "draining", 1.0)
    assert (await waiting).state == pb.JOB_STATE_RUNNING


@pytest.mark.parametrize("how", ["cancels", "hangs up"])
async def test_a_client_who_goes_leaves_nothing_behind(core: Bench, how: str, caplog: pytest.LogCaptureFixture) -> None:
    job_id = await core.submit(command=["forever"])
    await core.until(job_id, lambda job: job.state == "RUNNING")
    async with rpc_server(core) as (_, port):
        async with calling(port) as rpc:
            calls = [
                rpc.open("FollowLogs", pb.FollowLogsRequest(job_id=job_id, follow=True)),
                rpc.open("WatchEvents", pb.WatchEventsRequest()),
                rpc.open("WatchEvents", pb.WatchEventsRequest(job_id=job_id, after=0)),
                rpc.open("Get", pb.GetRequest(job_id=job_id, wait=60)),
                rpc.open("SubmitBatch", _endless()),
            ]
            assert [(await calls[0].read()).data for _ in range(2)] == [b"", b"begun\n"]
            await calls[1].initial_metadata()
            assert len(under_way()) >= len(calls)
            if how == "cancels":
                for call in calls:
                    call.cancel()
        await until_idle()
    assert caplog.records == []


def _endless() -> Any:
    async def requests() -> AsyncIterator[pb.SubmitBatchRequest]:
        yield pb.SubmitBatchRequest(spec=pb.JobSpec(image="a"))
        await asyncio.Event().wait()

    return requests()
