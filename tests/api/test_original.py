"""The first Spark's methods, over gRPC and over REST: the same answers by both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

import grpc.aio
import msgspec
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from spark_jobs.api.original import LOG_BYTES, Original
from spark_jobs.api.proto import spark_service_pb2 as pb
from spark_jobs.api.rest import create_api
from spark_jobs.api.routing import ApiSettings
from spark_jobs.api.stream import closing
from spark_jobs.app.core import utc_now
from spark_jobs.auth import Access
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.defaults import Defaults
from spark_jobs.logs import LogBook
from spark_jobs.service import JobService, LogPart, Policy
from tests.api.asgi import Caller
from tests.api.conftest import HEALTHY
from tests.api.rpc import Refused, calling, read_failure, rpc_server
from tests.engine.bench import Bench

ANSWERS: dict[str, type[Message]] = {
    "QueueJob": pb.QueueJobResponse,
    "GetJobLogs": pb.GetJobLogsResponse,
    "GetJobStatus": pb.GetJobStatusResponse,
    "Ping": pb.PingResponse,
}
PATHS = dict(zip(ANSWERS, ("/v1/queue_job", "/v1/get_job_logs", "/v1/get_job_status", "/v1/ping"), strict=True))


class Way(Protocol):
    """One of the two interfaces."""

    async def call(self, name: str, request: Message) -> Any:
        """The answer, or how the call was refused."""


class OverRest:
    """JSON, as a client of grpc-gateway sends and reads it."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def call(self, name: str, request: Message) -> Any:
        body = json_format.MessageToDict(request)
        answer = await (self._api.get(PATHS[name]) if name == "Ping" else self._api.post(PATHS[name], body))
        assert answer.headers["content-type"] == "application/json"
        if answer.status == 200:
            return json_format.ParseDict(answer.json(), ANSWERS[name]())
        return _status(answer.json())


class OverGrpc:
    """The service itself."""

    def __init__(self, rpc: Any) -> None:
        self._rpc = rpc

    async def call(self, name: str, request: Message) -> Any:
        try:
            return await self._rpc.call(name, request)
        except grpc.aio.AioRpcError as error:
            return read_failure(error)


def _status(plain: dict[str, Any]) -> Refused:
    assert set(plain) == {"code", "message", "details"}
    code = next(code for code in grpc.StatusCode if code.value[0] == plain["code"])
    by_type = {detail["@type"].rpartition(".")[2]: detail for detail in plain["details"]}
    violations = by_type.get("BadRequest", {}).get("fieldViolations", [])
    retry = by_type.get("RetryInfo", {}).get("retryDelay")
    assert by_type["ErrorInfo"]["domain"] == "spark-jobs"
    return Refused(
        code=code.name,
        message=plain["message"],
        reason=by_type["ErrorInfo"]["reason"],
        metadata=by_type["ErrorInfo"]["metadata"],
        faults={each["field"]: each["reason"] for each in violations},
        retry=float(retry.rstrip("s")) if retry else None,
    )


@pytest.fixture
def api(core: Bench) -> Caller:
    app = create_api(core.service, Access(), core.core.metrics, lambda: HEALTHY, ApiSettings(version="1.2.3"))
    return Caller(app)


@pytest.fixture(params=["grpc", "rest"])
async def way(request: pytest.FixtureRequest, core: Bench, api: Caller) -> AsyncIterator[Way]:
    if request.param == "rest":
        yield OverRest(api)
        return
    async with rpc_server(core) as (_, port), calling(port) as rpc:
        yield OverGrpc(rpc)


def job(*command: str, **fields: Any) -> pb.QueueJobRequest:
    return pb.QueueJobRequest(image="busybox:1", command=command, **fields)


async def queued(way: Way, *command: str, **fields: Any) -> str:
    """Queue a job; its id."""
    answer = await way.call("QueueJob", job(*command, **fields))
    assert isinstance(answer, pb.QueueJobResponse), answer
    assert (answer.name, answer.namespace) == (answer.id, "")
    return answer.id


async def status(way: Way, job_id: str) -> tuple[str, str]:
    answer = await way.call("GetJobStatus", pb.GetJobStatusRequest(job_id=job_id))
    assert answer.job_id == job_id
    return answer.status, answer.error_message


async def logs(way: Way, job_id: str) -> str:
    return str((await way.call("GetJobLogs", pb.GetJobLogsRequest(job_id=job_id))).logs)


async def test_a_job_is_queued_seen_and_read(way: Way, core: Bench) -> None:
    job_id = await queued(way, "lines")
    assert job_id.startswith("spark-job-")
    await core.ends(job_id)
    assert await status(way, job_id) == ("SUCCEEDED", "")
    assert await logs(way, job_id) == "one\ntwo\nthree\n"


