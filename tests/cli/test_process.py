"""What only a process of its own shows: what is imported, signals from outside, a pipe that closes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest

from spark_jobs.domain.state import JobState
from tests.cli.jobs import ID, ended, queued, wire
from tests.cli.process import bounded, started
from tests.cli.scripted import Reply, Request, ScriptedServer
from tests.e2e.server import SPARK

JOB = f"GET /v1/jobs/{ID}"
TYPER = {"spark_jobs", "typer", "annotated_doc", "shellingham"}
CLIENT = TYPER | {
    "msgspec",
    "typing_extensions",
    "httpx2",
    "httpcore2",
    "h11",
    "anyio",
    "sniffio",
    "idna",
    "truststore",
}


def modules_after(code: str) -> set[str]:
    """The modules that are loaded after this code has run."""
    code = f"import sys; before = set(sys.modules); {code}; print('\\n'.join(sorted(set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return set(done.stdout.splitlines())


def test_the_entry_point_imports_typer_and_the_standard_library_only() -> None:
    found = modules_after("import spark_jobs.cli.main")
    ours = {name for name in found if name.startswith("spark_jobs")}
    assert ours == {"spark_jobs", "spark_jobs.cli", "spark_jobs.cli.grouped", "spark_jobs.cli.main"}
    of_typer = modules_after("import typer, typer.core")
    rest = {name.partition(".")[0] for name in found - ours - of_typer} - sys.stdlib_module_names
    assert rest == set()


def run_and_list(*words: str) -> tuple[list[str], set[str]]:
    """What `spark` prints, and the packages beside the standard library that it has imported by its end."""
    code = "import sys; begun = set(sys.modules); import atexit, spark_jobs.cli.main as cli; "
    code += "atexit.register(lambda: print(*set(sys.modules) - begun)); cli.main()"
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    *shown, modules = done.stdout.splitlines()
    return shown, {name.partition(".")[0] for name in modules.split()} - sys.stdlib_module_names


def test_help_is_shown_in_its_groups_without_what_only_makes_it_pretty() -> None:
    shown, packages = run_and_list("--help")
    assert [line for line in shown if line.endswith(":")] == ["Jobs:", "Jobs under way:", "Server:", "Options:"]
    assert {"spark_jobs"} <= packages <= TYPER


@pytest.mark.parametrize(
    ("words", "packages"),
    [
        (["version"], TYPER),
        (["logs", "--help"], TYPER | {"msgspec", "typing_extensions"}),
        (["logs", ID], CLIENT),
        (["logs", "-f", ID], CLIENT),
        (["get", ID], CLIENT),
        (["list"], CLIENT),
    ],
)
def test_a_command_imports_no_package_that_it_does_not_need(
    server: ScriptedServer, words: list[str], packages: set[str]
) -> None:
    """Imports are what a command's start consists of. A package that is new here has to be worth its time."""
    server.on("GET /v1/jobs", Reply(200, {"jobs": [wire(ended())], "next_page_token": None}))
    server.on(JOB, Reply(200, wire(ended(log=3))))
    server.on(f"{JOB}/logs", Reply(pieces=[b"hi\n"]), Reply(pieces=[]))
    shown, found = run_and_list(*words)
    assert shown
    assert {"spark_jobs"} <= found <= packages


