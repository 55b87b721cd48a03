"""Jobs per second through Spark, beside the same Jobs created straight against the API; both to the last pod's end."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from spark_jobs.client import Client
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

JOBS = 60
PAIRS = 3
COMMAND = ["seq", "1", "20"]
PATIENCE = 180.0


def run() -> str:
    """Straight and Spark in turn, pair by pair; the table."""
    rows = []
    for _ in range(PAIRS):
        straight, through = _measured(_straight), _spark()
        rows.append((straight, through, straight / through))
    lines = [f"{JOBS} jobs `{' '.join(COMMAND)}`, limit {JOBS}, to the last pod's end; jobs per second"]
    lines.append("straight   Spark   Spark / straight")
    lines += [f"{JOBS / bare:8.2f} {JOBS / ours:7.2f} {ratio:18.2f}" for bare, ours, ratio in rows]
    lines.append(f"{'median':>16} {statistics.median(ratio for _, _, ratio in rows):18.2f}")
    return "\n".join(lines)


def _measured(start: Callable[[str], None], where: str | None = None) -> float:
    """Seconds from the first request to the end of the last pod, as a watcher sees it."""
    if where is None:
        with kube.namespace() as made:
            return _measured(start, made)
    with kube.watching("pods", where) as pods:
        began = time.time()
        start(where)
        pods.until(lambda events: len(_over(events)) >= JOBS, seconds=PATIENCE)
        return max(_over(pods.events).values()) - began


def _over(events: list[tuple[float, str, kube.Object]]) -> dict[str, float]:
    """When each pod was first seen over."""
    ends: dict[str, float] = {}
    for at, _, pod in events:
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            ends.setdefault(pod["metadata"]["name"], at)
    return ends


def _straight(where: str) -> None:
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "busybox:1", "command": COMMAND}],
    }
    jobs = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"straight-{number}"},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        }
        for number in range(JOBS)
    ]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs})
    kube.kubectl("create", "--validate=false", "-n", where, "-f", "-", given=listed)


def _spark() -> float:
    with tempfile.TemporaryDirectory(prefix="spark-bench-") as home, kube.namespace() as where:
        limit = ("--max-concurrent-jobs", str(JOBS))
        with serving(Path(home), *on_kubernetes(where, *limit)) as server:
            return _measured(lambda _: asyncio.run(_submit(server)), where)


async def _submit(server: Server) -> None:
    async with Client(server.url) as client:
        for _ in range(JOBS):
            await client.submit({"image": "busybox:1", "command": COMMAND})
