"""`spark run` and `spark logs -f` on the real cluster while their server is killed and started again at the same ports."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.server import SPARK, Server, environment, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

COUNT = 60
PROGRAM = f"i=0; while [ $i -lt {COUNT} ]; do echo line $i; i=$((i+1)); sleep 0.2; done; exit 7"
LOG = "".join(f"line {number}\n" for number in range(COUNT))


@contextmanager
def begun(server: Server, url: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command of the command line that goes on; it is gone after the block."""
    env, pipe = {**environment(server.home), "SPARK_SERVER": url}, subprocess.PIPE
    with subprocess.Popen([*SPARK, *words], env=env, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    return process.stdout.readline()


def rest(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    """What else it writes to both streams until its end, and its exit code."""
    assert process.stdout is not None
    assert process.stderr is not None
    # Not communicate(): it knows nothing of what readline() has read ahead.
    return process.stdout.read(), process.stderr.read(), process.wait(60)


def test_every_byte_comes_once_over_both_interfaces_and_two_kills(tmp_path: Path) -> None:
    words = ("--id", "followed", "--image", "busybox:1", "--timeout", "2m", "--", "sh", "-c", PROGRAM)
    with (
        kube.namespace() as where,
        serving(tmp_path, *on_kubernetes(where)) as server,
        begun(server, server.grpc, "run", *words) as run,
    ):
        begin = line(run)
        with begun(server, server.url, "logs", "-f", "followed") as logs:
            other = line(logs)
            for _ in range(2):
                server.end(signal.SIGKILL)
                server.start()
                begin += line(run)
            out, told, code = rest(run)
            assert (begin + out, code) == (LOG, 7)
            assert "in contact again" in told
            out, _, code = rest(logs)
            assert (other + out, code) == (LOG, 0)
