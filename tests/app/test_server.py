"""The server as a process: how it refuses to start, how it stops, and what it logs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.server import SPARK, Server, environment, serving

CONTEXTS = '[{"name": "a", "context": {"cluster": "a", "user": "a"}}]'


def refusal(home: Path, *flags: str, command: str = "server") -> str:
    """The one line with which it does not start."""
    done = subprocess.run(
        [*SPARK, command, "--grpc-port", "none", *flags],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr.strip().splitlines()[0]


def test_a_port_in_use_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(tmp_path, "--port", str(port), "--data-dir", str(tmp_path / "data"), command="dev")
    assert f"port {port}" in said
    assert "--port" in said
    assert not (tmp_path / "data" / "spark.db").exists()


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, command="dev"):
        said = refusal(tmp_path, "--port", "0", "--data-dir", str(tmp_path / "data"), command="dev")
    assert str(tmp_path / "data") in said
    assert "another" in said


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "can't be read"),
        ("{}", "no kubeconfig with a context"),
        (f'{{"contexts": {CONTEXTS}}}', "no current context"),
        (f'{{"contexts": {CONTEXTS}, "current-context": "gone"}}', "no context 'gone'"),
        ("a: [", "not valid YAML"),
    ],
)
def test_credentials_that_can_not_be_used_name_the_setting_and_the_way_out(
    tmp_path: Path, content: str | None, word: str
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    flags = ("--cluster", "kubernetes", "--kubeconfig", str(path), "--port", "0", "--data-dir", str(tmp_path / "data"))
    said = refusal(tmp_path, *flags)
    assert word in said
    assert "--kubeconfig" in said or "--context" in said


def test_a_local_cluster_is_never_open_to_all(tmp_path: Path) -> None:
    assert "loopback" in refusal(tmp_path, "--cluster", "local", "--host", "0.0.0.0", "--data-dir", str(tmp_path / "d"))
    assert "--auth" in refusal(tmp_path, "--auth", "none", "--data-dir", str(tmp_path / "d"), command="dev")


def test_an_unreachable_cluster_keeps_no_server_from_serving(tmp_path: Path) -> None:
    """Invariant 9: submissions are queued, reads are answered, and readiness says that the cluster is away."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "c", "user": {"token": "t"}}],
            }
        )
    )
    with serving(tmp_path, "--cluster", "kubernetes", "--kubeconfig", str(path)) as server:
        job_id = server.spark("submit", "--image", "busybox:1", "--", "true").stdout.strip()
        assert server.job(job_id)["state"] in ("QUEUED", "STARTING")


def test_a_term_drains_and_the_next_start_goes_on(tmp_path: Path) -> None:
    server = Server(tmp_path, command="dev")
    server.start()
    job_id = server.spark("submit", "--image", "x", "--", "sleep", "60").stdout.strip()
    server.spark("wait", "--timeout", "1", job_id, expect=75)
    assert server.end(signal.SIGTERM) == 0
    server.start()
    try:
        server.spark("wait", job_id, expect=125)
        assert server.job(job_id)["reason"] == "Lost"
    finally:
        assert server.end(signal.SIGINT) == 0
    assert server.unexpected() == []


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """A reader that takes nothing keeps a connection open; who asks twice does not wait for it."""
    server = Server(tmp_path, command="dev")
    server.start()
    lines = "i=0; while [ $i -lt 100000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; sleep 60"
    job_id = server.spark("submit", "--image", "x", "--", "sh", "-c", lines).stdout.strip()
    token = (tmp_path / "data" / "token").read_text().strip()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as reader:
        reader.sendall(
            f"GET /v1/jobs/{job_id}/logs?follow=true HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        assert reader.recv(1)
        server.send(signal.SIGTERM)
        server.until('"stopping; a second signal')
        assert server.end(signal.SIGTERM) == 128 + signal.SIGTERM


def test_no_log_line_holds_a_command_or_a_value(tmp_path: Path) -> None:
    with serving(tmp_path, command="dev") as server:
        server.spark("run", "-e", "PASSWORD=s3cr3t-value", "--image", "x", "--", "sh", "-c", "echo w0rd-of-the-command")
        server.spark("run", "--image", "x", "--", "/no/such/w0rd-of-the-command", expect=128)
    text = "\n".join(server.lines)
    assert "s3cr3t" not in text
    assert "w0rd" not in text
    assert (tmp_path / "data" / "spark.db").stat().st_mode & 0o777 == 0o600
