"""The commands against a real server process, over REST and over gRPC: the same words, the same exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cli import conftest
from tests.cli.process import PATIENCE, started
from tests.e2e.server import Server, environment, serving

SHELL = ("--image", "busybox:1", "--timeout", "60", "--", "sh", "-c")
MODES = ("rest", "grpc")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the local cluster and one slot, for all tests of this module."""
    flags = ("--max-concurrent-jobs", "1", "--queue-size", "5")
    with serving(tmp_path_factory.mktemp("home"), *flags, command="dev") as running:
        yield running


class Spark:
    """The command line by one of the two ways: in this process, or as one of its own."""

    def __init__(self, server: Server, mode: str, run: conftest.Spark, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = server.url if mode == "rest" else server.grpc
        self._home = server.home
        self._run = run
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str, expect: int = 0) -> conftest.Result:
        self._monkeypatch.setenv("XDG_STATE_HOME", str(self._home))
        self._monkeypatch.setenv("SPARK_SERVER", self.url)
        done = self._run(*words)
        assert done.code == expect, (words, done)
        return done

    def submit(self, *words: str) -> str:
        """Submit a job; its id."""
        return self("submit", *words).out.strip()

    def begun(self, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """A command as a process of its own; it is gone after the block."""
        return started(*words, env={**environment(self._home), "SPARK_SERVER": self.url})


@pytest.fixture(params=MODES)
def spark(
    server: Server, request: pytest.FixtureRequest, spark: conftest.Spark, monkeypatch: pytest.MonkeyPatch
) -> Spark:
    return Spark(server, request.param, spark, monkeypatch)


def told(text: str, job_id: str) -> str:
    """A line without what differs from run to run."""
    return text.replace(job_id, "JOB").rpartition(", ")[0]


def test_a_run_shows_the_log_and_ends_with_the_exit_code(spark: Spark) -> None:
    done = spark("run", *SHELL, "echo out; echo err >&2; exit 7", expect=7)
    assert sorted(done.out.splitlines()) == ["err", "out"]
    job_id = done.err.split()[1]
    assert told(done.err, job_id) == "spark: JOB FAILED (NonZeroExit), exit code 7"


def test_a_time_limit_ends_a_run_with_124(spark: Spark) -> None:
    done = spark("run", "--image", "a", "--timeout", "200ms", "--", "sleep", "60", expect=124)
    assert "TIMED_OUT (DeadlineExceeded)" in done.err


def test_a_job_is_listed_shown_and_described(spark: Spark) -> None:
    job_id = spark.submit("--name", "Nightly", "-l", f"way={spark.url[:4]}", "-e", "A_TOKEN=hunter2", *SHELL, "echo hi")
    assert spark("wait", job_id).out == ""
    assert spark("list", "-l", f"way={spark.url[:4]}", "--state", "finished", "-o", "name").out == f"{job_id}\n"
    job = json.loads(spark("get", job_id, "-o", "json").out)
    assert (job["state"], job["exit_code"], job["spec"]["env"]) == ("SUCCEEDED", 0, {"A_TOKEN": "***"})
    assert job["attempts"][0]["log"]["bytes"] == 3
    shown = spark("describe", job_id[len("spark-job-") :][:8]).out
    assert "Nightly" in shown
    assert "sh -c 'echo hi'" in shown
    assert spark("logs", job_id).out == "hi\n"
    assert spark("logs", job_id, "--tail", "0").out == ""
    stamp, _, text = spark("logs", job_id, "--timestamps").out.partition(" ")
    assert (stamp[-1], text) == ("Z", "hi\n")


def test_logs_are_searched(spark: Spark) -> None:
    way = f"way={spark.url[:4]}"
    ids = [spark.submit("-l", way, *SHELL, f"echo begin; echo Error {code}; exit {code}") for code in (3, 0)]
    spark("wait", ids[0], expect=3)
    spark("wait", ids[1])
    found = spark("grep", "-l", way, "^Error [0-9]$")
    assert found.out.splitlines() == [f"{ids[1]}:2:Error 0", f"{ids[0]}:2:Error 3"]
    failed = spark("grep", "-i", "-F", "-C", "1", "ERROR", "--state", "FAILED", "-l", way, "--since", "1h")
    assert failed.out.splitlines() == [f"{ids[0]}-1-begin", f"{ids[0]}:2:Error 3"]
    one = spark("grep", "--job", ids[1][len("spark-job-") :][:8], "-o", "json", "Error")
    assert (json.loads(one.out)["job_id"], json.loads(one.out)["found"]["line"]) == (ids[1], 2)
    nothing = spark("grep", "-l", way, "nothing", expect=1)
    assert (nothing.out, nothing.err) == ("", "")
    refused = spark("grep", "((a{100}){100}){100}", expect=2)
    assert refused.err.startswith("spark: PATTERN: ")
    assert "--limit" in spark("grep", "-l", way, "Error", "--limit", "1").err
    assert "there is no job" in spark("grep", "--job", "no-such-job", "x", expect=1).err


@pytest.fixture
def paused(spark: Spark) -> Iterator[None]:
    """No job is started."""
    assert "resume" in spark("queue", "pause").out
    yield
    spark("queue", "resume")


@pytest.mark.usefixtures("paused")
def test_a_full_queue_is_told_and_waited_for(spark: Spark) -> None:
    ids = [spark.submit(*SHELL, "true") for _ in range(5)]
    queue = json.loads(spark("queue", "-o", "json").out)
    assert (queue["depth"], queue["capacity"], queue["paused"]) == (5, 5, True)
    full = spark("submit", "--submit-timeout", "0", *SHELL, "true", expect=75)
    assert "it takes 0 more" in full.err
    assert "--wait-for-room" in full.err
    with spark.begun("submit", "--wait-for-room", "--submit-timeout", "0", *SHELL, "true") as waiting:
        assert waiting.stderr is not None
        assert "waiting for room" in waiting.stderr.readline()
    assert spark("cancel", *ids).out.splitlines() == ids
    assert spark("wait", ids[0], expect=130).out == ""


def test_a_job_is_retried_and_forgotten(spark: Spark) -> None:
    job_id = spark.submit(*SHELL, "exit 3")
    spark("wait", job_id, expect=3)
    again = spark("retry", job_id).out.strip()
    spark("wait", again, expect=3)
    assert json.loads(spark("get", again, "-o", "json").out)["retry_of"] == job_id
    assert spark("delete", job_id, again).out.splitlines() == [job_id, again]
    assert f"there is no job '{job_id}'" in spark("get", job_id, expect=1).err


def test_a_running_job_is_followed_and_cancelled(spark: Spark) -> None:
    job_id = spark.submit(*SHELL, "echo begun; exec sleep 600")
    with spark.begun("logs", "-f", job_id) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "begun\n"
        assert f"{job_id} is being stopped" in spark("cancel", job_id).err
        assert (following.stdout.read(), following.wait(PATIENCE)) == ("", 0)
    spark("wait", job_id, expect=130)


def test_an_interrupted_run_leaves_its_job(spark: Spark) -> None:
    with spark.begun("run", *SHELL, "echo begun; exec sleep 600") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 143
    job_id = err.split()[3]
    spark("cancel", job_id)
    spark("wait", job_id, expect=130)


def test_a_file_of_jobs_is_all_or_none(spark: Spark, tmp_path: Path) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text("".join(f'{{"image": "a", "command": ["true"], "name": "n{number}"}}\n' for number in range(3)))
    ids = spark("submit", "-f", str(file)).out.split()
    names = [json.loads(spark("get", job_id, "-o", "json").out)["spec"]["name"] for job_id in ids]
    assert names == ["n0", "n1", "n2"]
    spark("wait", *ids)
    with file.open("a") as end:
        end.write('{"image": "", "comand": ["x"]}\n{"image": "a", "timeout": -1}\n')
    done = spark("submit", "-f", str(file), expect=2)
    assert done.out == ""
    assert [line.split(": ")[1:3] for line in done.err.splitlines()] == [
        [f"{file}, line 4", "#/jobs/3/comand"],
        [f"{file}, line 4", "#/jobs/3/image"],
        [f"{file}, line 5", "#/jobs/4/timeout"],
    ]


@pytest.mark.parametrize("first", MODES)
def test_a_repeat_by_id_starts_nothing_whichever_way_the_first_one_came(
    server: Server, spark: Spark, first: str
) -> None:
    job_id = f"same-{spark.url[:4]}-{first}"
    words = ("--id", job_id, *SHELL)
    other = {"rest": server.url, "grpc": server.grpc}[first]
    assert spark("run", "--server", other, *words, "echo hi").out == "hi\n"
    assert "nothing was started" in spark("submit", *words, "echo hi", expect=1).err
    assert spark("run", *words, "echo hi").out == "hi\n"
    assert f"there is another job with the id '{job_id}'" in spark("submit", *words, "echo ho", expect=1).err
