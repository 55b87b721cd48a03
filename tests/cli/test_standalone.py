"""`spark run --standalone`: the output and the exit codes of `spark run`, without a server, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Spark
from tests.cli.process import PATIENCE, started

ALONE = ("run", "--standalone", "--cluster", "local", "--image", "busybox:1")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Whatever happens, the private folder goes."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield
    assert list(folder.iterdir()) == []


@contextmanager
def begun(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`spark run --standalone` as a process, once its job has said `begun`."""
    with started(*ALONE, *words) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process


def test_the_log_is_on_stdout_the_end_on_stderr_and_the_exit_code_is_the_jobs(spark: Spark) -> None:
    done = spark(*ALONE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert done.code == 7
    assert sorted(done.out.splitlines()) == ["err", "out"]
    assert re.fullmatch(r"spark: spark-job-\w+ FAILED \(NonZeroExit\), exit code 7, \d+ s", done.err.splitlines()[-1])


def test_success_and_a_time_limit_have_their_exit_codes(spark: Spark, tmp_path: Path) -> None:
    done = spark(*ALONE[:-2], "-q", "--result", str(tmp_path / "job.json"), *ALONE[-2:], "true")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert '"SUCCEEDED"' in (tmp_path / "job.json").read_text()
    assert spark(*ALONE, "--timeout", "500ms", "sleep", "60").code == 124


def test_a_fault_of_the_job_is_told_as_by_a_server(spark: Spark) -> None:
    done = spark(*ALONE, "--memory", "12 potatoes", "true")
    assert done.code == 2
    assert "#/memory: not a quantity" in done.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--standalone", "--server", "http://127.0.0.1:1"), "--server needs a server"),
        (("--standalone", "-d"), "--detach needs a server"),
        (("--standalone", "--mode", "grpc"), "--mode needs a server"),
        (("--standalone", "--on-interrupt", "detach"), "nobody to go on with the job"),
        (("--cluster", "local"), "--cluster goes with --standalone"),
        (("--kubeconfig", "x"), "--kubeconfig goes with --standalone"),
        (("--standalone", "--cluster", "moon"), "--cluster: write one of kubernetes, local"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(spark: Spark, words: tuple[str, ...], told: str) -> None:
    done = spark("run", *words, "--image", "a", "true")
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_no_kubeconfig_is_one_line_that_names_the_flag(
    spark: Spark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    done = spark("run", "--standalone", "--image", "a", "true")
    assert done.code == 2
    [line] = done.err.splitlines()
    assert "--kubeconfig" in line


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_an_interrupt_cancels_and_says_so(number: int, code: int) -> None:
    with begun("sh", "-c", "echo begun; exec sleep 600") as process:
        process.send_signal(number)
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert "waiting until it has stopped" in told
    assert "CANCELLED (Cancelled), exit code 143" in told


def test_a_second_interrupt_leaves_at_once(tmp_path: Path) -> None:
    stubborn = f"trap '' TERM INT; echo $$ > {tmp_path / 'pid'}; echo begun; while :; do sleep 1; done"
    with begun("--termination-grace", "600", "sh", "-c", stubborn) as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        until(process, "waiting until it has stopped")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "left before it had stopped" in told
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def until(process: subprocess.Popen[str], text: str) -> None:
    """Read its stderr up to this text."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it ended without {text!r}")


def test_without_the_packages_of_the_server_one_line_names_them() -> None:
    code = "import sys; sys.modules['sqlalchemy'] = None; from spark_jobs.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *ALONE, "true"], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "`spark run --standalone`" in line
    assert "pip install 'spark-jobs[server]'" in line
