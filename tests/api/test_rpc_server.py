"""The gRPC server itself: who may call, what it says of its health, and what odd callers get."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.proto import spark_service_pb2
from spark_jobs.api.rpc.server import LARGEST_MESSAGE
from spark_jobs.auth import Access, FixedToken
from tests.api.rpc import METHODS, PATIENCE, Rpc, calling, read_failure, refused, rpc_server, until_idle
from tests.engine.bench import Bench

TOKEN = "correct-horse-battery-staple"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
NAMES = ["spark.v1.JobService", "spark.v1.SparkService"]


def locked() -> Access:
    return Access(FixedToken(TOKEN))


async def check(rpc: Rpc, service: str = "") -> int:
    """What health says of a service."""
    ask: Any = rpc.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    return int((await ask(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)).status)


def watch(rpc: Rpc, service: str = "") -> Any:
    ask: Any = rpc.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    return ask(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)


async def reflected(rpc: Rpc, version: str = "v1alpha", **request: Any) -> Any:
    """The answer to one question about the services."""
    ask: Any = rpc.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = ask(iter([reflection_pb2.ServerReflectionRequest(**request)]), timeout=PATIENCE)
    return await anext(aiter(call))


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "Bearer wrong")],
        [("authorization", f"Basic {TOKEN}")],
        [("authorization", TOKEN)],
        [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer x")],
    ],
)
async def test_without_the_token_nothing_is_answered(core: Bench, metadata: list[tuple[str, str]]) -> None:
    async with rpc_server(core, locked()) as (_, port), calling(port, *metadata) as rpc:
        for name, method in METHODS.items():
            request: Any = [] if method.client_streaming else b""
            answer = await refused(rpc.all(name, request) if method.server_streaming else rpc.call(name, request))
            assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "unauthenticated")
            assert TOKEN not in answer.message
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await reflected(rpc, list_services="")
        assert read_failure(raised.value).code == "UNAUTHENTICATED"
    assert (await core.service.queue()).depth == 0


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_with_the_token_it_works(core: Bench, scheme: str) -> None:
    async with rpc_server(core, locked()) as (_, port), calling(port, ("authorization", f"{scheme} {TOKEN}")) as rpc:
        assert (await rpc.call("GetQueue", pb.GetQueueRequest())).slots == 2


async def test_health_needs_no_token_and_knows_both_services(core: Bench) -> None:
    async with rpc_server(core, locked()) as (_, port), calling(port) as rpc:
        for name in ("", *NAMES):
            assert await check(rpc, name) == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await check(rpc, "other")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        unknown = watch(rpc, "other")
        assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        unknown.cancel()


async def test_health_says_that_the_server_is_about_to_stop(core: Bench) -> None:
    async with rpc_server(core) as (server, port), calling(port) as rpc:
        watched = watch(rpc, NAMES[0])
        assert (await watched.read()).status == SERVING
        core.core.drain()
        assert await check(rpc) == NOT_SERVING
        server.drain(PATIENCE)
        assert (await watched.read()).status == NOT_SERVING
        assert await watched.read() is grpc.aio.EOF
        await server.drain(0)


async def test_draining_waits_for_what_is_under_way_and_no_longer_than_its_time(core: Bench) -> None:
    job_id = await core.submit(command=["forever"])
    async with rpc_server(core) as (server, port), calling(port) as rpc:
        waiting = asyncio.ensure_future(rpc.call("Get", pb.GetRequest(job_id=job_id, wait=60)))
        following = rpc.open("FollowLogs", pb.FollowLogsRequest(job_id=job_id, follow=True))
        assert [(await following.read()).data for _ in range(2)] == [b"", b"begun\n"]
        stopping = server.drain(0.05)
        await stopping
        with pytest.raises(grpc.aio.AioRpcError):
            await waiting
        await until_idle()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_tools_can_ask_what_there_is(core: Bench, version: str) -> None:
    async with rpc_server(core) as (_, port), calling(port) as rpc:
        listed = await reflected(rpc, version, list_services="")
        names = {service.name for service in listed.list_services_response.service}
        assert {*NAMES, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= names
        found = await reflected(rpc, version, file_containing_symbol=NAMES[0])
        assert any(b"FollowLogs" in file for file in found.file_descriptor_response.file_descriptor_proto)


async def test_reflection_is_free_on_loopback_alone_and_can_be_turned_off(core: Bench) -> None:
    async with rpc_server(core, locked(), open_reflection=True) as (_, port), calling(port) as rpc:
        assert (await reflected(rpc, list_services="")).list_services_response.service
    async with rpc_server(core, reflection=False) as (_, port), calling(port) as rpc:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await reflected(rpc, list_services="")
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("QueueJob", b"\x1a\x02\xff\xfe"),
        ("Submit", b"\x0a\x04\x0a\x02\xff\xfe"),
        ("Get", b"\x0a\x02\xff\xfe"),
        ("Get", b"\x0a\xff"),
        ("FollowLogs", b"\x0a\x02\xff\xfe"),
        ("SubmitBatch", [b"\x0a\x04\x0a\x02\xff\xfe"]),
    ],
)
async def test_a_message_that_can_not_be_read_is_an_invalid_argument(
    rpc: Rpc, name: str, request_: Any, caplog: pytest.LogCaptureFixture
) -> None:
    call = rpc.all if METHODS[name].server_streaming else rpc.call
    answer = await refused(call(name, request_))
    assert (answer.code, answer.reason, answer.faults) == ("INVALID_ARGUMENT", "invalid_spec", {"#": "invalid_message"})
    assert caplog.records == []


async def test_a_message_above_four_mebibytes_is_refused(rpc: Rpc, caplog: pytest.LogCaptureFixture) -> None:
    huge = pb.SubmitRequest(spec=pb.JobSpec(image="a", args=["x" * LARGEST_MESSAGE]))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await rpc.call("Submit", huge)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await rpc.call("GetQueue", pb.GetQueueRequest())).depth == 0
    assert caplog.records == []


async def test_a_spec_above_one_mebibyte_is_refused_as_in_rest(rpc: Rpc) -> None:
    large = pb.SubmitRequest(spec=pb.JobSpec(image="a", args=["x" * 100_000] * 12))
    assert (await refused(rpc.call("Submit", large))).faults == {"#": "too_long"}


async def test_a_deadline_ends_the_call_on_both_sides(core: Bench, caplog: pytest.LogCaptureFixture) -> None:
    job_id = await core.submit(command=["slow"])
    async with rpc_server(core) as (_, port), calling(port) as rpc:
        path = "/spark.v1.JobService/Get"
        ask: Any = rpc.channel.unary_unary(path, pb.GetRequest.SerializeToString)
        for seconds in (0.05, 0.0, -1.0):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await ask(pb.GetRequest(job_id=job_id, wait=60), timeout=seconds)
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until_idle()
        assert (await rpc.call("Get", pb.GetRequest(job_id=job_id))).id == job_id
    assert caplog.records == []


async def test_a_method_that_there_is_not_is_said_so(rpc: Rpc) -> None:
    for path in ("/spark.v1.JobService/Gone", "/spark.v2.JobService/Get", "/x"):
        ask: Any = rpc.channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(b"", timeout=PATIENCE)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_error_that_should_not_happen_is_told_by_an_id_that_stands_in_the_log(
    core: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> datetime:
        raise RuntimeError("secret detail")

    async with rpc_server(core, clock=broken) as (_, port), calling(port, ("authorization", "Bearer hunter2")) as rpc:
        answer = await refused(rpc.call("List", pb.ListRequest()))
        streamed = await refused(rpc.all("FollowLogs", pb.FollowLogsRequest(job_id="a")))
    for told in (answer, streamed):
        assert (told.code, told.reason) == ("INTERNAL", "internal")
        assert told.metadata["incident"] in caplog.text
        assert "secret detail" not in told.message
    assert "secret detail" in caplog.text
    assert "hunter2" not in caplog.text
    told_to_prometheus = await core.core.metrics.render()
    assert b'spark_unexpected_errors_total{where="api"} 2.0' in told_to_prometheus
    assert b'spark_grpc_calls_total{code="INTERNAL",method="spark.v1.JobService.List"} 1.0' in told_to_prometheus


async def _plain(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
    ],
    ids=["nothing", "http", "tls", "odd frames"],
)
async def test_who_does_not_speak_grpc_does_no_harm(
    rpc: Rpc, said: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    reader, writer = await _plain(rpc.port)
    writer.write(said)
    if said:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while await reader.read(65536):
                    pass
    writer.close()
    assert (await rpc.call("Ping", spark_service_pb2.PingRequest())).message == "Pong"
    assert caplog.records == []
    assert "Traceback" not in capfd.readouterr().err


async def test_a_second_server_does_not_share_the_port(core: Bench) -> None:
    async with rpc_server(core) as (_, port):
        from spark_jobs.api.rpc.server import RpcServer, RpcSettings
        from spark_jobs.app.core import utc_now

        other = RpcServer(Access(), RpcSettings(version="1", clock=utc_now))
        with pytest.raises(OSError, match="can't listen"):
            other.bind(f"127.0.0.1:{port}")
        await other.drain(0)
