"""What only a process of its own shows: interrupts, a program that forgets its Runner, packages that are missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 60.0
LOOP = "echo $$ > PID; echo; TRAP while :; do sleep 0.1; done"

WAITING = """
from spark_jobs.sync import Runner
with Runner(cluster="local") as runner:
    handle = runner.add_task({"image": "a", "command": ["sh", "-c", LOOP], "termination_grace": 600})
    next(handle.logs())
    print("begun", flush=True)
    handle.wait()
"""
ENDING = """
from spark_jobs.sync import Runner
with Runner(cluster="local") as runner:
    handle = runner.add_task({"image": "a", "command": ["sh", "-c", LOOP], "termination_grace": 600})
    next(handle.logs())
    print("begun", flush=True)
"""
ASYNC = """
import asyncio
from spark_jobs import Runner
async def main():
    async with Runner(cluster="local") as runner:
        handle = await runner.add_task({"image": "a", "command": ["sh", "-c", LOOP], "termination_grace": 600})
        async for _ in handle.logs():
            print("begun", flush=True)
asyncio.run(main())
"""
LEAVING = """
import signal, sys
from spark_jobs.sync import Runner
from spark_jobs.sync.portal import Portal
def interrupt(frame, event, _):
    if event == EVENT and frame.f_code is Portal.spawn.__code__:
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)
with Runner(cluster="local") as runner:
    handle = runner.add_task({"image": "a", "command": ["sh", "-c", LOOP], "termination_grace": 600})
    next(handle.logs())
    print("begun", flush=True)
    sys.setprofile(interrupt)
"""
"""It is interrupted in the instant before its Runner is asked to end, or in the one after that."""

FORGETTING = """
from spark_jobs.sync import Runner
runner = Runner(cluster="local").start()
handle = runner.add_task({"image": "a", "command": ["sh", "-c", LOOP], "termination_grace": 600})
next(handle.logs())
print("begun", flush=True)
"""


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a program whose temporary files are below the test's folder."""
    (tmp_path / "program").mkdir()
    return {**os.environ, "TMPDIR": str(tmp_path / "program")}


@contextmanager
def program(code: str, environment: Mapping[str, str], *, trap: str = "") -> Iterator[subprocess.Popen[str]]:
    """A program as a process, once it has said `begun`. Its job writes its process's number into the folder."""
    pid = Path(environment["TMPDIR"]).with_name("pid")
    code = code.replace("LOOP", repr(LOOP.replace("PID", str(pid)).replace("TRAP", trap)))
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def nothing_is_left(environment: Mapping[str, str]) -> bool:
    """Whether the job's process and the private folder are gone."""
    folder = Path(environment["TMPDIR"])
    with pytest.raises(ProcessLookupError):
        os.kill(int(folder.with_name("pid").read_text()), 0)
    return list(folder.iterdir()) == []


@pytest.mark.parametrize("code", [WAITING, ENDING, ASYNC], ids=["in a wait", "at the end", "async"])
def test_an_interrupt_cancels_the_jobs_and_ends_the_program(code: str, environment: Mapping[str, str]) -> None:
    with program(code, environment) as process:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in told
    assert nothing_is_left(environment)


@pytest.mark.parametrize("event", ["call", "return"])
def test_an_interrupt_on_the_way_out_cancels_the_jobs_too(event: str, environment: Mapping[str, str]) -> None:
    with program(LEAVING.replace("EVENT", repr(event)), environment) as process:
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in told
    assert nothing_is_left(environment)


@pytest.mark.parametrize("code", [WAITING, ASYNC], ids=["sync", "async"])
def test_a_second_interrupt_does_not_wait_for_a_job_that_does_not_listen(
    code: str, environment: Mapping[str, str]
) -> None:
    heard = Path(environment["TMPDIR"]).with_name("heard")
    with program(code, environment, trap=f"trap 'echo > {heard}' TERM;") as process:
        process.send_signal(signal.SIGINT)
        until_there(heard, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert nothing_is_left(environment)


def until_there(path: Path, process: subprocess.Popen[str]) -> None:
    """Return once the job has been asked to end."""
    while not path.exists():
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the program ended: {process.communicate()}")


def test_a_program_that_forgets_its_runner_leaves_nothing(environment: Mapping[str, str]) -> None:
    with program(FORGETTING, environment) as process:
        out, told = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, told) == (0, "", "")
    assert nothing_is_left(environment)


def test_a_program_that_forgets_it_is_told_where_it_logs(environment: Mapping[str, str]) -> None:
    with program(f"import logging; logging.basicConfig()\n{FORGETTING}", environment) as process:
        _, told = process.communicate(timeout=PATIENCE)
    assert "a Runner was not closed before the program's end" in told
    assert nothing_is_left(environment)


def told_by(code: str, missing: str = "sqlalchemy") -> str:
    """What a program prints where a package is not installed."""
    code = f"import sys; sys.modules[{missing!r}] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return done.stdout


@pytest.mark.parametrize("place", ["spark_jobs", "spark_jobs.sync", "spark_jobs.runner"])
def test_without_the_packages_of_the_server_the_error_names_them(place: str) -> None:
    code = f"try:\n    from {place} import Runner\nexcept ImportError as error:\n    print(type(error).__name__, error)"
    told = told_by(code)
    assert told.startswith("MissingExtra Runner needs the packages of the server, of which sqlalchemy is missing")
    assert "pip install 'spark-jobs[server]'" in told


def test_the_client_needs_none_of_them() -> None:
    names = "litestar uvicorn sqlalchemy aiohttp alembic structlog zstandard prometheus_client"
    code = (
        "import sys\nfrom spark_jobs.sync import Client\nimport spark_jobs; spark_jobs.Client, spark_jobs.JobFailed\n"
    )
    assert told_by(f"{code}print({set(names.split())} & set(sys.modules))", missing="sqlalchemy") == "{'sqlalchemy'}\n"


def test_the_library_loads_no_web_framework() -> None:
    code = "import sys\nimport spark_jobs.runner\nprint({'litestar', 'uvicorn', 'typer', 'grpc'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == "set()\n"


def test_an_import_sets_nothing_up() -> None:
    code = """
import logging, threading, spark_jobs.runner, spark_jobs.sync, spark_jobs.testing, structlog
spark_jobs.sync.Runner
print(logging.getLogger().handlers, logging.getLogger().level, structlog.is_configured(), threading.active_count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("[] 30 False 1\n", "")


TROUBLED = """
from spark_jobs.sync import Runner
from spark_jobs.testing import FakeCluster, Script
with Runner(cluster=FakeCluster(lambda _: Script(unknown_creates=1, unknown_stored=True))) as runner:
    print(runner.add_task({"image": "a"}).wait().state)
"""


@pytest.mark.parametrize(
    ("setup", "told"), [("", False), ("import logging; logging.basicConfig()", True)], ids=["no logging", "logging"]
)
def test_what_troubles_the_engine_is_for_those_who_set_up_logging(setup: str, told: bool) -> None:
    code = f"{setup}\n{TROUBLED}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == "SUCCEEDED\n"
    assert ("create not answered" in done.stderr) is told
    assert bool(done.stderr) is told
