"""The examples, as a user would copy them: their files as they are, by the commands that the guides print."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from spark_jobs.client import Client
from tests.e2e import kube, printed
from tests.e2e.disks import claims, disk
from tests.e2e.server import SPARK, Server, environment, on_kubernetes, serving
from tests.project.repository import ROOT

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

EXAMPLES = ROOT / "examples"
DATA, BACKUP = "docs/guides/data-processing.md", "docs/guides/nightly-backup.md"
STEP = EXAMPLES / "pipeline/step.sh"
PATIENCE = 120.0
"""Seconds: the script of the backup waits for a server much longer than any test should."""


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A namespace for this module."""
    with kube.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this module's server and disks."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(where: str, home: Path) -> Iterator[Server]:
    """A server that runs jobs in that namespace."""
    with serving(home, *on_kubernetes(where)) as running:
        yield running


def test_data_processing_adds_up_fifty_files(where: str, tmp_path: Path) -> None:
    """Fifty jobs, ten at a time, and nothing of them is left in the cluster."""
    shown = json.loads(kube.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    shown["contexts"][0]["context"]["namespace"] = where
    (tmp_path / "kubeconfig").write_text(json.dumps(shown))
    shell = printed.Shell(tmp_path, KUBECONFIG=str(tmp_path / "kubeconfig"))
    kubectl = tmp_path / "bin/kubectl"
    kubectl.write_text(kubectl.read_text().replace(' "$@"', f' --namespace {where} "$@"'))
    with disk(where, "sales", tmp_path / "sales"), kube.watching("pods", where) as pods:
        done = shell.run(printed.block(DATA, "sum_sales.py\n"))
        assert done.stdout.endswith(printed.block(DATA, "5000 rows"))
        assert len(list((tmp_path / "sales").iterdir())) == 50
        assert len(pods.names()) == 51
        assert kube.unfinished(pods.events) <= 10
        pods.until(lambda _: pods.left() == [], seconds=30)
    assert kube.kubectl("get", "jobs", "-n", where, "-o", "name") == ""


def today() -> date:
    """The day that the script sees."""
    return datetime.now(UTC).astimezone().date()


class Cron:
    """Runs the line of the example's crontab as cron does: in a shell with the file's variables and little else."""

    def __init__(self, server: Server, folder: Path) -> None:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/spark").symlink_to(SPARK[0])
        (folder / "token").write_text("not asked for on loopback\n".replace(" ", "-"))
        shutil.copy(EXAMPLES / "backup/backup.sh", folder)
        text = (EXAMPLES / "backup/crontab").read_text(encoding="utf-8")
        for ours, printed_there in (
            (str(folder), "/opt/spark"),
            (server.url, "https://spark.example.com"),
            (str(folder / "token"), "/etc/spark/token"),
        ):
            assert printed_there in text
            text = text.replace(printed_there, ours)
        variables = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
        self.environment: Mapping[str, str] = {"HOME": str(folder), "LOGNAME": "ops", "SHELL": "/bin/sh", **variables}
        [self.line] = re.findall(r"^[\d*](?:\S*\s+){5}(.*)$", text, re.MULTILINE)

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """One start, which ends with the block at the latest."""
        with self._shell(self.line) as running:
            try:
                yield running
            finally:
                running.terminate()

    def run(self) -> tuple[int, str, str]:
        """The exit code of one start, and what it prints on stdout and stderr."""
        with self.started() as running:
            out, err = running.communicate(timeout=PATIENCE)
        return running.returncode, out, err

    def by_hand(self, commands: str) -> None:
        """Run what the guide says, on the same machine."""
        with self._shell(f"set -e\n{commands.replace('/opt/spark', self.environment['HOME'])}") as running:
            _, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 0, err

    def _shell(self, commands: str) -> subprocess.Popen[str]:
        command, pipe = ["/bin/sh", "-c", commands], subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, cwd="/", stdout=pipe, stderr=pipe, text=True)


