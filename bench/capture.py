"""Logs through Spark beside `kubectl logs -f` on the same pods in the same run: what is kept, how fast, in how much memory."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from dev.cluster import Cluster
from dev.cluster.settings import Settings
from spark_jobs.client import Client
from spark_jobs.domain.job import Job, LogState
from spark_jobs.domain.state import JobState
from tests.cases.own_cluster import own_cluster
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving
from tests.parts import kubeconfig_path

LINES = 3_000_000
FIRST = 3.0
"""Seconds that a program waits before it writes, until everybody reads its log."""

LINE_BYTES = 100
EACH = {1: 1_000_000, 20: 100_000}
"""How many lines of that size each of so many jobs writes."""

PATIENCE = 900.0
MIB = 1024 * 1024
ONE_FILE = Settings(log_max_size="2Gi")
"""No rotation: both readers can get everything, however long it takes them."""


class Reading(msgspec.Struct):
    """One job, read by Spark, and by kubectl into ``copy``: its end as it was first known, its settled state; wall times."""

    first: Job
    known_at: float
    job: Job
    settled_at: float
    kubectl_done_at: float | None

    @property
    def ended_at(self) -> float:
        """The container's end, in whole seconds."""
        return _timestamp(self.first.finished_at)

    @property
    def began_at(self) -> float:
        """When its first line was written, about."""
        return _timestamp(self.first.started_at) + FIRST


def _timestamp(time: datetime | None) -> float:
    if time is None:
        raise ValueError("the cluster named no time for a container that ran")
    return time.timestamp()


def kept() -> str:
    """More lines than the log API carries, on a node that rotates its files."""
    command = ["sh", "-c", f"sleep {FIRST:g}; exec seq 1 {LINES}"]
    with _server("--keep-objects", "30m") as (server, where):
        copy = server.home / "copy"
        [read] = asyncio.run(_read(server, where, command, 1, copy))
        on_node, files = _lines_on_node(read.job.attempts[0].pod or "")
        kubectl = _lines(copy)
    log, then = read.job.attempts[0].log, read.first.attempts[0].log
    known, settled = read.known_at - read.ended_at, read.settled_at - read.ended_at
    return (
        f"`seq 1 {LINES}` at full speed, on a node whose files are rotated at 10 MiB: lines kept\n"
        f"Spark             {log.lines:>9}  {log.state}, {log.problem or 'no problem'}\n"
        f"kubectl logs -f   {kubectl:>9}  without a word about the rest\n"
        f"the node's files  {on_node:>9}  at the end, in {files} of them\n"
        f"the job: {read.first.state} {known:.1f} s after its container's end (a whole second), its log then "
        f"{then.state}, settled after {settled:.1f} s"
    )


def rates() -> str:
    """What can all be read, since nothing is rotated; the container's own time is part of it."""
    lines = [f"lines of {LINE_BYTES} bytes at full speed, no rotation; MB/s from the first line until all are read"]
    lines.append("jobs   MB each   Spark alone   Spark   kubectl -f   the server's memory, MiB: before, most")
    with own_cluster("capture", ONE_FILE):
        for jobs, each in EACH.items():
            program = f'BEGIN {{ system("sleep {FIRST:g}"); for (i = 0; i < {each}; i++) printf "%0{LINE_BYTES - 1}d\\n", i }}'
            size = each * LINE_BYTES / 1e6
            with _server("--max-concurrent-jobs", str(jobs)) as (server, where):
                alone, _ = asyncio.run(_watched(server, where, ["awk", program], jobs, None))
            with _server("--max-concurrent-jobs", str(jobs)) as (server, where):
                both, memory = asyncio.run(_watched(server, where, ["awk", program], jobs, Path("/dev/null")))
            complete = all(read.job.attempts[0].log.state is LogState.COMPLETE for read in [*alone, *both])
            lines.append(
                f"{jobs:>4} {size:>9.0f} {_rate(alone, size):>13.1f} {_rate(both, size):>7.1f} "
                f"{_rate(both, size, kubectl=True):>12.1f}   {memory[0] / MIB:.0f}, {max(memory) / MIB:.0f}"
                f"{'' if complete else '   (not all complete)'}"
            )
    return "\n".join(lines)


def _rate(readings: list[Reading], size: float, *, kubectl: bool = False) -> float:
    began = min(read.began_at for read in readings)
    done = max((read.kubectl_done_at or 0.0) if kubectl else read.settled_at for read in readings)
    return size * len(readings) / (done - began)


@contextmanager
def _server(*flags: str) -> Iterator[tuple[Server, str]]:
    with (
        tempfile.TemporaryDirectory(prefix="spark-bench-") as home,
        kube.namespace() as where,
        serving(Path(home), *on_kubernetes(where, *flags)) as server,
    ):
        yield server, where


async def _watched(
    server: Server, where: str, command: list[str], jobs: int, copy: Path | None
) -> tuple[list[Reading], list[int]]:
    """The readings, and the memory of the server from its start on."""
    async with _memory(server) as seen:
        return await _read(server, where, command, jobs, copy), seen


async def _read(server: Server, where: str, command: list[str], jobs: int, copy: Path | None) -> list[Reading]:
    """Run so many jobs; where ``copy`` is given, kubectl reads each of them into it as well."""
    async with Client(server.url) as client:
        spec = {"image": "busybox:1", "command": command, "timeout": "none"}
        ids = [(await client.submit(spec)).job.id for _ in range(jobs)]
        return await asyncio.gather(*(_read_one(client, where, job_id, copy) for job_id in ids))


async def _read_one(client: Client, where: str, job_id: str, copy: Path | None) -> Reading:
    job = await client.get(job_id)
    while job.state in (JobState.QUEUED, JobState.STARTING):
        job = await client.get(job_id, wait=0.2)
    kubectl = asyncio.create_task(_kubectl(where, job.attempts[0].pod or "", copy)) if copy else None
    job = first = await client.wait(job_id, timeout=PATIENCE)
    known_at = time.time()
    while job.attempts[0].log.state is LogState.COLLECTING:
        await asyncio.sleep(0.2)
        job = await client.get(job_id)
    settled_at = time.time()
    return Reading(first, known_at, job, settled_at, await kubectl if kubectl else None)


async def _kubectl(where: str, pod: str, copy: Path) -> float:
    """Follow the log with kubectl, to its end; when that was."""
    with copy.open("wb") as file:
        words = [*kube.kubectl_command(), "logs", "-f", pod, "-n", where]
        process = await asyncio.create_subprocess_exec(*words, stdout=file, stderr=subprocess.DEVNULL)
        await process.wait()
    return time.time()


@asynccontextmanager
async def _memory(server: Server) -> AsyncIterator[list[int]]:
    """The server's resident memory in bytes, looked at now and then."""
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append(_resident(server.pid))
            await asyncio.sleep(0.2)

    task = asyncio.create_task(look())
    await asyncio.sleep(0)
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def _lines_on_node(pod: str) -> tuple[int, int]:
    """Lines in all files that the node has of a pod's log, and how many files. A line that was split between two files
    is marked in the first of them, and counts once."""
    path = kubeconfig_path()
    cluster = Cluster.of(path) if path else None
    if cluster is None:
        return 0, 0
    files = list(cluster.folder.pod_logs.glob(f"*_{pod}_*/main/*.log*"))
    lines = 0
    for file in files:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            lines += sum(line.split(b" ", 3)[2] == b"F" for line in stream)
    return lines, len(files)


def _lines(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(MIB), b""))
