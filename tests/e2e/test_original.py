"""Clients of the first Spark, unchanged, on the real cluster: one generated in Go, one built by reflection, plain curl."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import Message
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

SOURCES = Path(__file__).parent / "original"
ECHO = ("sh", "-c", "echo 'Hello  World'; echo err >&2; exit 3")


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A namespace for this module."""
    with kube.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def server(where: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on that namespace, with both interfaces."""
    with serving(tmp_path_factory.mktemp("home"), *on_kubernetes(where, "--grpc-port", "0")) as running:
        yield running


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, with its client generated from the original's contract."""
    folder = tmp_path_factory.mktemp("go")
    for name in ("go.mod", "go.sum", "main.go", "spark.proto"):
        (folder / name).write_bytes((SOURCES / name).read_bytes())
    tools, generated = folder / "tools", folder / "sparkv1"
    generated.mkdir()
    _go(folder, "install", "tool", bin_folder=tools)
    plugins = [f"--plugin={tools / name}" for name in ("protoc-gen-go", "protoc-gen-go-grpc")]
    relative = ["--go_opt=paths=source_relative", "--go-grpc_opt=paths=source_relative"]
    outputs = [f"--go_out={generated}", f"--go-grpc_out={generated}"]
    assert protoc.main(["protoc", f"-I{folder}", *plugins, *outputs, *relative, "spark.proto"]) == 0
    _go(folder, "build", "-o", "client", ".", bin_folder=tools)
    return folder / "client"


def _go(folder: Path, *words: str, bin_folder: Path) -> None:
    env = {**os.environ, "GOBIN": str(bin_folder), "GOFLAGS": "-mod=readonly"}
    done = subprocess.run(["go", *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.needs("go")
def test_a_go_client_of_the_original_queues_a_job_and_reads_its_end_and_its_log(
    server: Server, where: str, go_client: Path
) -> None:
    done = subprocess.run(
        [str(go_client), server.grpc.removeprefix("grpc://"), "from-go", *ECHO],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    seen = told.pop("seen")
    assert seen[-1] == "FAILED"
    assert set(seen[:-1]) <= {"PENDING", "RUNNING"}
    logs = told.pop("logs")
    assert sorted(logs.splitlines()) == ["Hello  World", "err"]
    assert re.search(r"NonZeroExit", told.pop("error_message"))
    assert told == {
        "ping": "Pong",
        "id": "from-go",
        "name": "from-go",
        "namespace": where,
        "job_id": "from-go",
        "again": "AlreadyExists",
        "unknown": "NotFound",
    }


def test_calls_built_by_reflection_alone_run_a_job(server: Server) -> None:
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://")) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))

        def call(method: str, **fields: Any) -> dict[str, Any]:
            described = pool.FindServiceByName("spark.v1.SparkService").FindMethodByName(method)
            request = message_factory.GetMessageClass(described.input_type)(**fields)
            send: grpc.UnaryUnaryMultiCallable[Message, Message] = channel.unary_unary(
                f"/spark.v1.SparkService/{method}",
                request_serializer=lambda each: each.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(described.output_type).FromString,
            )
            answer: dict[str, Any] = json_format.MessageToDict(send(request, timeout=60))
            return answer

        assert call("QueueJob", job_id="by-reflection", image="busybox:1", command=["echo", "Hello"])["id"]
        server.spark("wait", "by-reflection")
        assert call("GetJobStatus", job_id="by-reflection")["status"] == "SUCCEEDED"
        assert call("GetJobLogs", job_id="by-reflection") == {"logs": "Hello\n"}


@pytest.mark.needs("curl")
def test_bare_curl_on_the_four_routes_gets_the_contracts_keys(server: Server, where: str) -> None:
    assert sorted(_curl(server, "ping")) in (["message", "version"], ["build_time", "commit", "message", "version"])
    queued = _curl(server, "queue_job", {"job_id": "by-curl", "image": "busybox:1", "command": ["sh", "-c", "exit 3"]})
    assert queued == {"id": "by-curl", "name": "by-curl", "namespace": where}
    server.spark("wait", "by-curl", expect=3)
    status = _curl(server, "get_job_status", {"jobId": "by-curl"})
    assert sorted(status) == ["error_message", "job_id", "status"]
    assert (status["job_id"], status["status"]) == ("by-curl", "FAILED")
    assert _curl(server, "get_job_logs", {"job_id": "by-curl"}) == {}, "an empty log is an unset field"
    ran = _curl(server, "queue_job", {"image": "busybox:1", "command": ["echo", "Hello"], "timeout": 60, "unknown": 1})
    server.spark("wait", ran["id"])
    assert _curl(server, "get_job_logs", {"jobId": ran["id"]}) == {"logs": "Hello\n"}
    assert _curl(server, "get_job_status", {"job_id": ran["id"]}) == {"job_id": ran["id"], "status": "SUCCEEDED"}


@pytest.mark.needs("curl")
def test_the_originals_rest_errors_have_the_gateways_shape(server: Server) -> None:
    unknown = _curl(server, "get_job_status", {"job_id": "no-such-job"})
    assert sorted(unknown) == ["code", "details", "message"]
    assert unknown["code"] == grpc.StatusCode.NOT_FOUND.value[0]
    server.spark("run", "--id", "once", "--image", "busybox:1", "--", "true")
    again = _curl(server, "queue_job", {"job_id": "once", "image": "busybox:1", "command": ["true"]})
    assert again["code"] == grpc.StatusCode.ALREADY_EXISTS.value[0]


def _curl(server: Server, route: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer to a call as the original's README shows it: no content type, no header at all."""
    data = [] if body is None else ["-d", json.dumps(body)]
    done = subprocess.run(["curl", "-s", *data, f"{server.url}/v1/{route}"], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("mode", ["rest", "grpc"])
def test_the_originals_command_line_keeps_the_quoting(server: Server, mode: str) -> None:
    addresses = ["--restAddr", server.url.removeprefix("http://"), "--grpcAddr", server.grpc.removeprefix("grpc://")]
    words = ["--mode", mode, "--image", "busybox:1", "--cmd", "echo 'Hello  World'", "--timeout", "60", *addresses]
    done = server.spark(*words, "--wait")
    assert done.stdout.splitlines()[-1] == "Hello  World"
    queued = server.spark(*words).stdout.strip()
    server.spark("wait", queued)
    assert server.job(queued)["spec"]["command"] == ["echo", "Hello  World"]
    assert server.job(queued)["spec"]["timeout"] == 60