async def test_every_status_has_its_word(way: Way, core: Bench) -> None:
    await core.service.set_paused(True)
    waiting = await queued(way, "slow", job_id="waiting")
    assert (await status(way, waiting), await logs(way, waiting)) == (("PENDING", ""), "")
    await core.service.cancel(waiting)
    assert await status(way, waiting) == ("CANCELLED", "Cancelled: cancelled while it waited in the queue")
    await core.service.set_paused(False)
    running = await queued(way, "forever")
    async with closing(core.service.logs(running, LogPart(follow=True))) as pieces:
        assert [(await anext(pieces)).chunk.data for _ in range(2)] == [b"", b"begun\n"]
    await core.until(running, lambda job: job.state == "RUNNING")
    assert (await status(way, running), await logs(way, running)) == (("RUNNING", ""), "begun\n")
    failed = await queued(way, "fails")
    await core.ends(failed)
    word, why = await status(way, failed)
    assert (word, why.partition(":")[0]) == ("FAILED", "NonZeroExit")
    slow = await queued(way, "slow", timeout=1)
    await core.ends(slow)
    assert (await status(way, slow))[0] == "TIMEOUT"


async def test_a_timeout_of_nothing_is_the_servers_own(way: Way, core: Bench) -> None:
    assert (await core.service.get(await queued(way, "lines"))).spec.timeout == 300
    assert (await core.service.get(await queued(way, "lines", timeout=7))).spec.timeout == 7


@pytest.mark.parametrize(
    ("request_", "faults"),
    [
        (job("lines", timeout=-1), {"#/timeout": "invalid_value"}),
        (pb.QueueJobRequest(command=["x"]), {"#/image": "required"}),
        (job("lines", job_id="Not an id"), {"#/job_id": "invalid_value"}),
        (job("", timeout=-(2**31)), {"#/command/0": "invalid_value", "#/timeout": "invalid_value"}),
        (job("a\0b"), {"#/command/0": "invalid_value"}),
    ],
)
async def test_faults_are_named_by_the_fields_of_the_request(
    way: Way, core: Bench, request_: pb.QueueJobRequest, faults: dict[str, str]
) -> None:
    answer = await way.call("QueueJob", request_)
    assert (answer.code, answer.reason, answer.faults) == ("INVALID_ARGUMENT", "invalid_spec", faults)
    assert (await core.service.queue()).depth == 0


async def test_an_id_that_is_over_is_never_a_silent_success(way: Way, core: Bench) -> None:
    request = job("forever", job_id="nightly", timeout=60)
    first = await way.call("QueueJob", request)
    assert await way.call("QueueJob", request) == first
    other = await way.call("QueueJob", job("lines", job_id="nightly"))
    assert (other.code, other.reason) == ("ALREADY_EXISTS", "id_conflict")
    await core.service.cancel("nightly")
    await core.ends("nightly")
    again = await way.call("QueueJob", request)
    assert (again.code, again.reason) == ("ALREADY_EXISTS", "id_conflict")
    assert "nothing was started" in again.message


@pytest.mark.parametrize("job_id", ["", "no-such-job", "../x"])
async def test_a_job_that_is_not_there_is_said_so(way: Way, job_id: str) -> None:
    for name, kind in (("GetJobLogs", pb.GetJobLogsRequest), ("GetJobStatus", pb.GetJobStatusRequest)):
        answer = await way.call(name, kind(job_id=job_id))
        assert (answer.code, answer.reason) == ("NOT_FOUND", "job_not_found")


async def test_it_says_which_version_it_is(way: Way) -> None:
    assert await way.call("Ping", pb.PingRequest()) == pb.PingResponse(message="Pong", version="1.2.3")


async def with_log(core: Bench, *blocks: bytes) -> str:
    """A running job that has logged this, by the block."""
    job_id = await core.submit(command=["slow"])
    await core.until(job_id, lambda job: job.state == "RUNNING")
    recorder = await LogBook(core.core.store, core.core.bus).recorder(AttemptKey(job_id, 1))
    for block in blocks:
        recorder.add(block, [1_900_000_000 * 10**9] * block.count(b"\n"))
        await recorder.flush()
    return job_id


def left_out(text: str) -> tuple[int, str]:
    """What the first line says, and the rest."""
    first, _, rest = text.partition("\n")
    words = first.split()
    assert (words[0], words[2:]) == ("[spark:", ["bytes", "before", "this", "line", "are", "left", "out]"])
    return int(words[1]), rest


async def test_of_a_long_log_the_end_is_given_from_a_line_on(way: Way, core: Bench) -> None:
    lines = [b"%07d\n" % number for number in range(1_000_000)]
    whole = b"".join(lines)
    job_id = await with_log(core, *(whole[at : at + 2**20] for at in range(0, len(whole), 2**20)))
    text = await logs(way, job_id)
    assert LOG_BYTES - 200 < len(text.encode()) <= LOG_BYTES
    cut, rest = left_out(text)
    assert (cut % 8, rest.encode()) == (0, whole[cut:])


