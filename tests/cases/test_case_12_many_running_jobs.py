"""Case 12, second part: what 300 running jobs ask of the API while nothing happens, beside what 3 ask."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from dev.cluster import Cluster
from dev.cluster.settings import Settings
from spark_jobs.client import Client
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.jobs import until
from tests.cases.own_cluster import own_cluster
from tests.cases.relayed import flags_for, relay
from tests.e2e import kube
from tests.e2e.server import Server, serving
from tests.fakes.passing import pass_by
from tests.fakes.relay import Relay

pytestmark = pytest.mark.needs("images", "kubectl", "root")

FEW, MANY = 3, 300
NODES = 4
LINE = b"2026-01-01T00:00:00.000000001Z begin\n"
PATIENCE = 180
QUIET = 60
"""Seconds of watching: a list of every kind comes once in that time."""


class Load(NamedTuple):
    """What one number of running jobs costs: requests per second without log opens, namespaced watches, sockets."""

    requests: float
    watches: int
    sockets: int
    logs: int


class Logs:
    """Serves every log of a simulated node: one line, then silence until the reader leaves. It counts its readers."""

    def __init__(self) -> None:
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the API server."""
        self.open += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(f"{len(LINE):x}\r\n".encode() + LINE + b"\r\n")
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            return  # the API server is gone
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
def simulated() -> Iterator[Cluster]:
    """Nodes without containers."""
    with own_cluster("many", Settings(simulated_nodes=NODES)) as made:
        yield made


async def test_the_rate_of_requests_does_not_depend_on_how_many_run(simulated: Cluster, tmp_path: Path) -> None:
    """Invariants 8 and 12."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    keys = simulated.folder.certificates
    tls.load_cert_chain(keys / "apiserver.crt", keys / "apiserver.key")
    logs = Logs()
    async with await asyncio.start_server(logs.serve, "127.0.0.1", 0, ssl=tls) as kubelet:
        _serve_logs_at(kubelet.sockets[0].getsockname()[1])
        few, many = await _load(tmp_path / "few", FEW, logs), await _load(tmp_path / "many", MANY, logs)
    more = abs(many.requests - few.requests)
    figures.at_most(f"case 12: requests a second, {MANY} running less {FEW} running", more, 0.1, "a second")


def _serve_logs_at(port: int) -> None:
    status = json.dumps({"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}})
    for number in range(NODES):
        kube.kubectl("patch", "node", f"simulated-{number}", "--subresource=status", "--type=merge", "-p", status)


async def _load(home: Path, count: int, logs: Logs) -> Load:
    """What so many running jobs cost a server of their own."""
    home.mkdir()
    limits = ("--max-concurrent-jobs", str(count), "--kube-qps", "0")
    with (
        kube.namespace() as where,
        relay(home) as (between, kubeconfig),
        serving(home, *flags_for(where, kubeconfig, *limits)) as server,
    ):
        await _run(server, count, logs)
        load = await _measure(server, between, logs)
    figures.note(f"case 12: requests a second, {count} running", load.requests, "without log opens")
    figures.at_most(f"case 12: watches, {count} running", load.watches, 2, "watches")
    figures.exactly(f"case 12: log streams, {count} running", load.logs, count)
    figures.at_most(f"case 12: sockets besides log streams, {count} running", load.sockets, 10, "sockets")
    return load


async def _run(server: Server, count: int, logs: Logs) -> None:
    """Start them, and wait until all of them run and their logs are followed."""
    spec = {"image": "busybox:1", "command": ["sleep", "3600"], "timeout": "none"}
    async with Client(server.url) as client:
        for submission in await client.submit_batch([spec] * count):
            await until(server, submission.job.id, lambda job: job.state is JobState.RUNNING)
    for _ in range(PATIENCE):
        if logs.open >= count:
            break
        await pass_by(1)


async def _measure(server: Server, between: Relay, logs: Logs) -> Load:
    """A minute in which nothing happens."""
    began = await _requests(server)
    sockets = 0
    for _ in range(QUIET):
        await pass_by(1)
        sockets = max(sockets, await asyncio.to_thread(between.open) - logs.open)
    requests = (await _requests(server) - began) / QUIET
    return Load(requests, await asyncio.to_thread(_watches), sockets, logs.open)


async def _requests(server: Server) -> float:
    """Requests to the API so far, as the server counts them, but for those that open a log."""
    async with httpx2.AsyncClient() as http:
        text = (await http.get(f"{server.url}/metrics")).text
    counted = re.findall(r'^spark_kubernetes_requests_total\{.*verb="(\w+)".*\} (\S+)$', text, re.MULTILINE)
    return sum(float(count) for verb, count in counted if verb != "log")


def _watches() -> int:
    """Watches in a single namespace that are open now, as the API server counts them: nobody else has any of these."""
    text = kube.kubectl("get", "--raw", "/metrics")
    lines = re.findall(r"^apiserver_longrunning_requests\{(.*)\} (\S+)$", text, re.MULTILINE)
    wanted = re.compile(r'resource="(?:jobs|pods|nodes|events)",scope="namespace".*verb="WATCH"')
    return sum(int(float(count)) for labels, count in lines if wanted.search(labels))
