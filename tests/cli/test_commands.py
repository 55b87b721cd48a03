"""The commands beside run and submit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from ruamel.yaml import YAML

from spark_jobs.domain.job import Activity, Attempt, LogState, LogSummary
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from tests.cli.conftest import Spark
from tests.cli.jobs import ID, ended, queued, wire
from tests.cli.scripted import Reply, Request, ScriptedServer, problem

JOB, LIST = f"GET /v1/jobs/{ID}", "GET /v1/jobs"
EVIL = "a\x1b[2Jb\u202ec\nd"


def page(*jobs: object) -> Reply:
    """One page of jobs."""
    return Reply(200, {"jobs": list(jobs), "next_page_token": None})


def test_a_list_has_the_columns_of_the_contract(server: ScriptedServer, spark: Spark) -> None:
    now = datetime.now(UTC)
    failed = ended(
        JobState.FAILED,
        reason="OOMKilled",
        exit_code=137,
        created_at=now - timedelta(hours=2, minutes=5),
        started_at=now - timedelta(hours=2),
        finished_at=now - timedelta(minutes=115),
    )
    server.on(LIST, page(wire(failed), wire(queued("second", spec=JobSpec(image="b", name="Nightly")))))
    lines = spark("list").out.splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATE", "REASON", "EXIT", "AGE", "DURATION"]
    assert lines[1].split() == [ID, "FAILED", "OOMKilled", "137", "2h5m", "5m"]
    assert lines[2].split()[:3] == ["second", "Nightly", "QUEUED"]


def test_a_list_passes_its_filters_on(server: ScriptedServer, spark: Spark) -> None:
    server.on(LIST, page())
    spark("list", "-l", "a=b", "-l", "c", "--state", "active", "--state", "FAILED", "--since", "2h", "--limit", "7")
    [request] = server.requests
    assert request.query == {
        "label": ["a=b", "c"],
        "state": ["active", "FAILED"],
        "since": ["2h"],
        "page_size": ["7"],
    }


def test_twenty_jobs_are_listed_unless_more_are_asked_for(server: ScriptedServer, spark: Spark) -> None:
    server.on(LIST, page())
    spark("list")
    assert server.requests[0].one("page_size") == "20"


def test_jobs_come_as_json_yaml_and_names(server: ScriptedServer, spark: Spark) -> None:
    server.on(LIST, page(wire(ended())))
    server.on(JOB, Reply(200, wire(ended())))
    listed = json.loads(spark("list", "-o", "json").out)["jobs"]
    assert listed[0]["id"] == ID
    assert "attempts" not in listed[0]
    assert "env" not in listed[0]["spec"]
    one = json.loads(spark("get", ID, "-o", "json").out)
    assert set(one) == set(wire(ended()))
    assert one["spec"]["timeout"] == 300
    assert YAML(typ="safe").load(spark("get", ID, "-o", "yaml").out) == one
    assert [job["id"] for job in json.loads(spark("get", ID, ID, "-o", "json").out)["jobs"]] == [ID, ID]
    assert spark("list", "-o", "name").out == f"{ID}\n"
    assert "busybox:1" in spark("list", "-o", "wide").out


@pytest.mark.parametrize("command", [["list"], ["list", "-o", "wide"], ["get", ID], ["describe", ID]])
def test_user_text_never_reaches_the_terminal_raw(server: ScriptedServer, spark: Spark, command: list[str]) -> None:
    spec = JobSpec(image=EVIL, name=EVIL, command=[EVIL], labels={EVIL: EVIL}, env={EVIL: EVIL})
    job = ended(JobState.FAILED, reason="Lost", message=EVIL, hint=EVIL, result=EVIL, spec=spec)
    server.on(LIST, page(wire(job)))
    server.on(JOB, Reply(200, wire(job)))
    shown = spark(*command).out
    assert r"a\x1b[2Jb\u202ec\nd" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_documents_hold_the_same_text_without_anything_raw(server: ScriptedServer, spark: Spark, output: str) -> None:
    evil = "a\x1b[2J\x7f\x9b\u202e"
    server.on(JOB, Reply(200, wire(ended(message=evil))))
    shown = spark("get", ID, "-o", output).out
    assert not {"\x1b", "\x7f", "\x9b", "\u202e"} & set(shown)
    assert YAML(typ="safe").load(shown)["message"] == evil


def test_a_description_tells_state_spec_and_attempts(server: ScriptedServer, spark: Spark) -> None:
    log = LogSummary(bytes=8, lines=2, state=LogState.UNVERIFIED, problem="the node was away")
    attempt = Attempt(attempt=1, state=JobState.FAILED, reason="Evicted", cluster="kubernetes", pod="p-1", log=log)
    job = queued(
        activity=Activity.BACKOFF, position=3, attempts=[attempt], spec=JobSpec(image="a", command=["a b", "c"])
    )
    server.on(JOB, Reply(200, wire(job)))
    shown = [" ".join(line.split()) for line in spark("describe", ID).out.splitlines()]
    for line in ("State: QUEUED", "Activity: backoff", "Queue position: 3", "command: 'a b' c"):
        assert line in shown
    whole = "\n".join(shown)
    for text in ("FAILED (Evicted)", "p-1", "8 bytes, 2 lines", "the node was away"):
        assert text in whole


def test_a_job_that_is_not_there_is_told_with_exit_code_1(server: ScriptedServer, spark: Spark) -> None:
    server.on(JOB, problem(404, "job_not_found", f"there is no job {ID}"))
    done = spark("get", ID)
    assert (done.code, done.out, done.err) == (1, "", f"spark: there is no job {ID}\n")


def test_watching_prints_a_line_for_each_change_until_the_end(
    server: ScriptedServer, spark: Spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_jobs.cli.jobs.WATCH_EVERY", 0.0)
    running = wire(queued(state=JobState.RUNNING))
    server.on(JOB, *(Reply(200, job) for job in (wire(queued()), wire(queued()), running, wire(ended()))))
    lines = spark("get", ID, "-w").out.splitlines()
    assert [line.split()[1] for line in lines] == ["NAME", "QUEUED", "RUNNING", "SUCCEEDED"]


def test_a_log_comes_out_as_it_is_and_ends_with_0(server: ScriptedServer, spark: Spark) -> None:
    server.on(f"{JOB}/logs", Reply(pieces=[b"one\n", b"two"]))
    server.on(JOB, Reply(200, wire(ended(JobState.FAILED, exit_code=7))))
    done = spark("logs", ID, "--attempt", "2")
    assert (done.code, done.out, done.err) == (0, "one\ntwo", "")
    [request] = server.asked(f"{JOB}/logs")
    assert request.query == {"attempt": ["2"]}


def test_the_server_says_where_a_part_begins_before_it_is_read(server: ScriptedServer, spark: Spark) -> None:
    line = b'{"attempt":2,"offset":30,"time":"2031-05-04T12:00:00.000000000Z","text":"one\\n"}\n'
    place = Reply(pieces=[b"id: 2-30\n\n"], headers={"Content-Type": "text/event-stream"})
    server.on(f"{JOB}/logs", place, Reply(pieces=[line]))
    server.on(JOB, Reply(200, wire(ended())))
    done = spark("logs", ID, "--attempt", "2", "--tail", "5", "--since", "10m", "--timestamps")
    assert (done.code, done.out, done.err) == (0, "2031-05-04T12:00:00.000000000Z one\n", "")
    asked = [request.query for request in server.asked(f"{JOB}/logs")]
    assert asked == [{"attempt": ["2"], "tail": ["5"], "since": ["10m"]}, {"attempt": ["2"], "offset": ["30"]}]


def test_a_followed_log_ends_with_0_whatever_the_job_did(server: ScriptedServer, spark: Spark) -> None:
    server.on(f"{JOB}/logs", Reply(pieces=[b"one\n"]), Reply(pieces=[]))
    server.on(JOB, Reply(200, wire(ended(JobState.FAILED, exit_code=7, log=4))))
    done = spark("logs", "-f", ID)
    assert (done.code, done.out) == (0, "one\n")


def test_a_job_that_has_not_started_has_no_log_yet(server: ScriptedServer, spark: Spark) -> None:
    server.on(f"{JOB}/logs", Reply(pieces=[]))
    server.on(JOB, Reply(200, wire(queued())))
    done = spark("logs", ID)
    assert (done.code, done.out) == (0, "")
    assert "QUEUED" in done.err


def test_all_attempts_are_printed_and_only_stderr_says_where_one_begins(server: ScriptedServer, spark: Spark) -> None:
    attempts = [
        Attempt(attempt=number, state=JobState.FAILED, cluster="fake", log=LogSummary(bytes=2, state=LogState.COMPLETE))
        for number in (1, 2)
    ]

    def log(request: Request) -> Reply:
        whole = b"%b\n" % (request.one("attempt") or "latest").encode()
        return Reply(pieces=[whole[int(request.one("offset") or 0) :]])

    server.on(f"{JOB}/logs", log)
    server.on(JOB, Reply(200, wire(ended(JobState.FAILED, exit_code=7, attempts=attempts))))
    for follow in ([], ["-f"]):
        done = spark("logs", ID, "--all-attempts", *follow)
        assert (done.code, done.out) == (0, "1\n2\n")
        assert done.err == "spark: attempt 1\nspark: attempt 2\n"
    refused = spark("logs", ID, "--all-attempts", "--attempt", "1")
    assert (refused.code, refused.out) == (2, "")
    assert "--all-attempts" in refused.err


def test_following_a_job_that_waits_says_so(server: ScriptedServer, spark: Spark) -> None:
    server.on(f"{JOB}/logs", Reply(pieces=[]))
    server.on(JOB, Reply(200, wire(queued())), Reply(200, wire(queued(state=JobState.CANCELLED))))
    done = spark("logs", "-f", ID)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == [
        f"spark: {ID} is QUEUED; its log follows when it starts",
        f"spark: {ID} is CANCELLED and has not started, so it has no log",
    ]


def test_a_job_that_is_deleted_while_its_log_is_followed_is_said_so(server: ScriptedServer, spark: Spark) -> None:
    server.on(
        f"{JOB}/logs", Reply(pieces=[b"one\n"], broken=True), problem(404, "job_not_found", "there is no such job")
    )
    server.on(JOB, Reply(200, wire(ended())), problem(404, "job_not_found", "there is no such job"))
    done = spark("logs", "-f", ID)
    assert (done.code, done.out) == (1, "one\n")
    assert "was deleted while its log was read" in done.err


def test_lines_of_json_are_printed_as_they_come(server: ScriptedServer, spark: Spark) -> None:
    line = b'{"attempt":1,"offset":0,"time":null,"text":"one\\n"}\n'
    server.on(f"{JOB}/logs", Reply(pieces=[line]))
    server.on(JOB, Reply(200, wire(ended())))
    done = spark("logs", ID, "-o", "json")
    assert (done.code, done.out.encode()) == (0, line)
    [request] = server.asked(f"{JOB}/logs")
    assert "application/x-ndjson" in request.headers["accept"]


@pytest.mark.parametrize(
    ("state", "exit_code", "code"),
    [(JobState.SUCCEEDED, 0, 0), (JobState.FAILED, 7, 7), (JobState.FAILED, None, 125), (JobState.TIMED_OUT, 143, 124)],
)
def test_waiting_for_one_job_ends_with_its_exit_code(
    server: ScriptedServer, spark: Spark, state: JobState, exit_code: int | None, code: int
) -> None:
    server.on(JOB, Reply(200, wire(queued())), Reply(200, wire(ended(state, exit_code=exit_code))))
    done = spark("wait", ID)
    assert (done.code, done.out) == (code, "")
    assert f"{ID} {state}" in done.err


def test_waiting_for_several_ends_with_the_highest(server: ScriptedServer, spark: Spark) -> None:
    for name, code in (("a", 3), ("b", 0), ("c", 9)):
        state = JobState.FAILED if code else JobState.SUCCEEDED
        server.on(f"GET /v1/jobs/{name}", Reply(200, wire(ended(state, job_id=name, exit_code=code))))
    assert spark("wait", "a", "b", "c").code == 9
    assert spark("wait", "b", "b").code == 0


def test_waiting_for_any_ends_with_the_first(server: ScriptedServer, spark: Spark) -> None:
    server.on("GET /v1/jobs/a", Reply(200, wire(queued("a"))))
    server.on("GET /v1/jobs/b", Reply(200, wire(ended(JobState.FAILED, job_id="b", exit_code=3))))
    done = spark("wait", "--any", "a", "b")
    assert done.code == 3
    assert len(done.err.splitlines()) == 1


def test_a_wait_that_is_over_says_so_and_leaves_the_jobs(server: ScriptedServer, spark: Spark) -> None:
    server.on(JOB, Reply(200, wire(queued())))
    done = spark("wait", "--timeout", "50ms", ID)
    assert done.code == 75
    assert "1 of 1" in done.err


def test_jobs_are_cancelled_one_by_one_and_a_refusal_stops_none(server: ScriptedServer, spark: Spark) -> None:
    for name in ("a", "b", "c"):
        server.on(f"GET /v1/jobs/{name}", Reply(200, wire(queued(name))))
    server.on("POST /v1/jobs/a/cancel", Reply(200, wire(queued("a", state=JobState.CANCELLED))))
    server.on("POST /v1/jobs/b/cancel", problem(409, "not_cancellable", "b is over"))
    server.on("POST /v1/jobs/c/cancel", Reply(202, wire(queued("c", state=JobState.RUNNING))))
    done = spark("cancel", "a", "b", "c")
    assert (done.code, done.out) == (1, "a\nc\n")
    assert done.err.splitlines() == ["spark: a is CANCELLED", "spark: b is over", "spark: c is being stopped"]


def test_a_retry_prints_the_new_id(server: ScriptedServer, spark: Spark) -> None:
    server.on(f"POST /v1/jobs/{ID}/retry", Reply(201, wire(queued("next", retry_of=ID))))
    assert spark("retry", ID).out == "next\n"


def test_a_delete_prints_the_id(server: ScriptedServer, spark: Spark) -> None:
    server.on(f"DELETE /v1/jobs/{ID}", Reply(204))
    assert spark("delete", ID).out == f"{ID}\n"


def test_a_delete_waits_for_objects_that_are_still_to_go_but_not_for_the_end(
    server: ScriptedServer, spark: Spark
) -> None:
    refusal = problem(409, "not_deletable", "not yet")
    server.on(f"DELETE /v1/jobs/{ID}", refusal, refusal, Reply(204))
    server.on(JOB, Reply(200, wire(ended())))
    assert spark("delete", ID).out == f"{ID}\n"
    server.on(f"DELETE /v1/jobs/{ID}", refusal)
    server.on(JOB, Reply(200, wire(queued(state=JobState.RUNNING))))
    done = spark("delete", ID)
    assert (done.code, done.out, done.err) == (1, "", "spark: not yet\n")


def test_the_queue_is_shown_paused_and_resumed(server: ScriptedServer, spark: Spark) -> None:
    def status(request: Request) -> Reply:
        view = {"depth": 3, "backoff": 0, "capacity": 10, "running": 2, "slots": 5, "oldest_wait": 61.0}
        return Reply(200, view | {"paused": request.path.endswith("pause"), "limiter_wait": 0.0})

    for what in ("GET /v1/queue", "POST /v1/queue/pause", "POST /v1/queue/resume"):
        server.on(what, status)
    assert "3 of 10" in spark("queue").out
    assert "1 min 1 s" in spark("queue", "resume").out
    assert "spark queue resume" in spark("queue", "pause").out
    assert json.loads(spark("queue", "-o", "json").out)["slots"] == 5
    assert spark("queue", "stop").code == 2


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["runn"], "Did you mean 'run'"),
        (["get"], "Missing argument 'JOB...'"),
        (["get", "a", "--no-such"], "No such option"),
        (["list", "-o", "xml"], "'xml' is not one of"),
        (["wait", ID, "--timeout", "soon"], "--timeout soon"),
        (["get", ID, "--server", "http://x", "--mode", "grpc"], "--mode grpc"),
        (["list", "--mode", "soap"], "'soap' is not one of"),
    ],
)
def test_a_usage_error_is_told_without_a_traceback(spark: Spark, command: list[str], told: str) -> None:
    done = spark(*command)
    assert done.code == 2
    assert told in done.err
    assert all(line.startswith("spark: ") for line in done.err.splitlines())


def test_help_and_version_end_with_0(spark: Spark) -> None:
    assert "Run a container, show its output" in spark("--help").out
    assert spark().code == 0
    assert spark("--version").out == spark("version").out
