"""The server with a log sink, as a process: what arrives there, what it says, and how it refuses to start."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests import figures
from tests.e2e.server import SPARK, Server, environment, serving
from tests.fakes.passing import stand_by
from tests.fakes.s3 import SECRET, ObjectStore, object_store

BYTES = "printf 'one\\n\\000\\377 tw\\303'; printf '\\274o\\r\\n'; seq 1 100000; printf 'no end'"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """An object store."""
    with object_store() as store:
        yield store


@pytest.fixture
def bucket(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The store with an empty bucket named ``logs``, as the environment's own."""
    store.reset()
    store.make_bucket("logs")
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


def archived(server: Server, job_id: str) -> str:
    """Where the job's log is, once it is there."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        to: str | None = server.job(job_id)["attempts"][-1]["log"]["archived"]
        if to is not None:
            return to
        stand_by(0.05)
    raise AssertionError(server.lines)


def unpacked(data: bytes) -> bytes:
    """What is in a zstd frame."""
    text: bytes = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return text


def printed(server: Server, job_id: str) -> bytes:
    """What `spark logs` prints."""
    env = {**environment(server.home), "SPARK_SERVER": server.url}
    return subprocess.run([*SPARK, "logs", job_id], env=env, capture_output=True, check=True).stdout


def test_a_folder_has_the_bytes_that_the_job_wrote(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    with serving(tmp_path, "--log-sink", folder.as_uri(), command="dev") as server:
        job_id = server.spark("submit", "-e", "PASSWORD=s3cr3t", "--image", "x", "--", "sh", "-c", BYTES).stdout.strip()
        file = Path(archived(server, job_id).removeprefix("file://"))
        described = server.spark("describe", job_id).stdout
        logged = printed(server, job_id)
    assert file.is_relative_to(folder)
    assert unpacked(file.read_bytes()) == logged
    assert logged.startswith(b"one\n\0\xff tw\xc3\xbco\r\n1\n2\n")
    assert logged.endswith(b"\n100000\nno end")
    assert f"Archived:           {file.as_uri()}" in described
    assert "s3cr3t" not in file.with_name("1.json").read_text()


def test_a_bucket_has_them_and_nobody_sees_the_key(tmp_path: Path, bucket: ObjectStore) -> None:
    with serving(tmp_path, "--log-sink", "s3://logs/of/spark", command="dev") as server:
        job_id = server.spark("submit", "--image", "x", "--", "sh", "-c", BYTES).stdout.strip()
        name = archived(server, job_id).removeprefix("s3://logs/")
        assert unpacked(bucket.read("logs", name) or b"") == printed(server, job_id)
        bucket.stop()
        server.spark("run", "--image", "x", "--", "true")
        server.until("no log can be sent to the log sink now")
    bucket.start()
    assert SECRET not in "\n".join(server.lines)
    view = subprocess.run(
        [*SPARK, "config", "view", "--log-sink", "s3://logs/of/spark"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "s3://logs/of/spark" in view.stdout
    assert SECRET not in view.stdout


def test_a_sink_that_is_away_holds_up_no_job_and_gets_its_logs_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    server = Server(tmp_path, "--log-sink", folder.as_uri(), command="dev")
    server.start()
    try:
        job_id = server.spark("submit", "--image", "x", "--", "echo", "one").stdout.strip()
        server.spark("wait", job_id)
        server.until("no log can be sent to the log sink now")
        with urllib.request.urlopen(f"{server.url}/readyz", timeout=10) as ready:
            assert ready.status == 200
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as metrics:
            assert b"spark_sink_logs_waiting 1.0" in metrics.read()
        server.end(signal.SIGKILL)
        folder.mkdir()
        server.start()
        file = Path(archived(server, job_id).removeprefix("file://"))
        assert unpacked(file.read_bytes()) == b"one\n"
        assert server.unexpected() == []
    finally:
        server.end()


def test_a_store_that_hangs_does_not_keep_the_server_from_ending(tmp_path: Path, bucket: ObjectStore) -> None:
    server = Server(tmp_path, "--log-sink", "s3://logs", command="dev")
    server.start()
    bucket.hang()
    try:
        words = ("submit", "--image", "x", "--", "sh", "-c", "head -c 9000000 /dev/urandom | base64")
        job_id = server.spark(*words).stdout.strip()
        server.spark("wait", job_id)
        begun = time.monotonic()
        assert server.end() == 0
        figures.at_most("stop of a server whose object store hangs", time.monotonic() - begun, 20)
    finally:
        bucket.go_on()
    with serving(tmp_path, "--log-sink", "s3://logs", command="dev") as server:
        name = archived(server, job_id).removeprefix("s3://logs/")
        assert unpacked(bucket.read("logs", name) or b"") == printed(server, job_id)


def test_what_waits_for_a_sink_that_is_not_set_any_more_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-sink", (tmp_path / "nowhere").as_uri(), command="dev") as server:
        server.spark("run", "--image", "x", "--", "true")
        server.until("no log can be sent to the log sink now")
    with serving(tmp_path, command="dev") as server:
        server.until("logs wait for the log sink, and none is set")


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("/archive/spark", "write file:///archive/spark or s3://bucket/prefix"),
        ("s3://key:s3cr3t@bucket", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("s3://", "this names no bucket"),
    ],
)
def test_an_address_that_is_none_ends_the_start_with_what_to_write(tmp_path: Path, url: str, advice: str) -> None:
    words = [*SPARK, "dev", "--port", "0", "--grpc-port", "none", "--log-sink", url]
    done = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("spark: --log-sink: ")
    assert advice in done.stderr
    assert "s3cr3t" not in done.stderr


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = "import sys; sys.modules['obstore'] = None; from spark_jobs.cli.main import main; main()"
    words = [sys.executable, "-c", program, "dev", "--port", "0", "--grpc-port", "none", "--log-sink", "s3://bucket"]
    done = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "pip install 'spark-jobs[server,s3]'" in done.stderr
    assert "Traceback" not in done.stderr


def doctor(home: Path, url: str) -> tuple[int, dict[str, Any]]:
    """Its exit code, and what it says of the sink: the mark and the words."""
    words = [*SPARK, "doctor", "--cluster", "local", "--data-dir", str(home / "data"), "--log-sink", url]
    done = subprocess.run(words, env=environment(home), capture_output=True, text=True, check=False, timeout=60)
    [line] = [line for line in done.stdout.splitlines() if "log sink" in line]
    mark, _, detail = line.partition("log sink: ")
    return done.returncode, {"mark": mark.strip(), "detail": detail}


def test_doctor_puts_an_object_into_the_folder_and_takes_it_away(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    code, said = doctor(tmp_path, folder.as_uri())
    assert (code, said["mark"]) == (1, "MISSING")
    assert "No such file or directory" in said["detail"]
    folder.mkdir()
    assert doctor(tmp_path, folder.as_uri()) == (0, {"mark": "ok", "detail": folder.as_uri()})
    assert list(folder.iterdir()) == []


def test_doctor_says_what_the_object_store_says(tmp_path: Path, bucket: ObjectStore) -> None:
    bucket.make_bucket("checked")
    assert doctor(tmp_path, "s3://checked/here") == (0, {"mark": "ok", "detail": "s3://checked/here"})
    assert bucket.names("checked") == []
    code, said = doctor(tmp_path, "s3://no-such-bucket/x")
    assert (code, said["mark"]) == (1, "MISSING")
    assert "NoSuchBucket: The specified bucket does not exist" in said["detail"]
    assert json.dumps(said).count("\n") == 0
