"""`spark` with the flags of the first Spark and no command."""

from __future__ import annotations

import pytest

from spark_jobs.cli.original import connection_of
from spark_jobs.domain.state import JobState
from tests.cli.conftest import Spark
from tests.cli.jobs import ID, ended, queued, wire
from tests.cli.scripted import Reply, ScriptedServer, problem

SUBMIT, JOB, LOGS = "POST /v1/jobs", f"GET /v1/jobs/{ID}", f"GET /v1/jobs/{ID}/logs"


def at(server: ScriptedServer) -> tuple[str, ...]:
    """The flags that name this server."""
    return ("--mode", "rest", "--restAddr", server.url.removeprefix("http://"))


def test_the_originals_own_example_queues_a_job_and_prints_its_id(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, Reply(201, wire(queued())))
    done = spark("--mode", "rest", "--image", "busybox:1", "--cmd", "echo 'Hello World'", "--timeout", "60")
    assert (done.code, done.out) == (0, f"{ID}\n")
    assert done.err == f"spark: see `spark get {ID}` and `spark logs -f {ID}`\n"
    assert server.requests[0].json() == {"image": "busybox:1", "command": ["echo", "Hello World"], "timeout": 60.0}


@pytest.mark.parametrize(
    "words",
    [
        ["-image", "busybox:1", "-cmd", "ls -l", "-id", "mine"],
        ["-image=busybox:1", "--cmd=ls -l", "--id=mine"],
        ["--image", "other", "--image", "busybox:1", "-cmd", "ls   -l", "--id", "mine"],
    ],
)
def test_flags_have_one_dash_or_two_and_their_value_after_a_blank_or_an_equals_sign(
    server: ScriptedServer, spark: Spark, words: list[str]
) -> None:
    server.on(SUBMIT, Reply(201, wire(queued())))
    assert spark(*words, *at(server)).code == 0
    assert server.requests[0].json() == {
        "image": "busybox:1",
        "command": ["ls", "-l"],
        "timeout": 30.0,
        "id": "mine",
    }


def test_the_server_picks_the_time_limit_where_it_is_0(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, Reply(201, wire(queued())))
    done = spark("--image", "a", "--cmd", "-x", "--timeout", "0", *at(server))
    assert server.requests[0].json() == {"image": "a", "command": ["-x"]}
    assert "time limit 5m (server default)" in done.err


def test_waiting_shows_the_log_and_ends_with_the_exit_code(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, Reply(201, wire(queued())))
    server.on(LOGS, lambda request: Reply(pieces=[b"out\n"[int(request.one("offset") or 0) :]]))
    server.on(JOB, Reply(200, wire(ended(JobState.FAILED, reason="NonZeroExit", exit_code=7, log=4))))
    done = spark("--wait", "--image", "a", "--cmd", "b", *at(server))
    assert (done.code, done.out) == (7, "out\n")
    assert done.err == f"spark: {ID} FAILED (NonZeroExit), exit code 7, 12 s\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--image", "a"], "--cmd must be given"),
        (["--mode", "rest"], "--image and --cmd must be given"),
        (["--image", "", "--cmd", " "], "--image and --cmd must be given"),
        (["--image", "a", "--cmd", "echo 'b"], "no closing quotation"),
        (["--imag", "a"], "no flag --imag; did you mean --image?"),
        (["--grpcaddr=a"], "did you mean --grpcAddr?"),
        (["-x"], "no flag -x"),
        (["--wait=yes"], "no flag --wait"),
        (["--image", "a", "ls"], "'ls' is neither a command"),
        (["--mode", "grpc", "list"], "`spark list --mode grpc`"),
        (["--image"], "--image needs a value"),
        (["--image", "a", "--cmd", "b", "--mode", "soap"], "write rest or grpc"),
        (["--image", "a", "--cmd", "b", "--timeout", "soon"], "--timeout soon"),
        (["--image", "a", "--cmd", "b", "--mode", "rest", "--restAddr", "grpc://a"], "--mode rest"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_write(spark: Spark, words: list[str], told: str) -> None:
    done = spark(*words)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(done.err.splitlines()) == 1


def test_the_environment_names_the_server_where_no_flag_does(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, Reply(201, wire(queued())))
    job = ("--image", "a", "--cmd", "b")
    assert spark(*job).out == f"{ID}\n"
    assert "--mode grpc" in spark(*job, "--grpcAddr", server.url).err
    assert "--mode grpc" in spark(*job, "--mode", "grpc").err


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "grpc://127.0.0.1:9000"),
        ({"restAddr": "a:81"}, "grpc://127.0.0.1:9000"),
        ({"grpcAddr": "a:91"}, "grpc://a:91"),
        ({"mode": "grpc", "grpcAddr": "grpcs://a"}, "grpcs://a"),
        ({"mode": "rest"}, "http://127.0.0.1:8000"),
        ({"mode": "rest", "restAddr": "a:81", "grpcAddr": "a:91"}, "http://a:81"),
    ],
)
def test_the_default_is_grpc_at_port_9000_unless_something_else_is_said(given: dict[str, str], url: str) -> None:
    assert connection_of(given).address().url == url


def test_a_refusal_has_its_exit_code_here_too(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, problem(401, "unauthenticated", "this server asks for a token"))
    assert spark("--image", "a", "--cmd", "b", *at(server)).code == 77


def test_the_help_names_the_flags_in_short_and_they_have_their_own(spark: Spark) -> None:
    assert '--image busybox:1 --cmd "echo Hello"' in " ".join(spark("--help").out.replace("│", " ").split())
    done = spark("--image", "a", "--help")
    assert done.code == 0
    assert all(f"--{name} " in done.out for name in ("mode", "image", "cmd", "timeout", "id", "grpcAddr", "restAddr"))
