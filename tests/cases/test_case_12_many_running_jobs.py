"""Case 12, second part: what 300 running jobs ask of the API while nothing happens, beside what 3 ask."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from spark_jobs.client import Client
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import until
from tests.cases.own_cluster import own_cluster
from tests.cases.relayed import flags_for, relay
from tests.e2e import kube
from tests.e2e.server import Server, serving
from tests.fakes.relay import Relay

pytestmark = pytest.mark.needs("images", "kubectl", "root")

FEW, MANY = 3, 300
PATIENCE = 180
QUIET = 60
"""Seconds of watching: a list of every kind comes once in that time."""


class Load(NamedTuple):
    """What one number of running jobs costs: requests per second without log opens, namespaced watches, sockets."""

    requests: float
    watches: int
    sockets: int
    logs: int


@pytest.fixture
def simulated_nodes() -> Iterator[None]:
    """A cluster whose containers run for as long as they are told, and whose logs can be followed."""
    with own_cluster("many", simulated_nodes=4) as made:
        config = made.folder.configs / "kwok.yaml"
        config.write_text(
            config.read_text(encoding="utf-8").replace('"follow": false', '"follow": true'), encoding="utf-8"
        )
        made.restart("kwok")
        yield


@pytest.mark.usefixtures("simulated_nodes")
async def test_the_rate_of_requests_does_not_depend_on_how_many_run(tmp_path: Path) -> None:
    """Invariants 8 and 12."""
    few, many = await _load(tmp_path / "few", FEW), await _load(tmp_path / "many", MANY)
    more = abs(many.requests - few.requests)
    figures.at_most(f"case 12: requests a second, {MANY} running less {FEW} running", more, 0.1, "a second")


async def _load(home: Path, count: int) -> Load:
    """What so many running jobs cost a server of their own."""
    home.mkdir()
    limits = ("--max-concurrent-jobs", str(count), "--kube-qps", "0")
    with (
        kube.namespace() as where,
        relay(home) as (between, kubeconfig),
        serving(home, *flags_for(where, kubeconfig, *limits)) as server,
    ):
        await _run(server, count)
        load = await _measure(server, between)
    figures.note(f"case 12: requests a second, {count} running", load.requests, "without log opens")
    figures.at_most(f"case 12: watches, {count} running", load.watches, 2, "watches")
    figures.exactly(f"case 12: log streams, {count} running", load.logs, count)
    figures.at_most(f"case 12: sockets besides log streams, {count} running", load.sockets, 10, "sockets")
    return load


async def _run(server: Server, count: int) -> None:
    """Start them, and wait until all of them run and their logs are followed."""
    spec = {"image": "busybox:1", "command": ["sleep", "3600"], "timeout": "none"}
    async with Client(server.url) as client:
        for submission in await client.submit_batch([spec] * count):
            await until(server, submission.job.id, lambda job: job.state is JobState.RUNNING)
    for _ in range(PATIENCE):
        if await asyncio.to_thread(_open, "log") >= count:
            break
        await asyncio.sleep(1)


async def _measure(server: Server, between: Relay) -> Load:
    """A minute in which nothing happens."""
    began = await _requests(server)
    most = 0
    for _ in range(QUIET):
        await asyncio.sleep(1)
        most = max(most, await asyncio.to_thread(between.open))
    requests = (await _requests(server) - began) / QUIET
    logs = await asyncio.to_thread(_open, "log")
    return Load(requests, await asyncio.to_thread(_open, "jobs|pods"), most - logs, logs)


async def _requests(server: Server) -> float:
    """Requests to the API so far, as the server counts them, but for those that open a log."""
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"{server.url}/metrics")).text
    counted = re.findall(r'^spark_kubernetes_requests_total\{.*verb="(\w+)".*\} (\S+)$', text, re.MULTILINE)
    return sum(float(count) for verb, count in counted if verb != "log")


def _open(what: str) -> int:
    """Watches in a single namespace, or logs, that are open now, as the API server counts them: nobody else has any."""
    text = kube.kubectl("get", "--raw", "/metrics")
    lines = re.findall(r"^apiserver_longrunning_requests\{(.*)\} (\S+)$", text, re.MULTILINE)
    wanted = re.compile(
        'subresource="log"' if what == "log" else rf'resource="(?:{what})",scope="namespace".*verb="WATCH"'
    )
    return sum(int(float(count)) for labels, count in lines if wanted.search(labels))