@pytest.mark.parametrize("words", [["list", "--name", "\udcff"], ["run", "--image", "x", "--", "echo", "a\udcff"]])
def test_words_that_are_not_utf_8_are_refused_before_anything_is_asked(words: list[str]) -> None:
    done = subprocess.run([*SPARK, *words], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not UTF-8 text" in done.stderr


def test_a_client_command_imports_nothing_of_the_server() -> None:
    found = {name.partition(".")[0] for name in modules_after("import spark_jobs.cli.run, spark_jobs.cli.jobs")}
    assert not {"litestar", "uvicorn", "sqlalchemy", "aiohttp", "alembic", "structlog", "zstandard"} & found
    assert not {"grpc", "google", "httpx2"} & found


@pytest.mark.parametrize(
    ("server", "there", "missing"), [("http://a", "httpx2", {"grpc", "google"}), ("grpc://a", "grpc", {"httpx2"})]
)
def test_a_client_imports_the_packages_of_one_interface_alone(server: str, there: str, missing: set[str]) -> None:
    found = {name.partition(".")[0] for name in modules_after(f"import spark_jobs; spark_jobs.Client({server!r})")}
    assert there in found
    assert not missing & found


def test_nothing_but_our_words_comes_of_a_connection_that_fails(server: ScriptedServer) -> None:
    # gRPC's core has a lot to say about a failed handshake, on stderr.
    with started("get", ID, "--server", f"grpcs://127.0.0.1:{server.port}") as spark:
        _, err = spark.communicate(timeout=30)
        assert spark.returncode == 69
    assert [line.partition(" answers at")[0] for line in err.splitlines()] == ["spark: no Spark server"]
    assert "write grpc://" in err


def test_a_second_interrupt_cancels_the_job(server: ScriptedServer) -> None:
    followed, cancelled = threading.Event(), threading.Event()

    def cancel(_: Request) -> Reply:
        server.on(JOB, Reply(200, wire(ended(JobState.CANCELLED, reason="Cancelled", exit_code=143))))
        cancelled.set()
        return Reply(202, wire(queued(state=JobState.RUNNING)))

    def log(_: Request) -> Reply:
        followed.set()
        cancelled.wait(10)
        return Reply(pieces=[])

    server.on("POST /v1/jobs", Reply(201, wire(queued())))
    server.on(f"{JOB}/logs", log)
    server.on(JOB, Reply(200, wire(queued(state=JobState.RUNNING))))
    server.on(f"POST /v1/jobs/{ID}/cancel", cancel)
    with started("run", "--image", "a", "true") as spark:
        assert spark.stderr is not None
        assert "time limit" in spark.stderr.readline()
        assert followed.wait(10)
        spark.send_signal(signal.SIGINT)
        assert "Ctrl-C again within 2 s cancels it" in spark.stderr.readline()
        spark.send_signal(signal.SIGINT)
        assert spark.wait(10) == 130
        assert "cancelling" in spark.stderr.readline()
        assert f"{ID} CANCELLED (Cancelled), exit code 143" in spark.stderr.read()
    assert cancelled.is_set()


@pytest.mark.parametrize("flags", [("--on-interrupt", "cancel"), ()])
def test_nohup_keeps_a_hangup_from_a_run(server: ScriptedServer, flags: Sequence[str]) -> None:
    followed, hung_up = threading.Event(), threading.Event()

    def log(_: Request) -> Reply:
        followed.set()
        hung_up.wait(10)
        server.on(JOB, Reply(200, wire(ended())))
        return Reply(pieces=[])

    server.on("POST /v1/jobs", Reply(201, wire(queued())))
    server.on(f"{JOB}/logs", log)
    server.on(JOB, Reply(200, wire(queued(state=JobState.RUNNING))))
    with started("run", *flags, "--image", "a", "true", shell='trap "" HUP; exec "$@"') as spark:
        assert followed.wait(10)
        spark.send_signal(signal.SIGHUP)
        hung_up.set()
        spark.communicate(timeout=10)
    assert spark.returncode == 0
    assert not server.asked(f"POST /v1/jobs/{ID}/cancel")


def test_a_server_that_is_lost_after_an_interrupt_is_told(server: ScriptedServer) -> None:
    followed = threading.Event()

    def cancel(_: Request) -> Reply:
        server.on(JOB, Reply(hang_up=True))
        server.on(f"{JOB}/logs", Reply(hang_up=True))
        return Reply(202, wire(queued(state=JobState.RUNNING)))

    def log(_: Request) -> Reply:
        followed.set()
        return Reply(pieces=[])

    server.on("POST /v1/jobs", Reply(201, wire(queued())))
    server.on(f"{JOB}/logs", log)
    server.on(JOB, Reply(200, wire(queued(state=JobState.RUNNING))))
    server.on(f"POST /v1/jobs/{ID}/cancel", cancel)
    flags = ("--on-interrupt", "cancel", "--reconnect-timeout", "0.1")
    with started("run", *flags, "--image", "a", "true") as spark:
        assert followed.wait(10)
        spark.send_signal(signal.SIGINT)
        _, err = spark.communicate(timeout=10)
    assert spark.returncode == 69
    assert "no Spark server answers" in err.splitlines()[-1]


@pytest.mark.parametrize(("closed", "said"), [(">&-", ("", "")), ("2>&-", ("hi\n", ""))])
def test_a_stream_that_is_closed_takes_nothing_and_the_other_one_no_more(
    server: ScriptedServer, closed: str, said: tuple[str, str]
) -> None:
    server.on(f"{JOB}/logs", Reply(pieces=[b"hi\n"]), Reply(pieces=[]))
    server.on(JOB, Reply(200, wire(ended(log=3))))
    with started("logs", ID, shell=f'exec "$@" {closed}') as spark:
        assert spark.communicate(timeout=10) == said
        assert spark.returncode == 0


def test_a_terminal_that_is_gone_keeps_no_run_from_its_end(server: ScriptedServer) -> None:
    gone = threading.Event()

    def log(_: Request) -> Reply:
        gone.wait(10)
        server.on(JOB, Reply(200, wire(ended())))
        return Reply(pieces=[])

    server.on("POST /v1/jobs", Reply(201, wire(queued())))
    server.on(f"{JOB}/logs", log)
    server.on(JOB, Reply(200, wire(queued(activity="queued", position=3))))
    terminal, end = os.openpty()
    command = [*SPARK, "run", "--image", "a", "true"]
    with subprocess.Popen(command, stdout=end, stderr=end, stdin=subprocess.DEVNULL) as process, bounded(process):
        os.close(end)
        shown = b""
        while b"queued at position 3" not in shown:
            shown += os.read(terminal, 4096)
        os.close(terminal)
        gone.set()
        assert process.wait(10) == 0


def test_an_interrupted_drain_leaves_the_queue_paused(server: ScriptedServer) -> None:
    looked = threading.Event()
    view = {"depth": 0, "capacity": 10, "running": 1, "slots": 5, "oldest_wait": None, "paused": True}

    def look(_: Request) -> Reply:
        looked.set()
        return Reply(200, view)

    server.on("POST /v1/queue/pause", Reply(200, view))
    server.on("GET /v1/queue", look)
    with started("queue", "drain") as spark:
        assert looked.wait(10)
        spark.send_signal(signal.SIGINT)
        out, err = spark.communicate(timeout=10)
    assert spark.returncode == 130
    assert "1 of 5" in out
    assert "no longer waiting for 1 job to end; the queue stays paused, `spark queue resume` starts jobs again" in err
    assert not server.asked("POST /v1/queue/resume")


def test_a_reader_that_goes_away_ends_the_command_quietly(server: ScriptedServer) -> None:
    server.on(f"{JOB}/logs", Reply(pieces=[b"x" * 65536] * 64))
    server.on(JOB, Reply(200, wire(ended())))
    with started("logs", ID) as spark:
        assert spark.stdout is not None
        assert spark.stderr is not None
        spark.stdout.read(10)
        spark.stdout.close()
        assert spark.wait(10) == 1
        assert spark.stderr.read() == ""


def test_a_status_line_is_shown_on_a_terminal_and_gone_at_the_end(server: ScriptedServer) -> None:
    asked = iter([Reply(200, wire(queued(activity="queued", position=3)))])
    seen = threading.Event()  # it asks again once it has shown the first answer

    def job(_: Request) -> Reply:
        first = next(asked, None)
        if first is None:
            seen.set()
        return first or Reply(200, wire(ended(log=3)))

    def log(request: Request) -> Reply:
        seen.wait(10)
        return Reply(pieces=[b"hi\n"[int(request.one("offset") or 0) :]])

    server.on("POST /v1/jobs", Reply(201, wire(queued())))
    server.on(f"{JOB}/logs", log)
    server.on(JOB, job)
    shown = on_a_terminal("run", "--image", "a", "--timeout", "1", "true")
    status = f"\r\x1b[K{ID}: queued at position 3"
    assert status in shown
    assert shown.index(status) < shown.index("\r\x1b[Khi\r\n") < shown.index("SUCCEEDED")
    assert shown.endswith(" s\r\n")


def on_a_terminal(*args: str) -> str:
    """What `spark` writes to a terminal."""
    terminal, end = os.openpty()
    command = [*SPARK, *args]
    with subprocess.Popen(command, stdout=end, stderr=end, stdin=subprocess.DEVNULL) as process, bounded(process):
        os.close(end)
        shown = b""
        try:
            while piece := os.read(terminal, 4096):
                shown += piece
        except OSError:  # how Linux says that nobody has the terminal open any more
            pass
        process.wait(10)
    os.close(terminal)
    return shown.decode()
