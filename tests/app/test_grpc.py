"""gRPC as part of the server's process: its port, its certificate, its packages, its end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from dev.cluster import certificates
from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.proto import spark_service_pb2
from tests.e2e.server import SPARK, Server, environment, serving

WITHOUT_PACKAGES = "import sys; sys.modules['grpc'] = None; from spark_jobs.cli.main import main; sys.exit(main())"
ROOT = Path(__file__).resolve().parents[2]


def refusal(home: Path, *flags: str, program: tuple[str, ...] = SPARK) -> str:
    """The one line with which `spark dev` does not start."""
    words = [*program, "dev", "--port", "0", "--data-dir", str(home / "data"), *flags]
    done = subprocess.run(words, env=environment(home), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, (done.returncode, done.stderr)
    [line] = done.stderr.strip().splitlines()
    assert not (home / "data" / "spark.db").exists()
    return line


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(tmp_path, "--grpc-port", str(port))
    assert f"port {port}" in said
    assert "--grpc-port (0: any free one; none: REST alone)" in said


@pytest.mark.needs("openssl")
def test_a_key_that_others_can_read_is_named(tmp_path: Path) -> None:
    certificates.make(tmp_path / "tls", ["127.0.0.1"])
    key = tmp_path / "tls" / "apiserver.key"
    key.chmod(0o644)
    flags = ("--grpc-tls-cert", str(tmp_path / "tls" / "apiserver.crt"), "--grpc-tls-key", str(key))
    assert f"chmod 600 {key}" in refusal(tmp_path, "--grpc-port", "0", *flags)


def test_missing_packages_are_an_error_where_grpc_is_asked_for(tmp_path: Path) -> None:
    said = refusal(tmp_path, "--grpc-port", "0", program=(sys.executable, "-c", WITHOUT_PACKAGES))
    assert said.startswith("spark: --grpc-port: ")
    assert said.endswith("pip install 'spark-jobs[grpc]'")


def test_missing_packages_are_said_once_and_rest_works(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WITHOUT_PACKAGES, "dev", "--port", "0", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(
        [*words, "--log-format", "json"], env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(json.loads(line))
        if said[-1]["event"] == "serving":
            break
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0
    assert "grpc" not in said[-1]
    [told] = [line for line in said if "gRPC" in line["event"]]
    assert (told["level"], told["install"]) == ("warning", "pip install 'spark-jobs[grpc]'")


def announced(home: Path, url: str) -> dict[str, Any]:
    port = url.rpartition(":")[2]
    found: dict[str, Any] = json.loads((home / "spark-jobs" / "servers" / f"{port}.json").read_text())
    return found


def call(server: Server, method: str, request: Any, answer: Any, token: str | None = None) -> Any:
    """One call of a user's program that knows nothing of Spark's client."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://"), options) as channel:
        ask: Any = channel.unary_unary(method, lambda message: message.SerializeToString(), answer.FromString)
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        return ask(request, metadata=metadata, timeout=20)


def test_both_ports_are_announced_with_all_addresses_for_as_long_as_it_serves(tmp_path: Path) -> None:
    with serving(tmp_path, command="dev") as server:
        rest, rpc = announced(tmp_path, server.url), announced(tmp_path, server.grpc)
        assert rest == rpc
        assert rest["addresses"] == [server.url, server.grpc]
        assert server.grpc.startswith("grpc://127.0.0.1:")
        token = Path(rest["token_file"]).read_text().strip()
        ping = ("/spark.v1.SparkService/Ping", spark_service_pb2.PingRequest(), spark_service_pb2.PingResponse)
        assert call(server, *ping, token=token).message == "Pong"
        with pytest.raises(grpc.RpcError) as raised:
            call(server, *ping)
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert list((tmp_path / "spark-jobs" / "servers").iterdir()) == []


def test_no_port_serves_rest_alone(tmp_path: Path) -> None:
    with serving(tmp_path, "--grpc-port", "none", command="dev") as server:
        assert server.grpc == ""
        assert announced(tmp_path, server.url)["addresses"] == [server.url]


@pytest.mark.needs("openssl")
def test_with_a_certificate_the_address_says_so(tmp_path: Path) -> None:
    certificates.make(tmp_path / "tls", ["127.0.0.1"])
    files = [str(tmp_path / "tls" / f"apiserver.{kind}") for kind in ("crt", "key")]
    with serving(tmp_path, "--grpc-tls-cert", files[0], "--grpc-tls-key", files[1], command="dev") as server:
        assert announced(tmp_path, server.url)["addresses"][1] == server.grpc
        assert server.grpc.startswith("grpcs://")


def test_a_term_ends_streams_and_the_process(tmp_path: Path) -> None:
    server = Server(tmp_path, command="dev")
    server.start()
    token = (tmp_path / "data" / "token").read_text().strip()
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.grpc.removeprefix("grpc://"), options) as channel:
        watch: Any = channel.unary_stream("/spark.v1.JobService/WatchEvents", pb.WatchEventsRequest.SerializeToString)
        events = watch(pb.WatchEventsRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=60)
        events.initial_metadata()
        assert server.end(signal.SIGTERM) == 0
        with pytest.raises(grpc.RpcError) as raised:
            next(events)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "about to stop" in str(raised.value.details())
    assert server.unexpected() == []


def test_programs_are_started_unharmed_beside_grpc() -> None:
    """gRPC's own handling of a fork breaks every thirtieth program that uvloop starts; the server turns it off."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    words = [sys.executable, "-m", "tests.app.forking"]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.returncode) == ("[0]\n", 0), done.stderr
