"""The library and `spark run --standalone` on the real cluster: nothing is left there, however they end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_jobs import JobState, Runner, Task
from spark_jobs.sync import Runner as SyncRunner
from tests.e2e import kube
from tests.e2e.server import SPARK, environment
from tests.parts import kubeconfig_path
from tests.project.test_python_pages import scripts

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

PATIENCE = 120.0
ECHO = "echo $SPARK_JOB_ID $N"


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A namespace for this module."""
    with kube.namespace() as name:
        yield name


@pytest.fixture(autouse=True)
def nothing_is_left(where: str) -> Iterator[None]:
    """Right after the end of whatever was tried there is no Job, and no pod that could run."""
    yield
    assert kube.kubectl("get", "jobs", "-n", where, "-o", "name") == ""
    running = kube.kubectl("get", "pods", "-n", where, "--field-selector", "status.phase=Running", "-o", "name")
    assert running == ""


def shell(line: str, **more: object) -> dict[str, object]:
    return {"image": "busybox:1", "command": ["sh", "-c", line], **more}


def kubeconfig() -> str:
    return str(kubeconfig_path())


async def test_jobs_are_run_from_a_program(where: str) -> None:
    async with Runner(kubeconfig(), namespace=where, max_concurrent_jobs=3) as runner:
        task = Task(image="busybox:1", command=["sh", "-c", "echo out; echo err >&2; exit 7"], timeout=60)
        handle = await runner.add_task(task)
        assert sorted([line async for line in handle.logs()]) == ["err", "out"]
        job = await handle.wait()
        assert (job.state, job.exit_code, job.attempts[0].namespace) == (JobState.FAILED, 7, where)
        assert (task.status, sorted(task.logs.splitlines())) == ("FAILED", ["err", "out"])
        jobs = runner.map(shell(ECHO, env={"N": str(number)}) for number in range(6))
        printed = [(job.id, await read(runner, job.id)) async for job in jobs]
        assert printed == [(job_id, f"{job_id} {number}\n") for number, (job_id, _) in enumerate(printed)]
    assert runner.left == []


async def read(runner: Runner, job_id: str) -> str:
    return b"".join([piece async for piece in runner.client.logs(job_id)]).decode()


async def test_an_exception_stops_the_containers(where: str) -> None:
    tasks = [Task(image="busybox:1", command=["sh", "-c", "echo begun; exec sleep 600"]) for _ in range(3)]

    async def program() -> None:
        async with Runner(kubeconfig(), namespace=where, max_concurrent_jobs=2) as runner:
            handles = [await runner.add_task(task) for task in tasks]
            async for line in handles[0].logs():
                raise KeyError(line)

    with pytest.raises(KeyError, match="begun"):
        await program()
    assert [task.status for task in tasks] == ["CANCELLED"] * 3
    assert tasks[0].logs == "begun\n"


def test_jobs_are_run_without_async(where: str) -> None:
    with SyncRunner(kubeconfig(), namespace=where) as runner:
        future = runner.submit(shell("exit 0"))
        lines = list(runner.add_task(shell("seq 1000")).logs())
        assert lines == [str(number) for number in range(1, 1001)]
        assert future.result(PATIENCE).state is JobState.SUCCEEDED
        cancelled = runner.submit({**shell("exec sleep 600"), "id": "cancelled"})
        cancelled.cancel()
        assert runner.client.wait("cancelled", timeout=PATIENCE).state is JobState.CANCELLED
    assert runner.left == []


async def test_a_job_goes_on_without_its_runner(where: str, tmp_path: Path) -> None:
    async with Runner(kubeconfig(), namespace=where, data_dir=tmp_path / "data") as runner:
        handle = await runner.add_task({**shell("echo one; sleep 8; echo two"), "id": "long"})
        async for line in handle.logs():
            assert line == "one"
            break
        await runner.shutdown(wait=False)
    async with Runner(kubeconfig(), namespace=where, data_dir=tmp_path / "data") as runner:
        job = await runner.client.wait("long", timeout=PATIENCE)
        assert (job.state, await read(runner, "long")) == (JobState.SUCCEEDED, "one\ntwo\n")


@pytest.mark.parametrize("number", [0, 1])
def test_the_scripts_of_the_first_page_run_on_kubernetes(where: str, number: int, tmp_path: Path) -> None:
    """As they are printed, but for the argument that keeps them from needing a cluster."""
    script = scripts("README.md")[number]
    code = script.code.replace('cluster="local"', f"namespace={where!r}")
    assert code != script.code
    env = {**environment(tmp_path), "KUBECONFIG": kubeconfig()}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (script.output, "", 0)


def standalone(where: str, *words: str) -> list[str]:
    return [*SPARK, "run", "--standalone", "--kubeconfig", kubeconfig(), "-n", where, "--image", "busybox:1", *words]


@pytest.mark.parametrize("code", [0, 7])
def test_a_run_without_a_server(where: str, tmp_path: Path, code: int) -> None:
    done = subprocess.run(
        standalone(where, "--", "sh", "-c", f"echo out; exit {code}"),
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("out\n", code)
    assert done.stderr.splitlines()[-1].startswith("spark: spark-job-")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_a_run_without_a_server(where: str, tmp_path: Path, number: int) -> None:
    command = standalone(where, "--", "sh", "-c", "echo begun; exec sleep 600")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(tmp_path), stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            process.send_signal(number)
            _, told = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert "CANCELLED (Cancelled)" in told


def test_a_signal_while_it_cleans_up_leaves_nothing_either(where: str, tmp_path: Path) -> None:
    """The log is over, the job as well; what is left to do is to see its objects gone."""
    command = standalone(where, "--", "sh", "-c", "echo done")
    with subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "SUCCEEDED" in line:
                    break
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM


def test_threads_of_a_runner_end_with_it(where: str) -> None:
    before = set(threading.enumerate())
    with SyncRunner(kubeconfig(), namespace=where) as runner:
        runner.add_task(shell("true")).result()
        assert len(set(threading.enumerate()) - before) >= 1
    assert set(threading.enumerate()) - before == set()
