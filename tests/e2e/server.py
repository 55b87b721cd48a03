"""A server process and the command line, as a user has them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.parts import kubeconfig_path

SPARK = (str(Path(sys.executable).with_name("spark")),)


def environment(home: Path) -> dict[str, str]:
    """The environment of a user whose state is in ``home``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "KUBE"))}
    return {**kept, "XDG_STATE_HOME": str(home), "PYTHONUNBUFFERED": "1"}


class Server:
    """`spark server` on free ports; ``home`` survives it, so that another one can go on."""

    def __init__(self, home: Path, *flags: str, command: str = "server") -> None:
        self.home = home
        self._flags = flags
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader: threading.Thread | None = None
        self.url = self.grpc = ""

    def start(self) -> None:
        """Start it, and wait until it serves."""
        ports = [url.rpartition(":")[2] or "0" for url in (self.url, self.grpc)]
        words = [*SPARK, self._command, "--port", ports[0], "--grpc-port", ports[1]]
        words += ["--data-dir", str(self.home / "data"), "--log-format", "json"]
        self._process = subprocess.Popen(
            [*words, *self._flags], env=environment(self.home), stderr=subprocess.PIPE, text=True
        )
        begin = len(self.lines)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with self._news:
            serving = self._news.wait_for(lambda: any('"serving"' in line for line in self.lines[begin:]), timeout=60)
        assert serving, f"the server did not start: {self.lines[begin:]}"
        facts = next(json.loads(line) for line in self.lines[begin:] if '"serving"' in line)
        self.url, self.grpc = facts["url"], facts.get("grpc", "")

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def number(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def until(self, text: str) -> None:
        """Wait for a line of its log that holds this text."""
        with self._news:
            assert self._news.wait_for(lambda: any(text in line for line in self.lines), timeout=60), self.lines

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end; the exit code."""
        assert self._process is not None
        assert self._process.stderr is not None
        self._process.send_signal(number)
        code = self._process.wait(60)
        assert self._reader is not None
        self._reader.join(10)
        self._process.stderr.close()
        self._process = None
        return code

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended."""
        return self._process is not None

    def spark(self, *words: str, expect: int | None = 0, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line against it."""
        env = {**environment(self.home), "SPARK_SERVER": self.url}
        done = subprocess.run([*SPARK, *words], env=env, input=given, capture_output=True, text=True, check=False)
        assert expect is None or done.returncode == expect, f"{words}: {done.returncode}, {done.stdout}, {done.stderr}"
        return done

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as `get` shows it."""
        shown: dict[str, Any] = json.loads(self.spark("get", job_id, "-o", "json").stdout)
        return shown

    def unexpected(self) -> list[str]:
        """What it logged as an error."""
        return [line for line in self.lines if '"level": "error"' in line or "Traceback" in line]


@contextmanager
def serving(home: Path, *flags: str, command: str = "server") -> Iterator[Server]:
    """A server for the time of a block; it must not have logged an error."""
    server = Server(home, *flags, command=command)
    server.start()
    try:
        yield server
    finally:
        if server.runs:
            server.end()
    assert not server.unexpected(), "\n".join(server.lines[-200:])


def on_kubernetes(where: str, *flags: str) -> tuple[str, ...]:
    """The flags of a server on the test cluster."""
    return ("--cluster", "kubernetes", "--kubeconfig", str(kubeconfig_path()), "--namespace", where, *flags)
