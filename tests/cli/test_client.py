"""The client over real HTTP: what it sends, how it repeats, and which errors come out."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from pathlib import Path

import pytest

from dev.cluster import certificates
from spark_jobs.client import Client, Contact, JobQuery
from spark_jobs.client.link import WrongDoor
from spark_jobs.domain import errors
from spark_jobs.domain.job import Job, JobTimedOut
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from tests.cli.jobs import ID, ended, queued, wire
from tests.cli.scripted import Reply, Request, ScriptedServer, problem
from tests.engine.bench import PATIENCE

CREATED = Reply(201, wire(queued()))
NOW = {"Retry-After": "0"}


async def test_a_submission_is_repeated_with_the_same_key_until_it_is_answered(server: ScriptedServer) -> None:
    server.on(
        "POST /v1/jobs",
        Reply(hang_up=True),
        problem(503, "store_unavailable", "full", headers=NOW),
        problem(429, "queue_full", "full", headers=NOW, free=0),
        CREATED,
    )
    async with Client() as client:
        submission = await client.submit({"image": "busybox:1"})
    asked = server.asked("POST /v1/jobs")
    assert submission.job.id == ID
    assert len(asked) == 4
    assert len({request.headers["idempotency-key"] for request in asked}) == 1
    assert {request.body for request in asked} == {b'{"image":"busybox:1"}'}


async def test_two_submissions_have_two_keys(server: ScriptedServer) -> None:
    server.on("POST /v1/jobs", CREATED)
    async with Client() as client:
        await client.submit({"image": "a"})
        await client.submit({"image": "a"})
    first, second = server.asked("POST /v1/jobs")
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


async def test_a_spec_object_is_sent_whole_and_reads_back_as_itself(server: ScriptedServer) -> None:
    server.on("POST /v1/jobs", CREATED)
    spec = JobSpec(image="busybox:1", command=["true"], timeout=5.0)
    async with Client() as client:
        await client.submit(spec)
    [asked] = server.asked("POST /v1/jobs")
    assert asked.json()["image"] == "busybox:1"
    assert asked.json()["timeout"] == 5.0


async def test_a_replay_is_told_as_one(server: ScriptedServer) -> None:
    server.on("POST /v1/jobs", Reply(200, wire(queued()), {"Spark-Replayed": "true"}))
    async with Client() as client:
        assert (await client.submit({"image": "a"})).replayed


async def test_our_own_job_whose_answer_was_lost_is_no_replay(server: ScriptedServer) -> None:
    server.on("POST /v1/jobs", Reply(hang_up=True), Reply(200, wire(queued()), {"Spark-Replayed": "true"}))
    async with Client() as client:
        assert not (await client.submit({"image": "a"})).replayed


async def test_a_full_queue_is_told_when_the_time_for_submission_is_over(server: ScriptedServer) -> None:
    server.on("POST /v1/jobs", problem(429, "queue_full", "full", headers={"Retry-After": "9"}, free=0))
    lost: list[str] = []
    async with Client(submit_timeout=5) as client:
        with pytest.raises(errors.QueueFull) as caught:
            await client.submit({"image": "a"}, on_lost=lambda error: lost.append(error.message))
    assert caught.value.retry_after == 9
    assert lost == ["full"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_json", errors.InvalidJson),
        (401, "unauthenticated", errors.Unauthenticated),
        (403, "forbidden_origin", errors.ForbiddenOrigin),
        (404, "job_not_found", errors.JobNotFound),
        (404, "attempt_not_found", errors.AttemptNotFound),
        (409, "not_cancellable", errors.NotCancellable),
        (410, "events_gone", errors.EventsGone),
        (413, "body_too_large", errors.BodyTooLarge),
        (421, "unknown_host", errors.UnknownHost),
        (422, "of_a_later_version", errors.BadRequest),
        (429, "queue_full", errors.QueueFull),
        (500, "internal", errors.SparkError),
        (503, "draining", errors.Draining),
        (503, "of_a_later_version", errors.StoreUnavailable),
    ],
)
async def test_a_problem_comes_back_as_the_class_of_its_code(
    server: ScriptedServer, status: int, code: str, kind: type[errors.SparkError]
) -> None:
    server.on(f"GET /v1/jobs/{ID}", problem(status, code, "what happened"))
    async with Client() as client:
        with pytest.raises(errors.SparkError, match="what happened") as caught:
            await client.get(ID)
    assert type(caught.value) is kind


async def test_every_fault_of_a_spec_comes_back(server: ScriptedServer) -> None:
    faults = [
        {"pointer": "#/image", "detail": "is empty", "code": "empty"},
        {"pointer": "#/cpu", "detail": "no", "code": "x"},
    ]
    server.on("POST /v1/jobs", problem(422, "invalid_spec", "faults", errors=faults))
    async with Client() as client:
        with pytest.raises(errors.InvalidSpec) as caught:
            await client.submit({})
    assert [fault.pointer for fault in caught.value.faults] == ["#/image", "#/cpu"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>", {"Content-Type": "text/html"}),
        Reply(200, {"id": ID, "state": "FLYING"}),
        Reply(302, b"", {"Location": "/elsewhere"}),
        Reply(502, b"bad gateway", {"Content-Type": "text/plain"}),
    ],
)
async def test_what_is_no_spark_server_counts_as_no_server(server: ScriptedServer, reply: Reply) -> None:
    server.on(f"GET /v1/jobs/{ID}", reply)
    async with Client() as client:
        with pytest.raises(errors.ServerUnreachable):
            await client.get(ID)


async def test_no_server_is_told_with_its_address() -> None:
    async with Client("http://127.0.0.1:9") as client:
        with pytest.raises(errors.ServerUnreachable, match=r"127\.0\.0\.1:9 \(connection refused\)"):
            await client.get(ID)


async def test_a_list_is_read_page_by_page_up_to_its_limit(server: ScriptedServer) -> None:
    def page(request: Request) -> Reply:
        start = int(request.one("page_token") or 0)
        size = min(int(request.one("page_size") or 0), 2)
        jobs = [wire(queued(f"job-{number}")) for number in range(start, start + size)]
        return Reply(200, {"jobs": jobs, "next_page_token": str(start + size)})

    server.on("GET /v1/jobs", page)
    async with Client() as client:
        query = JobQuery(states=["active"], labels=["a=b", "c"])
        found = [job.id async for job in client.list(query, limit=5)]
    assert found == [f"job-{number}" for number in range(5)]
    assert [request.one("page_size") for request in server.requests] == ["5", "3", "1"]
    assert all(request.query["label"] == ["a=b", "c"] for request in server.requests)


async def test_a_list_ends_where_the_server_has_no_more(server: ScriptedServer) -> None:
    server.on("GET /v1/jobs", Reply(200, {"jobs": [wire(queued())], "next_page_token": None}))
    async with Client() as client:
        assert [job.id async for job in client.list()] == [ID]


async def test_a_generated_id_is_taken_as_it_is(server: ScriptedServer) -> None:
    async with Client() as client:
        assert await client.resolve(ID) == ID
    assert server.requests == []


async def test_latest_is_the_newest_job(server: ScriptedServer) -> None:
    server.on("GET /v1/jobs", Reply(200, {"jobs": [wire(queued())], "next_page_token": "x"}))
    async with Client() as client:
        assert await client.resolve("@latest") == ID


async def test_a_unique_prefix_of_the_random_part_is_enough(server: ScriptedServer) -> None:
    server.on("GET /v1/jobs/4k2m", problem(404, "job_not_found", "no"))
    server.on("GET /v1/jobs", Reply(200, {"jobs": [wire(queued())], "next_page_token": None}))
    async with Client() as client:
        assert await client.resolve("4k2m") == ID
    assert server.asked("GET /v1/jobs")[0].one("id_prefix") == "spark-job-4k2m"


@pytest.mark.parametrize(
    ("reference", "told"), [("4k2", "at least 4"), ("4k2m", "several"), ("UPPER", "nor one whose id")]
)
async def test_what_means_no_one_job_is_refused(server: ScriptedServer, reference: str, told: str) -> None:
    server.on(f"GET /v1/jobs/{reference}", problem(404, "job_not_found", "no"))
    several = [wire(queued("spark-job-4k2maaaaaaaaaaa")), wire(queued("spark-job-4k2mbbbbbbbbbbb"))]
    server.on("GET /v1/jobs", Reply(200, {"jobs": several, "next_page_token": None}))
    async with Client() as client:
        with pytest.raises(errors.JobNotFound, match=told):
            await client.resolve(reference)


@pytest.mark.parametrize("reference", ["..", "a/b", "a?b", "a#b", "a b", "%2e%2e", ""])
async def test_no_reference_turns_into_another_path(server: ScriptedServer, reference: str) -> None:
    async with Client() as client:
        with pytest.raises(errors.JobNotFound):
            await client.cancel(reference)
    assert server.requests == []


async def test_waiting_goes_on_over_an_outage_until_the_job_is_over(server: ScriptedServer) -> None:
    server.on(
        f"GET /v1/jobs/{ID}",
        Reply(200, wire(queued())),
        Reply(hang_up=True),
        problem(503, "draining", "soon gone", headers=NOW),
        Reply(200, wire(ended(JobState.FAILED, exit_code=7))),
    )
    async with asyncio.timeout(PATIENCE), Client() as client:
        job: Job = await client.wait(ID)
    assert job.exit_code == 7
    assert server.requests[0].one("wait") == "20s"


async def test_a_result_that_is_no_success_is_raised_with_the_job(server: ScriptedServer) -> None:
    server.on(f"GET /v1/jobs/{ID}", Reply(200, wire(ended(JobState.TIMED_OUT, reason="DeadlineExceeded"))))
    async with asyncio.timeout(PATIENCE), Client() as client:
        with pytest.raises(JobTimedOut) as caught:
            await client.result(ID)
    assert caught.value.job.id == ID


async def test_a_wait_that_is_over_leaves_the_job_alone(server: ScriptedServer) -> None:
    server.on(f"GET /v1/jobs/{ID}", Reply(200, wire(queued())))
    async with Client() as client:
        with pytest.raises(TimeoutError):
            await client.wait(ID, timeout=0.5)
    assert {request.method for request in server.requests} == {"GET"}


async def test_neither_proxies_nor_netrc_have_a_say_on_loopback(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.on(f"GET /v1/jobs/{ID}", Reply(200, wire(queued())))
    async with Client() as client:
        assert (await client.get(ID)).id == ID
    assert "authorization" not in server.requests[0].headers


@pytest.mark.needs("openssl")
async def test_tls_trusts_whom_this_machine_trusts_or_the_file_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificates.make(tmp_path, ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "apiserver.crt", tmp_path / "apiserver.key")
    body = json.dumps(wire(queued())).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as listener:
        url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with Client(url) as client:
            with pytest.raises(WrongDoor, match="SSL_CERT_FILE"):
                await client.get(ID)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        async with Client(url) as client:
            assert await client.get(ID) == queued()


async def test_tls_where_there_is_none_says_what_to_write(server: ScriptedServer) -> None:
    async with Client(f"https://127.0.0.1:{server.port}") as client:
        with pytest.raises(WrongDoor, match="write http://"):
            await client.get(ID)


async def test_patience_ends_after_its_time_and_obeys_what_the_server_asks_for() -> None:
    clock = [0.0]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    contact = Contact(10, clock=lambda: clock[0], sleep=sleep)
    gone = errors.ServerUnreachable("gone")
    await contact.lost(errors.StoreUnavailable("full", retry_after=2.5))
    await contact.lost(gone)
    contact.kept()
    await contact.lost(gone)
    for _ in range(5):
        await contact.lost(gone)
    with pytest.raises(errors.ServerUnreachable):
        await contact.lost(gone)
    assert slept == [2.5, 0.4, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0]


async def test_patience_counts_anew_after_a_stream_that_stood_for_long() -> None:
    clock = [0.0]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    told: list[str] = []
    contact = Contact(10, clock=lambda: clock[0], sleep=sleep, on_lost=lambda error: told.append(error.message))
    for begin, end in ((0.0, 0.0), (0.2, 100.0)):
        clock[0] = begin
        contact.begun()
        clock[0] = end
        await contact.lost(errors.ServerUnreachable(f"gone at {end:g}"))
    assert told == ["gone at 0", "gone at 100"]
    contact.begun()
    clock[0] = 120
    with pytest.raises(errors.ServerUnreachable):
        await contact.lost(errors.ServerUnreachable("gone again soon"))


async def test_events_of_a_server_that_hangs_are_waited_for_as_long_as_patience_lasts(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_jobs.client.rest.SILENCE", 0.5)
    event = {"seq": 7, "time": "2031-05-04T12:00:00Z", "job_id": ID, "attempt": None, "type": "job.state"}
    event |= {"from": None, "to": "QUEUED", "reason": None, "job": wire(queued())}

    def hangs(_: Request) -> Reply:
        hung.wait(10)
        return Reply(hang_up=True)

    hung = threading.Event()
    streamed = Reply(pieces=[f"data: {json.dumps(event)}\n\n".encode()], headers={"Content-Type": "text/event-stream"})
    server.on("GET /v1/events", hangs, streamed, hangs)
    server.on("GET /v1/queue", Reply(200, status()), Reply(200, status()), Reply(hang_up=True))
    async with asyncio.timeout(PATIENCE), Client() as client:
        events = client.events(after=6, contact=Contact(0.3))
        assert (await anext(events)).seq == 7
        with pytest.raises(errors.ServerUnreachable):
            await anext(events)
    hung.set()
    assert [request.one("after") for request in server.asked("GET /v1/events")][:3] == ["6", "6", "7"]


def status() -> dict[str, object]:
    """The queue as a server shows it."""
    return {"depth": 0, "capacity": 1, "running": 0, "slots": 1, "oldest_wait": None, "paused": False}


async def test_an_error_that_will_not_pass_is_raised_at_once() -> None:
    with pytest.raises(errors.Unauthenticated):
        await Contact(10).lost(errors.Unauthenticated("no"))
