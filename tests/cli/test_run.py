"""`spark run` and `spark submit`: what they print where, and how they end."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from spark_jobs.cli import attend
from spark_jobs.domain.job import Attempt, Job, LogState, LogSummary
from spark_jobs.domain.state import JobState
from tests.cli.conftest import Spark
from tests.cli.jobs import ID, ended, queued, spec, wire
from tests.cli.scripted import Reply, Request, ScriptedServer, problem

SUBMIT, JOB, LOGS = "POST /v1/jobs", f"GET /v1/jobs/{ID}", f"GET /v1/jobs/{ID}/logs"
RUN = ("run", "--image", "busybox:1", "--timeout", "5m", "--", "true")


def serve(server: ScriptedServer, job: Job, log: bytes = b"") -> None:
    """Accept a job that ends as this one, with this log."""
    server.on(SUBMIT, Reply(201, wire(queued())))
    server.on(LOGS, lambda request: Reply(pieces=[log[int(request.one("offset") or 0) :]]))
    server.on(JOB, Reply(200, wire(job)))


def test_the_log_alone_is_on_stdout_and_the_end_on_stderr(server: ScriptedServer, spark: Spark) -> None:
    serve(server, ended(JobState.FAILED, reason="NonZeroExit", exit_code=7, log=8), b"out\nerr\n")
    done = spark(*RUN)
    assert done.out == "out\nerr\n"
    assert done.err == f"spark: {ID} FAILED (NonZeroExit), exit code 7, 12 s\n"
    assert done.code == 7


@pytest.mark.parametrize(
    ("job", "code", "told"),
    [
        (ended(), 0, f"{ID} SUCCEEDED, exit code 0, 12 s"),
        (
            ended(JobState.TIMED_OUT, reason="DeadlineExceeded", exit_code=143),
            124,
            "TIMED_OUT (DeadlineExceeded), exit",
        ),
        (ended(JobState.CANCELLED, reason="Cancelled", exit_code=137), 130, "CANCELLED (Cancelled), exit code 137"),
        (ended(JobState.FAILED, reason="ImagePullBackOff", message="no such image", hint="check it"), 125, "check it"),
        (ended(JobState.FAILED, reason="Lost", exit_code=0), 125, "FAILED (Lost)"),
    ],
)
def test_the_exit_code_tells_the_end(server: ScriptedServer, spark: Spark, job: Job, code: int, told: str) -> None:
    serve(server, job)
    done = spark(*RUN)
    assert done.code == code
    assert told in done.err


def test_a_log_that_is_not_whole_is_said_to_be_so(server: ScriptedServer, spark: Spark) -> None:
    log = LogSummary(bytes=0, state=LogState.INCOMPLETE, problem="cut at byte 5")
    serve(server, ended(attempts=[Attempt(attempt=1, state=JobState.SUCCEEDED, cluster="fake", log=log)]))
    assert "the log of attempt 1 is incomplete: cut at byte 5" in spark(*RUN).err


def test_quiet_says_nothing_of_a_good_run(server: ScriptedServer, spark: Spark) -> None:
    serve(server, ended(log=3), b"hi\n")
    done = spark("run", "-q", "--image", "busybox:1", "true")
    assert (done.out, done.err, done.code) == ("hi\n", "", 0)


def test_bytes_that_are_no_text_come_out_as_they_are(
    server: ScriptedServer, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    from spark_jobs.cli.main import main

    serve(server, ended(log=6), b"\xff\x00\x1b[1m")
    with pytest.raises(SystemExit):
        main(list(RUN))
    assert capfdbinary.readouterr().out == b"\xff\x00\x1b[1m"


@pytest.mark.parametrize(
    ("limit", "told"),
    [(300.0, "time limit 5m (server default)"), ("none", "no time limit (server default)")],
)
def test_the_time_limit_is_told_when_none_was_given(
    server: ScriptedServer, spark: Spark, limit: float | str, told: str
) -> None:
    server.on(SUBMIT, Reply(201, wire(queued(spec=spec(timeout=limit)))))
    assert spark("submit", "--image", "a").err == f"spark: {told}\n"
    assert spark("submit", "--image", "a", "--timeout", "5m").err == ""


def test_submit_prints_the_id_alone(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, Reply(201, wire(queued())))
    assert spark("submit", "--image", "a").out == f"{ID}\n"
    assert spark("run", "-d", "--image", "a").out == f"{ID}\n"


def test_a_repeated_submission_of_a_job_that_is_over_starts_nothing_and_fails(
    server: ScriptedServer, spark: Spark
) -> None:
    server.on(SUBMIT, Reply(200, wire(ended()), {"Spark-Replayed": "true"}))
    done = spark("submit", "--image", "a", "--id", ID)
    assert done.code == 1
    assert f"job {ID} exists since 2031-05-04T12:00:00Z (SUCCEEDED): nothing was started" in done.err


def test_a_repeated_run_attaches_to_the_job_again(server: ScriptedServer, spark: Spark) -> None:
    serve(server, ended(log=3), b"hi\n")
    server.on(SUBMIT, Reply(200, wire(ended()), {"Spark-Replayed": "true"}))
    done = spark("run", "--image", "a", "--id", ID, "true")
    assert (done.code, done.out) == (0, "hi\n")
    assert "nothing was started" in done.err


def test_the_final_job_goes_into_the_result_file(server: ScriptedServer, spark: Spark, tmp_path: Path) -> None:
    serve(server, ended(result="42"))
    spark(*RUN[:1], "--result", str(tmp_path / "job.json"), *RUN[1:])
    job = json.loads((tmp_path / "job.json").read_text())
    assert (job["id"], job["state"], job["result"], job["spec"]["timeout"]) == (ID, "SUCCEEDED", "42", 300)


def test_a_result_file_that_can_not_be_is_refused_before_anything_runs(
    server: ScriptedServer, spark: Spark, tmp_path: Path
) -> None:
    done = spark("run", "--result", str(tmp_path / "no" / "job.json"), "--image", "a")
    assert done.code == 2
    assert server.requests == []


def test_every_fault_has_a_line_of_its_own(server: ScriptedServer, spark: Spark) -> None:
    faults = [
        {"pointer": "#/env/PORT", "detail": 'got the number 8080, write "8080"', "code": "type"},
        {"pointer": "#/memory", "detail": "not\x1b[2J a quantity", "code": "quantity"},
    ]
    server.on(SUBMIT, problem(422, "invalid_spec", "two faults", errors=faults))
    done = spark("submit", "--image", "a")
    assert done.code == 2
    assert done.err.splitlines() == [
        'spark: #/env/PORT: got the number 8080, write "8080"',
        r"spark: #/memory: not\x1b[2J a quantity",
    ]


@pytest.mark.parametrize(
    ("reply", "code", "told"),
    [
        (problem(429, "queue_full", "the queue is full", free=0), 75, "the queue is full"),
        (problem(503, "draining", "about to stop"), 75, "about to stop"),
        (problem(401, "unauthenticated", "this server asks for a token"), 77, "a token"),
        (problem(403, "forbidden_origin", "another origin"), 77, "another origin"),
        (problem(409, "id_conflict", "the id belongs to another job"), 1, "another job"),
        (problem(500, "internal", "a fault"), 1, "a fault"),
        (Reply(hang_up=True), 69, "no Spark server answers"),
    ],
)
def test_a_refusal_has_its_exit_code(server: ScriptedServer, spark: Spark, reply: Reply, code: int, told: str) -> None:
    server.on(SUBMIT, reply)
    done = spark("submit", "--submit-timeout", "0", "--image", "a", "--timeout", "1")
    assert done.code == code
    assert told in done.err
    assert done.out == ""


def test_no_server_is_one_line_that_names_the_ways_out(spark: Spark) -> None:
    done = spark("get", "--server", "http://127.0.0.1:9", ID)
    assert done.code == 69
    [line] = done.err.splitlines()
    assert all(way in line for way in ("127.0.0.1:9", "`spark dev`", "`spark server`", "--standalone"))


def test_contact_that_stays_lost_is_no_success(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, Reply(201, wire(queued())))
    server.on(LOGS, Reply(pieces=[b"half\n"], broken=True), Reply(hang_up=True))
    done = spark("run", "--reconnect-timeout", "300ms", "--image", "a", "--timeout", "1", "true")
    assert done.code == 69
    assert done.out == "half\n"


def test_an_interrupt_leaves_the_job_and_says_how_to_come_back(
    server: ScriptedServer, spark: Spark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "SECOND_INTERRUPT", 0.05)
    interrupt_at_log(server, signal.SIGINT)
    done = spark(*RUN)
    assert done.code == 130
    assert f"spark logs -f {ID}" in done.err
    assert {request.method for request in server.requests} == {"GET", "POST"}
    assert server.asked(f"POST /v1/jobs/{ID}/cancel") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_leaves_the_job_at_once(server: ScriptedServer, spark: Spark, number: signal.Signals) -> None:
    interrupt_at_log(server, number)
    assert spark(*RUN).code == 143
    assert server.asked(f"POST /v1/jobs/{ID}/cancel") == []


def test_an_interrupt_cancels_where_that_was_asked_for(server: ScriptedServer, spark: Spark) -> None:
    over = interrupt_at_log(server, signal.SIGINT)
    cancelled = ended(JobState.CANCELLED, reason="Cancelled", exit_code=143, log=6)
    server.on(JOB, Reply(200, wire(cancelled)))

    def cancel(_: Request) -> Reply:
        over.set()
        return Reply(202, wire(queued(state=JobState.RUNNING)))

    server.on(f"POST /v1/jobs/{ID}/cancel", cancel)
    done = spark("run", "--on-interrupt", "cancel", *RUN[1:])
    assert done.code == 130
    assert done.out == "begin\n"
    assert f"{ID} CANCELLED (Cancelled), exit code 143" in done.err


def interrupt_at_log(server: ScriptedServer, number: int) -> threading.Event:
    """Accept a job whose log begins and goes on until the event is set; then this process gets the signal."""
    over = threading.Event()

    def log(request: Request) -> Reply:
        if request.one("offset") == "6":
            os.kill(os.getpid(), number)
            over.wait(5)
            return Reply(pieces=[])
        return Reply(pieces=[b"begin\n"])

    server.on(SUBMIT, Reply(201, wire(queued())))
    server.on(LOGS, log)
    server.on(JOB, Reply(200, wire(queued(state=JobState.RUNNING))))
    return over


@pytest.mark.parametrize("flag", ["-i", "-t", "-it", "--tty"])
def test_a_terminal_is_refused_with_a_way_out(server: ScriptedServer, spark: Spark, flag: str) -> None:
    done = spark("run", flag, "--image", "a", "sh")
    assert (done.code, server.requests) == (2, [])
    assert "kubectl exec" in done.err


def test_nothing_to_run_is_a_usage_error(spark: Spark) -> None:
    assert spark("run").code == 2


BATCH = "POST /v1/jobs/batch"


def many(folder: Path, count: int) -> str:
    """A file of jobs; the name of its path."""
    file = folder / "jobs.jsonl"
    file.write_text("".join(f'{{"image": "a{number}", "id": "job-{number}"}}\n\n' for number in range(count)))
    return str(file)


def test_several_jobs_are_submitted_as_one_batch(server: ScriptedServer, spark: Spark, tmp_path: Path) -> None:
    server.on(BATCH, Reply(201, {"jobs": [wire(queued("job-0")), wire(queued("job-1"))]}))
    file = many(tmp_path, 2)
    done = spark("submit", "-f", file, "--cpu", "2")
    assert (done.code, done.out) == (0, "job-0\njob-1\n")
    assert done.err == "spark: time limit 5m (server default)\n"
    [request] = server.requests
    assert request.json() == {"jobs": [{"image": f"a{at}", "id": f"job-{at}", "cpu": "2"} for at in range(2)]}
    assert spark("run", "-f", file).code == 2


def test_one_job_in_a_file_is_submitted_alone(server: ScriptedServer, spark: Spark, tmp_path: Path) -> None:
    server.on(SUBMIT, Reply(201, wire(queued())))
    assert spark("submit", "-f", many(tmp_path, 1)).out == f"{ID}\n"


def test_jobs_of_a_batch_that_were_there_already_are_told(server: ScriptedServer, spark: Spark, tmp_path: Path) -> None:
    jobs = [wire(ended(job_id="job-0")), wire(queued("job-1", state=JobState.RUNNING))]
    server.on(BATCH, Reply(201, {"jobs": jobs, "replayed": ["job-0", "job-1"]}))
    done = spark("submit", "-f", many(tmp_path, 2))
    assert (done.code, done.out) == (1, "job-0\njob-1\n")
    assert [line.partition(" exists")[0] for line in done.err.splitlines()] == ["spark: job job-0", "spark: job job-1"]


def test_a_fault_of_a_batch_is_named_by_its_place_in_the_file(
    server: ScriptedServer, spark: Spark, tmp_path: Path
) -> None:
    faults = [
        {"pointer": "#/jobs/1/image", "detail": "is empty", "code": "x"},
        {"pointer": "#/jobs/0", "detail": "is no job", "code": "x"},
        {"pointer": "#/jobs", "detail": "too many", "code": "x"},
    ]
    server.on(BATCH, problem(422, "invalid_spec", "faults", errors=faults))
    file = many(tmp_path, 2)
    done = spark("submit", "-f", file)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        f"spark: {file}, line 3: #/jobs/1/image: is empty",
        f"spark: {file}, line 1: #/jobs/0: is no job",
        "spark: #/jobs: too many",
    ]


def test_more_jobs_than_one_batch_takes_are_refused_here(server: ScriptedServer, spark: Spark, tmp_path: Path) -> None:
    done = spark("submit", "-f", many(tmp_path, 1001))
    assert (done.code, server.requests) == (2, [])
    assert "1001 jobs" in done.err
    assert "split the file" in done.err


FULL = problem(429, "queue_full", "the queue has no room: it takes 0 more", free=0, headers={"Retry-After": "0"})


@pytest.mark.parametrize("command", ["submit", "run"])
def test_room_is_waited_for_beyond_the_time_for_submission_and_said_once(
    server: ScriptedServer, spark: Spark, command: str
) -> None:
    serve(server, ended(log=3), b"hi\n")
    server.on(SUBMIT, FULL, FULL, Reply(201, wire(queued())))
    done = spark(command, "--wait-for-room", "--submit-timeout", "0", "--image", "a", "--timeout", "1")
    assert done.code == 0
    assert len(server.asked(SUBMIT)) == 3
    first = "spark: the queue has no room: it takes 0 more; waiting for room, asking again in 0 s"
    assert [line for line in done.err.splitlines() if "room" in line] == [first]


def test_waiting_for_room_keeps_the_time_for_submission_for_other_errors(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, FULL, Reply(hang_up=True))
    done = spark("submit", "--wait-for-room", "--submit-timeout", "0", "--image", "a", "--timeout", "1")
    assert done.code == 69


def test_a_full_queue_names_the_flag_that_waits(server: ScriptedServer, spark: Spark) -> None:
    server.on(SUBMIT, FULL)
    done = spark("submit", "--submit-timeout", "0", "--image", "a", "--timeout", "1")
    assert done.code == 75
    assert "--wait-for-room" in done.err
