"""What only the cluster of processes promises: whole families end, nothing outlives its server, a clean environment."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from spark_jobs.cluster.base import AttemptRef, Created, CreateRefused, Terminated
from spark_jobs.cluster.local import LocalCluster
from spark_jobs.cluster.local.family import identity
from spark_jobs.cluster.local.folder import AttemptFolder, Record
from spark_jobs.domain.errors import ClusterUnavailable, DataDirNotWritable
from spark_jobs.domain.spec import EmptyDir, EnvFrom, JobSpec, KeyRef, Volume
from tests.contract.cluster import programs
from tests.contract.cluster.server import REF as KILLED
from tests.contract.cluster.stage import PATIENCE, Stage

FAMILY = """
echo $$
sleep 1000 & echo $!
setsid sleep 1000 & echo $!
env -i sleep 1000 & echo $!
"""
"""Prints the ids of four processes: itself, a child, one in a session of its own, one without our environment."""


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Stage]:
    cluster = LocalCluster(folder, clock=lambda: datetime.now(UTC))
    stage = Stage(cluster, "default")
    await cluster.start("suite", stage.changed)
    yield stage
    await cluster.stop()


async def run(stage: Stage, spec: JobSpec, *, name: str | None = None) -> AttemptRef:
    ref = stage.ref(name=name)
    answer = await stage.cluster.create(ref, spec)
    assert isinstance(answer, Created)
    return msgspec.structs.replace(ref, uid=answer.uid)


def shell(text: str) -> JobSpec:
    return JobSpec(image="not used", command=["sh", "-c", text], termination_grace=1.0)


async def family_of(stage: Stage, ref: AttemptRef) -> list[int]:
    pod = await stage.running(ref)
    text = b""
    async with stage.following(ref, pod) as stream:
        while text.count(b"\n") < 4:
            text += (await anext(stream)).data
    return [int(line) for line in text.split()[:4]]


def running(pids: list[int]) -> list[int]:
    return [pid for pid in pids if identity(pid) is not None]


async def test_what_a_program_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    async with started(tmp_path) as stage:
        ref = await run(stage, shell(FAMILY + "exit 5"))
        pod, end = await stage.over(ref)
        pids = [int(line) for line in (await stage.text(ref, pod)).split()]
        assert end.exit_code == 5
        assert len(pids) == 4
        assert running(pids) == []


async def test_a_stopped_program_takes_its_whole_family_with_it(tmp_path: Path) -> None:
    """Invariant 10."""
    async with started(tmp_path) as stage:
        ref = await run(stage, shell(FAMILY + "trap '' TERM; wait; sleep 1000"))
        pids = await family_of(stage, ref)
        assert running(pids) == pids
        pod = await stage.running(ref)
        await stage.cluster.halt(ref, pod)
        await stage.over(ref)
        assert running(pids) == []


async def test_a_server_that_stops_ends_its_attempts_and_the_next_one_does_not_know_them(tmp_path: Path) -> None:
    async with started(tmp_path) as stage:
        ref = await run(stage, shell(FAMILY + "wait"))
        pids = await family_of(stage, ref)
    assert running(pids) == []
    async with started(tmp_path) as stage:
        seen = stage.cluster.observe(ref)
        assert (seen.current, seen.job, seen.pod) == (True, None, None)


def kill_a_server(folder: Path) -> list[int]:
    """Start a server in a process of its own, kill it once its attempt runs; the ids that the attempt printed."""
    command = [sys.executable, "-m", "tests.contract.cluster.server", str(folder), FAMILY + "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as server:
        assert server.stdout is not None
        pids = [int(server.stdout.readline()) for _ in range(4)]
        server.kill()
    return pids


async def test_what_a_killed_server_left_running_is_ended_by_the_next_start(tmp_path: Path) -> None:
    pids = await asyncio.to_thread(kill_a_server, tmp_path)
    assert running(pids) == pids
    async with started(tmp_path) as stage:
        assert running(pids) == []
        seen = await stage.cluster.look(KILLED)
        assert (seen.current, seen.job, seen.pod) == (True, None, None)
        assert await stage.cluster.gone(KILLED)
        assert KILLED.claim in stage.told


async def test_an_attempt_that_was_lost_with_its_server_is_never_started_again(tmp_path: Path) -> None:
    """Invariant 4: the engine may not have stored that it was created."""
    await asyncio.to_thread(kill_a_server, tmp_path)
    for _ in range(2):
        async with started(tmp_path) as stage:
            answer = await stage.cluster.create(KILLED, shell("true"))
            assert isinstance(answer, CreateRefused)
            assert answer.reason == "Lost"
    async with started(tmp_path) as stage:
        await stage.cluster.delete(KILLED, over=False)
    assert list((tmp_path / "attempts").iterdir()) == []


async def test_an_attempt_that_had_ended_is_shown_by_the_next_server(tmp_path: Path) -> None:
    async with started(tmp_path) as stage:
        ref = await run(stage, shell("echo out; exit 7"))
        before, _ = await stage.over(ref)
    async with started(tmp_path) as stage:
        after, end = await stage.over(ref)
        assert after == before
        assert end.exit_code == 7
        assert await stage.text(ref, after) == "out\n"
        await stage.cluster.delete(ref, over=True)
        await stage.vanished(ref)


async def test_a_process_that_only_has_the_same_number_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as bystander:
        record = Record(
            job_id="old", attempt=1, claim="c", namespace="default", name="spark-old-1", uid="u", pid=bystander.pid
        )
        record.identity = "another boot/1"
        (tmp_path / "attempts").mkdir()
        AttemptFolder.of(tmp_path / "attempts", record.name).make(record)
        async with started(tmp_path):
            assert bystander.poll() is None
            assert identity(bystander.pid) is not None
        bystander.kill()


async def test_a_program_sees_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_PASSWORD", "not for jobs")
    async with started(tmp_path) as stage:
        ref = await run(stage, JobSpec(image="not used", command=["env"], env={"OWN": "x", "LANG": "C"}))
        pod, _ = await stage.over(ref)
        variables = dict(line.split("=", 1) for line in (await stage.text(ref, pod)).splitlines())
    work = tmp_path / "attempts" / ref.name / "work"
    assert variables == {
        "PATH": os.environ["PATH"],
        "LANG": "C",
        "HOME": str(work),
        "OWN": "x",
        "SPARK_JOB_ID": "suite",
        "SPARK_JOB_ATTEMPT": "1",
        "SPARK_TERMINATION_LOG": str(work / "termination-log"),
    }


async def test_a_job_can_not_take_the_mark_off_by_its_env(tmp_path: Path) -> None:
    async with started(tmp_path) as stage:
        spec = JobSpec(image="x", command=["printenv", "SPARK_JOB_ID"], env={"SPARK_JOB_ID": "other"})
        ref = await run(stage, spec)
        pod, _ = await stage.over(ref)
        assert await stage.text(ref, pod) == "suite\n"


async def test_fields_of_the_pod_are_known_here_too(tmp_path: Path) -> None:
    async with started(tmp_path) as stage:
        names = {"POD": KeyRef(field="metadata.name"), "SPACE": KeyRef(field="metadata.namespace")}
        ref = await run(stage, JobSpec(image="x", command=["sh", "-c", "echo $POD $SPACE"], env=dict(names)))
        pod, _ = await stage.over(ref)
        assert await stage.text(ref, pod) == f"{pod.name} default\n"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (JobSpec(image="x"), "`command`"),
        (JobSpec(image="x", args=["a"]), "`command`"),
        (JobSpec(image="x", command=["a"], env={"KEY": KeyRef(secret="s", key="k")}), "KEY"),
        (JobSpec(image="x", command=["a"], env={"KEY": KeyRef(config_map="s", key="k")}), "KEY"),
        (JobSpec(image="x", command=["a"], env={"KEY": KeyRef(field="status.hostIP")}), "KEY"),
        (JobSpec(image="x", command=["a"], env_from=[EnvFrom(secret="s")]), "`env_from`"),
        (JobSpec(image="x", command=["a"], volumes=[Volume(mount="/data", empty_dir=EmptyDir())]), "/data"),
    ],
)
async def test_what_needs_kubernetes_is_refused_and_leaves_no_trace(tmp_path: Path, spec: JobSpec, said: str) -> None:
    async with started(tmp_path) as stage:
        answer = await stage.cluster.create(stage.ref(), spec)
        assert isinstance(answer, CreateRefused)
        assert said in answer.message
        assert list((tmp_path / "attempts").iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (JobSpec(image="x", command=["no-such-program"]), "not found in $PATH"),
        (JobSpec(image="x", command=["/etc/passwd"]), "ermission denied"),
        (JobSpec(image="x", command=["true"], working_dir="/no/such/folder"), "/no/such/folder"),
        (JobSpec(image="x", command=["true"], env={"SECRET": "a\0b"}), "can be given"),
    ],
)
async def test_why_a_program_can_not_be_started_is_said(tmp_path: Path, spec: JobSpec, said: str) -> None:
    async with started(tmp_path) as stage:
        ref = await run(stage, spec)
        pod, end = await stage.over(ref)
        assert (end.exit_code, end.reason) == (128, "StartError")
        assert said in (end.message or "")
        assert await stage.text(ref, pod) == ""


async def test_the_working_folder_is_the_attempts_own_and_goes_with_it(tmp_path: Path) -> None:
    async with started(tmp_path) as stage:
        ref = await run(stage, shell("pwd; mkdir -p deep/er; touch deep/er/file; chmod 0 deep/er; chmod 0 deep"))
        pod, _ = await stage.over(ref)
        work = Path((await stage.text(ref, pod)).strip())
        assert work.is_relative_to(tmp_path)
        assert (work.stat().st_mode & 0o777, work.parent.stat().st_mode & 0o777) == (0o700, 0o700)
        await stage.cluster.delete(ref, over=True)
        await stage.vanished(ref)
        assert not work.parent.exists()


async def test_a_name_that_is_no_folder_name_leads_nowhere_else(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as stage:
        ref = await run(stage, shell("true"), name="../../elsewhere")
        await stage.over(ref)
        assert [path.name for path in tmp_path.iterdir()] == ["data"]
        await stage.cluster.delete(ref, over=True)
        await stage.vanished(ref)


@pytest.mark.parametrize(
    ("commands", "result"),
    [
        (
            "head -c 5000 /dev/zero | tr '\\0' x > $SPARK_TERMINATION_LOG; printf y >> $SPARK_TERMINATION_LOG",
            "x" * 4095 + "y",
        ),
        ("rm $SPARK_TERMINATION_LOG", None),
        ("ln -sf /etc/hostname $SPARK_TERMINATION_LOG", None),
        ("rm $SPARK_TERMINATION_LOG; mkfifo $SPARK_TERMINATION_LOG", None),
        (r"printf '\377' > $SPARK_TERMINATION_LOG", "\N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_a_result_is_a_plain_files_last_4_kib(tmp_path: Path, commands: str, result: str | None) -> None:
    async with started(tmp_path) as stage:
        _, end = await stage.over(await run(stage, shell(commands)))
        assert end.message == result


async def test_a_cluster_that_is_stopped_answers_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as stage:
        ref = await run(stage, programs.SUCCEEDS.spec())
        await stage.over(ref)
    assert not stage.cluster.observe(ref).current
    assert not stage.cluster.health().reachable
    with pytest.raises(ClusterUnavailable):
        await stage.cluster.look(ref)


async def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cluster = LocalCluster(tmp_path / "file", clock=lambda: datetime.now(UTC))
    with pytest.raises(DataDirNotWritable, match="file/attempts"):
        await cluster.start("suite", lambda _claim: None)


async def test_a_program_that_gets_away_holds_nothing_up(tmp_path: Path) -> None:
    """Neither in the session nor with the environment, but with the output still open."""
    async with started(tmp_path) as stage:
        ref = await run(stage, shell("echo begin; env -i setsid sleep 1000 & echo $!"))
        async with asyncio.timeout(PATIENCE):
            pod, end = await stage.over(ref)
        _, pid = (await stage.text(ref, pod)).split()
        os.kill(int(pid), 9)
        assert isinstance(end, Terminated)
        assert end.exit_code == 0