async def test_what_is_no_text_is_replaced_before_it_is_measured(way: Way, core: Bench) -> None:
    whole = b"good\n" + (b"\xff" * 1023 + b"\n") * 3000
    job_id = await with_log(core, whole[: 2**20], whole[2**20 :])
    text = await logs(way, job_id)
    assert len(text.encode()) <= LOG_BYTES
    cut, rest = left_out(text)
    assert rest == whole[cut:].decode(errors="replace")
    assert set(rest) == {"\N{REPLACEMENT CHARACTER}", "\n"}
    assert len(rest.encode()) > LOG_BYTES - 2 * 3 * 1024


async def test_a_line_longer_than_all_that_is_given_is_cut_inside(way: Way, core: Bench) -> None:
    whole = b"first\n" + "ä".encode() * 2_500_000 + b"\n"
    job_id = await with_log(core, *(whole[at : at + 2**20] for at in range(0, len(whole), 2**20)))
    text = await logs(way, job_id)
    cut, rest = left_out(text)
    assert LOG_BYTES - 200 < len(text.encode()) <= LOG_BYTES
    assert rest == whole[cut:].decode(errors="replace")


async def test_a_log_that_just_fits_is_whole(way: Way, core: Bench) -> None:
    job_id = await with_log(core, *[b"x" * 1023 + b"\n"] * (LOG_BYTES // 1024))
    assert (await logs(way, job_id)).startswith("xxx")
    recorder = await LogBook(core.core.store, core.core.bus).recorder(AttemptKey(job_id, 1))
    recorder.add(b"y\n", [1_900_000_000 * 10**9])
    await recorder.flush()
    assert left_out(await logs(way, job_id))[0] == 1024


async def test_unset_fields_are_left_out_and_names_may_be_spelt_as_javascript_does(api: Caller, core: Bench) -> None:
    body = {"jobId": "camel", "image": "busybox:1", "command": ["lines"], "notKnown": {"a": 1}}
    answer = await api.post("/v1/queue_job", body)
    assert answer.json() == {"id": "camel", "name": "camel"}
    await core.ends("camel")
    answer = await api.post("/v1/get_job_status", {"job_id": "camel"})
    assert answer.json() == {"job_id": "camel", "status": "SUCCEEDED"}
    assert (await api.get("/v1/ping")).json() == {"message": "Pong", "version": "1.2.3"}


@pytest.mark.parametrize(
    ("body", "reason", "faults"),
    [
        (b"{", "invalid_json", {}),
        (b'{"image": "\xff"}', "invalid_json", {}),
        (b'{"image": "a", "image": "b"}', "invalid_json", {}),
        (b"[]", "invalid_spec", {"#": "wrong_type"}),
        (b'{"image": 5}', "invalid_spec", {"#/image": "wrong_type"}),
        (b'{"image": "a", "timeout": "soon"}', "invalid_spec", {"#/timeout": "wrong_type"}),
        (b'{"image": "a", "timeout": 3000000000}', "invalid_spec", {"#/timeout": "wrong_type"}),
        (b'{"image": "a", "command": "echo hunter2"}', "invalid_spec", {"#/command": "wrong_type"}),
        (b'{"jobId": 5}', "invalid_spec", {"#/job_id": "wrong_type"}),
        (b"", "invalid_spec", {"#/image": "required"}),
        (b" " * (1024 * 1024 + 1), "body_too_large", {}),
    ],
)
async def test_a_body_that_is_no_request_is_an_invalid_argument(
    api: Caller, body: bytes, reason: str, faults: dict[str, str]
) -> None:
    answer = await api.post("/v1/queue_job", body)
    told = _status(answer.json())
    assert (answer.status, told.code, told.reason, told.faults) == (400, "INVALID_ARGUMENT", reason, faults)
    assert b"hunter2" not in answer.body


async def test_errors_have_the_status_that_grpc_gateway_gives_them(api: Caller, core: Bench) -> None:
    missing = await api.post("/v1/get_job_status", {"job_id": "none"})
    assert (missing.status, missing.json()["code"]) == (404, 5)
    core.service.drain()
    draining = await api.post("/v1/queue_job", {"image": "a"})
    assert (draining.status, draining.json()["code"], _status(draining.json()).retry) == (503, 14, 1.0)
    assert draining.headers["retry-after"] == "1"


async def test_the_errors_of_other_routes_stay_problems(api: Caller) -> None:
    assert (await api.get("/v1/jobs/none")).code == "job_not_found"
    assert msgspec.json.decode((await api.get("/v1/queue_job")).body)["code"] == "method_not_allowed"


async def test_the_namespace_is_told_where_the_cluster_has_one(core: Bench) -> None:
    parts = core.core
    policy = Policy(defaults=Defaults(namespace="jobs"), namespaces=("jobs", "more"))
    service = JobService(parts.store, LogBook(parts.store, parts.bus), parts.bus, policy, clock=utc_now)
    assert (await Original(service, "1").queue_job(job("lines"))).namespace == "jobs"
