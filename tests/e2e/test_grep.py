"""Logs of jobs on the real cluster, searched from the command line, over REST and gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a namespace of this module's own."""
    with kube.namespace() as where, serving(tmp_path_factory.mktemp("home"), *on_kubernetes(where)) as running:
        yield running


def test_grep_finds_what_two_jobs_printed(server: Server) -> None:
    script = 'echo begin; echo "$0: ERROR 17 at step 3"; echo end; exit "$1"'
    jobs = {}
    for name, code, retries in (("import", "0", "0"), ("export", "5", "1")):
        words = ("submit", "--name", name, "--retries", retries, "--backoff", "1s", "--image", "busybox:1", "--")
        jobs[name] = server.spark(*words, "sh", "-c", script, name, code).stdout.strip()
    server.spark("wait", jobs["import"])
    server.spark("wait", jobs["export"], expect=5)
    expected = [
        f"{jobs['export']}/2:2:export: ERROR 17 at step 3",
        f"{jobs['export']}:2:export: ERROR 17 at step 3",
        f"{jobs['import']}:2:import: ERROR 17 at step 3",
    ]
    for url in (server.url, server.grpc):
        found = server.spark("grep", "--server", url, "ERROR [0-9]+ at")
        assert found.stdout.splitlines() == expected
        failed = server.spark("grep", "--server", url, "error", "-i", "--state", "FAILED", "-o", "json")
        assert {json.loads(line)["name"] for line in failed.stdout.splitlines()} == {"export"}
        server.spark("grep", "--server", url, "--name", "import", "export", expect=1)
