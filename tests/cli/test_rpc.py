"""The client over gRPC: which errors come out, and what becomes of connections, streams and waits."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import grpc
import msgspec
import pytest

from dev.cluster import certificates
from spark_jobs.api.messages import job_message
from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.wire import ERRORS, PROBLEM_JSON, problem, simple_problem
from spark_jobs.client import Client, JobQuery, Link, LogOptions, SearchOptions, channel, find_address, problems
from spark_jobs.client.link import READ_TIMEOUT, Begun, LogBytes, LogPart, NeverSent, WrongDoor
from spark_jobs.client.links import link_to
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain import errors
from spark_jobs.domain.job import JobEvent
from spark_jobs.domain.spec import JobSpec
from tests.cli.jobs import ID, queued
from tests.cli.oneway import OneWay
from tests.cli.reached import served
from tests.cli.scripted_rpc import Context, ends, fails, says, scripted
from tests.cli.test_address import announce
from tests.engine.bench import PATIENCE, Bench, bench, scripts

LONG = "x" * 150_000
LOG = Script(lines=("one", "é" * 40_000, LONG, "", "last"), unfinished="rest")


def at(port: int) -> str:
    return f"grpc://127.0.0.1:{port}"


def twice() -> Callable[[JobSpec], Script]:
    """The job `twice` fails at once, and its next attempt goes on for ever."""
    turns = iter([Script(lines=("first",), exit_code=1), Script(runs=None)])
    others = scripts(log=LOG, forever=Script(lines=("begun",), runs=None))
    return lambda spec: next(turns) if spec.command == ["twice"] else others(spec)


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Bench]:
    """A running core with two slots and a short queue."""
    async with bench(tmp_path / "data", FakeCluster(twice()), slots=2, queue_size=3) as running:
        yield running


@dataclass
class Both:
    """The same core by both ways."""

    rest: Link
    grpc: Link


@pytest.fixture
async def both(core: Bench) -> AsyncIterator[Both]:
    async with served(core) as ports:
        links = Both(
            rest=link_to(find_address(f"http://127.0.0.1:{ports['http']}", environ={})),
            grpc=link_to(find_address(at(ports["grpc"]), environ={})),
        )
        yield links
        await links.rest.close()
        await links.grpc.close()


PARTS = [
    LogPart(),
    LogPart(attempt=1, offset=3),
    LogPart(timestamps=True),
    LogPart(timestamps=True, offset=100_000, attempt=1),
    LogPart(timestamps=True, tail=2),
    LogPart(tail=1),
    LogPart(since="1h"),
    LogPart(since="2000-01-01T00:00:00Z", timestamps=True),
]


async def test_a_log_is_the_same_bytes_by_both_ways(core: Bench, both: Both) -> None:
    job_id = await core.submit(command=["log"])
    await core.ends(job_id)
    for part in PARTS:
        async with asyncio.timeout(PATIENCE):
            read = [b"".join([piece.data async for piece in link.log(job_id, part)]) for link in (both.rest, both.grpc)]
            followed = [piece async for piece in both.grpc.log(job_id, msgspec.structs.replace(part, follow=True))]
        assert read[0] == read[1], part
        assert read[0].endswith(b"rest")
        assert b"".join(piece.data for piece in followed) == read[0]
        assert followed[-1].end == 6 + 80_001 + 150_001 + 1 + 5 + 2


async def test_one_attempt_alone_is_followed_to_its_end_though_a_later_one_goes_on(core: Bench, both: Both) -> None:
    job_id = await core.submit(command=["twice"], retries=1, backoff=0)
    await core.until(job_id, lambda job: len(job.attempts) == 2)
    for link in (both.rest, both.grpc):
        async with asyncio.timeout(PATIENCE):
            client = Client(link=link)
            assert [piece.data async for piece in client.follow(job_id, LogOptions(attempt=1))] == [b"first\n"]


async def test_states_are_named_as_over_rest(core: Bench, both: Both) -> None:
    job_id = await core.submit(command=["forever"])
    await core.until(job_id, lambda job: job.started_at is not None)
    for words, found in ((["active"], [job_id]), (["FINISHED,queued"], []), (["running", "Failed"], [job_id])):
        for link in (both.rest, both.grpc):
            page = await link.page(JobQuery(states=words), size=10, token=None)
            assert [job.id for job in page.jobs] == found
    told = []
    for link in (both.rest, both.grpc):
        with pytest.raises(errors.InvalidSpec) as caught:
            await link.page(JobQuery(states=["runing"]), size=10, token=None)
        told.append(caught.value.faults)
    assert told[0] == told[1]


async def _refused(asked: AsyncGenerator[object, None]) -> Sequence[errors.Fault]:
    """What is wrong with it."""
    with pytest.raises(errors.InvalidSpec) as caught:
        async for _ in asked:
            pass
    return caught.value.faults


@pytest.mark.parametrize(
    "part",
    [
        LogPart(since="soon"),
        LogPart(attempt=2**31),
        LogPart(attempt=0),
        LogPart(tail=2**63, since="soon", follow=True),
        LogPart(offset=-(2**63) - 1, attempt=1),
    ],
)
async def test_a_part_of_a_log_is_refused_alike_by_both_ways(core: Bench, both: Both, part: LogPart) -> None:
    job_id = await core.submit(command=["log"])
    over_rest, over_grpc = await _refused(both.rest.log(job_id, part)), await _refused(both.grpc.log(job_id, part))
    assert over_rest[0] == over_grpc[0]


@pytest.mark.parametrize(
    "options",
    [SearchOptions(since="soon"), SearchOptions(limit=2**64), SearchOptions(context=101), SearchOptions(labels=["=x"])],
)
async def test_a_search_is_refused_alike_by_both_ways(both: Both, options: SearchOptions) -> None:
    assert await _refused(both.rest.search("x", options)) == await _refused(both.grpc.search("x", options))
    assert await _refused(both.rest.search("(", SearchOptions())) == await _refused(
        both.grpc.search("(", SearchOptions())
    )


async def test_a_part_of_the_log_of_a_job_that_has_not_begun_is_empty(both: Both, core: Bench) -> None:
    await core.service.set_paused(True)
    job_id = await core.submit(command=["log"])
    for link in (both.rest, both.grpc):
        for options in (LogOptions(tail=0), LogOptions(since="5s"), LogOptions(attempt=1), LogOptions()):
            assert [piece async for piece in Client(link=link).logs(job_id, options)] == []


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "a", "env": {"PORT": 8080}, "comand": ["x"], "timeout": -1},
        {"image": 5},
        {},
        JobSpec(image="", command=["x"], memory="512m"),
        {"image": "a", "labels": {"kubernetes.io/x": "y"}, "command": "ls -l"},
    ],
)
async def test_a_spec_has_the_same_faults_by_both_ways(both: Both, spec: object) -> None:
    told = []
    for link in (both.rest, both.grpc):
        with pytest.raises(errors.InvalidSpec) as caught:
            await link.submit(spec, key="key", timeout=5)  # type: ignore[arg-type]  # that is the question
        with pytest.raises(errors.InvalidSpec) as batch:
            await link.submit_batch([{"image": "a"}, spec, spec], timeout=5)  # type: ignore[list-item]  # the same
        told.append((caught.value.faults, batch.value.faults))
    assert told[0] == told[1]
    assert told[1][1][0].pointer.startswith("#/jobs/1")


async def test_a_batch_is_taken_whole_in_order_and_again(both: Both) -> None:
    specs = [{"image": "a", "id": f"job-{number}"} for number in range(3)]
    first = await both.grpc.submit_batch(specs, timeout=5)
    assert [(each.job.id, each.replayed) for each in first] == [(f"job-{number}", False) for number in range(3)]
    again = await both.grpc.submit_batch(specs, timeout=5)
    assert [each.replayed for each in again] == [True] * 3
    with pytest.raises(errors.InvalidSpec, match="0 jobs, must have 1 to 1000"):
        await both.grpc.submit_batch([], timeout=5)


async def test_a_full_queue_says_how_many_would_fit_and_when_to_come_back(both: Both) -> None:
    await both.grpc.set_paused(True)
    for number in range(2):
        await both.grpc.submit({"image": "a"}, key=f"key-{number}", timeout=5)
    told = []
    for link in (both.rest, both.grpc):
        with pytest.raises(errors.QueueFull) as caught:
            await link.submit_batch([{"image": "a"}, {"image": "b"}], timeout=5)
        told.append((caught.value.free, caught.value.message, caught.value.retry_after))
    assert told[0] == told[1]
    assert told[1][0] == 1


async def test_events_come_from_now_on_and_after_a_number(core: Bench, both: Both) -> None:
    job_id = await core.submit(command=["log"])
    await core.ends(job_id)
    async with aclosing(both.grpc.events(job_id, 0)) as stream, asyncio.timeout(PATIENCE):
        place, *seen = [await anext(stream) for _ in range(4)]
    assert place == Begun(0)
    events = [event for event in seen if isinstance(event, JobEvent)]
    assert [event.seq for event in events] == [1, 2, 3]
    assert (events[0].source, events[0].job.id, events[0].job.attempts) == (None, job_id, [])
    async with aclosing(both.rest.events(job_id, 0)) as stream, asyncio.timeout(PATIENCE):
        assert [await anext(stream) for _ in range(4)] == [place, *seen]


async def test_a_stream_of_events_says_where_to_go_on_before_the_first(core: Bench, both: Both) -> None:
    await core.ends(await core.submit(command=["log"]))
    last = await core.core.store.last_event()
    for link in (both.rest, both.grpc):
        async with aclosing(link.events(None, None)) as stream, asyncio.timeout(PATIENCE):
            assert await anext(stream) == Begun(last)


async def test_a_follow_from_the_end_says_where_it_is_before_anything_comes(core: Bench, both: Both) -> None:
    job_id = await core.submit(command=["log"])
    job = await core.ends(job_id)
    size = job.attempts[0].log.bytes
    for link in (both.rest, both.grpc):
        async with (
            aclosing(link.log(job_id, LogPart(attempt=1, tail=0, follow=True))) as stream,
            asyncio.timeout(PATIENCE),
        ):
            assert [piece async for piece in stream] == [LogBytes(1, b"", size)]


@pytest.mark.parametrize("code", [code for code in ERRORS if code != "invalid_spec"])
async def test_an_error_comes_back_as_the_class_of_its_code(code: str) -> None:
    told = simple_problem(code, "what happened")
    headers = {"content-type": PROBLEM_JSON, "retry-after": "2.5"}
    over_rest = problems.error_from(ERRORS[code].status, headers, msgspec.json.encode(told), url="")
    async with scripted({"Get": fails(told, 2.5)}) as (_, port), Client(at(port)) as client:
        with pytest.raises(errors.SparkError, match="what happened") as caught:
            await client.get(ID)
    assert type(caught.value) is type(over_rest)
    assert getattr(caught.value, "retry_after", None) == getattr(over_rest, "retry_after", None)


async def test_the_faults_of_a_server_come_back() -> None:
    faults = [errors.Fault("#/namespace", "is not allowed", "limit"), errors.Fault("#/cpu", "is too much", "limit")]
    async with (
        scripted({"Submit": fails(problem(errors.InvalidSpec(faults)))}) as (_, port),
        Client(at(port)) as client,
    ):
        with pytest.raises(errors.InvalidSpec) as caught:
            await client.submit({"image": "a"})
    assert caught.value.faults == tuple(faults)


@pytest.mark.parametrize(
    ("code", "details", "kind", "told"),
    [
        (grpc.StatusCode.UNIMPLEMENTED, "", errors.ServerUnreachable, "no Spark server, or one of another version"),
        (grpc.StatusCode.UNAVAILABLE, "upstream", errors.ServerUnreachable, "the connection was lost: upstream"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", errors.ServerUnreachable, "no answer in time"),
        (grpc.StatusCode.UNAUTHENTICATED, "", errors.Unauthenticated, "not in the words of a Spark server"),
        (grpc.StatusCode.PERMISSION_DENIED, "", errors.PermissionDenied, "not in the words of a Spark server"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", errors.StoreUnavailable, "try again later"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Sent message larger than max (5 vs. 4)", errors.BodyTooLarge, "5 vs. 4"),
        (grpc.StatusCode.INTERNAL, "reset", errors.ServerUnreachable, "not in the words of a Spark server"),
    ],
)
async def test_what_a_proxy_says_counts_as_no_server_or_as_its_own_refusal(
    code: grpc.StatusCode, details: str, kind: type[errors.SparkError], told: str
) -> None:
    async with scripted({"Get": ends(code, details)}) as (_, port), Client(at(port)) as client:
        with pytest.raises(errors.SparkError, match=re.escape(told)) as caught:
            await client.get(ID)
    assert type(caught.value) is kind


@pytest.mark.parametrize("answer", [b"\xff", pb.Job(id=ID), b"\x10\x63"])  # a state 99
async def test_what_is_no_job_counts_as_no_server(answer: object) -> None:
    async with scripted({"Get": says(answer)}) as (_, port), Client(at(port)) as client:  # type: ignore[arg-type]  # so
        with pytest.raises(errors.ServerUnreachable, match="not as this version of Spark expects"):
            await client.get(ID)


async def test_nobody_there_is_told_as_over_rest_and_known_as_never_sent() -> None:
    async with Client("grpc://127.0.0.1:9") as client:
        with pytest.raises(NeverSent, match=r"no Spark server answers at grpc://127\.0\.0\.1:9 \(connection refused\)"):
            await client.get(ID)


async def test_the_port_of_rest_is_told_to_be_one(core: Bench) -> None:
    async with served(core) as ports, Client(at(ports["http"])) as client:
        with pytest.raises(WrongDoor, match="write http://"):
            await client.get(ID)


@pytest.mark.needs("openssl")
async def test_tls_is_spoken_with_whom_this_machine_trusts_and_missing_it_says_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates.make(tmp_path, ["127.0.0.1"])
    pair = ((tmp_path / "apiserver.key").read_bytes(), (tmp_path / "apiserver.crt").read_bytes())
    job = job_message(queued())
    async with scripted({"Get": says(job)}, grpc.ssl_server_credentials([pair])) as (_, tls):
        for url, told in ((f"grpcs://127.0.0.1:{tls}", "SSL_CERT_FILE"), (at(tls), "write grpcs://")):
            async with Client(url) as client:
                with pytest.raises(WrongDoor, match=told):
                    await client.get(ID)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        async with Client(f"grpcs://127.0.0.1:{tls}") as client:
            assert await client.get(ID) == queued()
    async with scripted({}) as (_, plain), Client(f"grpcs://127.0.0.1:{plain}") as client:
        with pytest.raises(WrongDoor, match="write grpc://"):
            await client.get(ID)


async def test_the_token_is_read_anew_for_each_call() -> None:
    async with scripted({"Get": says(job_message(queued()))}) as (server, port), Client(at(port)) as client:
        for token in ("first", "second"):
            announce(port, token)
            await client.get(ID)
    assert [metadata.get("authorization") for _, _, metadata in server.asked] == ["Bearer first", "Bearer second"]


async def test_proxies_have_no_say_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with scripted({"Get": says(job_message(queued()))}) as (_, port), Client(at(port)) as client:
        assert await client.get(ID) == queued()


async def test_a_wait_has_more_time_than_the_server_takes_for_it() -> None:
    left: list[float] = []

    async def answer(_: bytes, context: Context) -> None:
        left.append(context.time_remaining())
        await context.write(job_message(queued()).SerializeToString())

    async with scripted({"Get": answer}) as (_, port), Client(at(port)) as client:
        await client.get(ID, wait=100)
    assert 100 < left[0] < 100 + READ_TIMEOUT + 2  # what is sent is rounded up


def tasks() -> set[asyncio.Task[object]]:
    """Those of this loop, but for the one with which the server waits for the next call."""
    return {task for task in asyncio.all_tasks() if "_request_call" not in repr(task)}


async def read_all(stream: AsyncIterator[object]) -> None:
    """To the end."""
    async for _ in stream:
        pass


@pytest.mark.parametrize(
    ("method", "reads"),
    [
        ("FollowLogs", lambda client: read_all(client.follow(ID))),
        ("WatchEvents", lambda client: read_all(client.events())),
        ("Get", lambda client: client.wait(ID)),
    ],
)
async def test_a_reader_that_goes_away_leaves_no_call_and_no_task_behind(
    method: str, reads: Callable[[Client], Coroutine[None, None, object]]
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hangs(_: bytes, _context: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with scripted({method: hangs, "GetQueue": says(pb.Queue())}) as (_, port), Client(at(port)) as client:
        await client.queue()
        before = tasks()
        task = asyncio.create_task(reads(client))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
            while more := tasks() - before:
                await asyncio.wait(more)


async def test_a_long_silence_ends_a_stream_only_if_the_server_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "SILENCE", 0.05)
    asked = asyncio.Event()

    async def silent(_: bytes, context: Context) -> None:
        await asked.wait()
        await context.write(pb.LogChunk(attempt=1, data=b"late\n").SerializeToString())

    async def alive(_: bytes, context: Context) -> None:
        asked.set()
        await context.write(pb.Queue().SerializeToString())

    part = LogPart(attempt=1, follow=True)
    async with scripted({"FollowLogs": silent, "GetQueue": alive}) as (_, port):
        link = link_to(find_address(at(port), environ={}))
        async with asyncio.timeout(PATIENCE):
            assert [piece.data async for piece in link.log(ID, part)] == [b"late\n"]
        await link.close()
    gone = ends(grpc.StatusCode.DEADLINE_EXCEEDED)
    never = asyncio.Event()

    async def hangs(_: bytes, _context: Context) -> None:
        await never.wait()

    async with scripted({"FollowLogs": hangs, "GetQueue": gone}) as (_, port):
        link = link_to(find_address(at(port), environ={}))
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(errors.ServerUnreachable, match="no answer in time"):
                await read_all(link.log(ID, part))
        await link.close()


async def test_a_connection_over_which_nothing_comes_any_more_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PING_AFTER", 0.3)
    monkeypatch.setattr(channel, "PING_TIMEOUT", 0.3)

    async def begins(_: bytes, context: Context) -> None:
        await context.write(pb.LogChunk(attempt=1, data=b"begun\n").SerializeToString())
        await asyncio.Event().wait()

    async with scripted({"FollowLogs": begins}) as (_, port), OneWay() as relay:
        relay.to = port
        link = link_to(find_address(at(relay.port), environ={}))
        pieces = link.log(ID, LogPart(attempt=1, follow=True))
        assert (await anext(pieces)).data == b"begun\n"
        relay.deaf = True
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(errors.ServerUnreachable, match="the connection was lost"):
                await anext(pieces)
        await link.close()


@pytest.mark.parametrize("module", ["grpc", "google.rpc"])
def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    for name in [name for name in sys.modules if name.startswith("spark_jobs.client.")]:
        if name.rpartition(".")[2] in {"rpc", "channel", "status"}:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.SettingError, match=re.escape("pip install 'spark-jobs[grpc]'")):
        Client("grpc://localhost")