def test_a_second_backup_of_the_day_starts_nothing(server: Server, where: str, home: Path) -> None:
    """The file holds what the claim held; the second run prints the same log and ends with the same exit code."""
    cron, job_id = Cron(server, home / "cron"), f"backup-{today()}"
    with claims(where, home, "database", "backups"), kube.watching("jobs", where) as jobs:
        for name in ("orders", "customers"):
            (home / "database" / name).write_text(name)
        code, out, err = cron.run()
        assert (code, out) == (0, f"{job_id}.tar.gz holds 2 files\n"), err
        code, out, err = cron.run()
        assert (code, out) == (0, f"{job_id}.tar.gz holds 2 files\n"), err
        assert "nothing was started" in err
        assert len(jobs.names()) == 1
        with tarfile.open(home / "backups" / f"{job_id}.tar.gz") as packed:
            assert {"./orders", "./customers"} < set(packed.getnames())


async def test_a_failed_backup_is_done_again_by_hand(where: str, tmp_path: Path) -> None:
    """The script does not start it again. `retry` makes a new job; `delete` lets the day begin anew."""
    job_id = f"backup-{today()}"
    with serving(tmp_path, *on_kubernetes(where)) as server, claims(where, tmp_path, "data-2", "backups-2"):
        cron = Cron(server, tmp_path / "cron")
        script = tmp_path / "cron/backup.sh"
        script.write_text(
            script.read_text().replace("pvc/database", "pvc/data-2").replace("pvc/backups", "pvc/backups-2")
        )
        in_the_way = tmp_path / "backups-2" / f"{job_id}.part"
        in_the_way.mkdir()
        with cron.started() as first:
            await waits_for_its_next_attempt(server, job_id)
            server.spark("cancel", job_id)
            first.communicate(timeout=PATIENCE)
        assert (first.returncode, cron.run()[0]) == (130, 130)
        in_the_way.rmdir()
        for text in ("spark retry", "spark delete"):
            cron.by_hand(printed.block(BACKUP, text).replace("backup-2031-05-04", job_id))
        jobs = json.loads(server.spark("list", "--name", "nightly-backup", "-o", "json").stdout)["jobs"]
    assert [(job["state"], job["retry_of"]) for job in jobs] == [("SUCCEEDED", None), ("SUCCEEDED", job_id)]
    assert {path.name for path in (tmp_path / "backups-2").iterdir()} == {f"{job['id']}.tar.gz" for job in jobs}


async def waits_for_its_next_attempt(server: Server, job_id: str) -> None:
    """Wait until an attempt has failed and the next one is due later."""
    async with asyncio.timeout(60), Client(server.url) as client, aclosing(client.events(after=0)) as events:
        async for event in events:
            if event.job_id == job_id and event.reason == "RetryBackoff":
                return


def step(server: Server, folder: Path, *words: str) -> subprocess.Popen[str]:
    """The pipeline's step, started in a checkout of its own."""
    folder.mkdir(exist_ok=True)
    env = {**environment(server.home), "SPARK_SERVER": server.url, "PATH": f"{Path(SPARK[0]).parent}:/usr/bin:/bin"}
    return subprocess.Popen(
        [STEP, *words], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_step_has_the_log_and_the_exit_code_of_its_job(server: Server, tmp_path: Path) -> None:
    """Also when it is called again: then nothing is started."""
    words = ("tests-17-1", "busybox:1", "sh", "-c", "echo 3 passed, 1 failed; exit 4")
    for _ in range(2):
        running = step(server, tmp_path, *words)
        out, _ = running.communicate(timeout=PATIENCE)
        assert (running.returncode, out) == (4, "3 passed, 1 failed\n")
        assert json.loads((tmp_path / "job.json").read_text())["exit_code"] == 4
    assert server.job("tests-17-1")["attempts"][0]["attempt"] == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_cancelled_pipeline_cancels_its_job(
    server: Server, where: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The script is the first process of the step, and hands the signal to spark by not being there any more."""
    job_id = f"tests-18-{int(number)}"
    with kube.watching("pods", where) as pods:
        running = step(server, tmp_path, job_id, "busybox:1", "sh", "-c", "echo begun; sleep 300")
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(number)
        running.communicate(timeout=PATIENCE)
        assert running.returncode == code
        assert server.job(job_id)["state"] == "CANCELLED"
        pods.until(lambda _: pods.left() == [], seconds=30)
    server.spark("cancel", job_id)
