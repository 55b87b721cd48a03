"""An independent look at the test cluster: kubectl, as any operator would use it."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.parts import kubeconfig_path

Object = dict[str, Any]


def kubectl_command() -> list[str]:
    """kubectl for the test cluster: SPARK_TEST_KUBECTL, or the one on the PATH."""
    words = shlex.split(os.environ.get("SPARK_TEST_KUBECTL", "kubectl"))
    return [*words, "--kubeconfig", str(kubeconfig_path())]


def kubectl(*args: str, given: str | None = None) -> str:
    """Run kubectl; its output."""
    done = subprocess.run([*kubectl_command(), *args], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
    return done.stdout


@contextmanager
def namespace() -> Iterator[str]:
    """A namespace of the test's own, with its default service account."""
    name = f"spark-e2e-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    try:
        kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


class Watcher:
    """Follows `kubectl get KIND -w` and remembers every version of every object, in order of arrival."""

    def __init__(self, kind: str, where: str) -> None:
        command = [*kubectl_command(), "get", kind, "-n", where, "-w", "--output-watch-events", "-o", "json"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._news = threading.Condition()
        self.events: list[tuple[float, str, Object]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        decoder, text = json.JSONDecoder(), ""
        assert self._process.stdout is not None
        while part := os.read(self._process.stdout.fileno(), 1 << 16):
            text += part.decode()
            while text.strip():
                try:
                    event, end = decoder.raw_decode(text.lstrip())
                except json.JSONDecodeError:
                    break
                text = text.lstrip()[end:]
                with self._news:
                    self.events.append((time.time(), event["type"], event["object"]))
                    self._news.notify_all()

    def until(self, holds: Callable[[list[tuple[float, str, Object]]], bool], *, seconds: float) -> None:
        """Wait until something holds of all events so far."""
        with self._news:
            assert self._news.wait_for(lambda: holds(self.events), timeout=seconds), f"not within {seconds} s"

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def names(self) -> list[str]:
        """The objects ever seen, in the order in which they were made."""
        made = {
            event[2]["metadata"]["name"]: int(event[2]["metadata"]["resourceVersion"])
            for event in reversed(self.events)
        }
        return sorted(made, key=lambda name: made[name])

    def left(self) -> list[str]:
        """The objects that are there now."""
        there: dict[str, bool] = {}
        for _, kind, thing in self.events:
            there[thing["metadata"]["name"]] = kind != "DELETED"
        return [name for name, here in there.items() if here]


def unfinished(events: list[tuple[float, str, Object]]) -> int:
    """The largest number of pods at any time whose phase was neither Succeeded nor Failed."""
    live: set[str] = set()
    most = 0
    for _, kind, pod in events:
        name = pod["metadata"]["name"]
        if kind == "DELETED" or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            live.discard(name)
        else:
            live.add(name)
        most = max(most, len(live))
    return most


@contextmanager
def watching(kind: str, where: str) -> Iterator[Watcher]:
    """A watcher that sees whatever happens in the block."""
    watcher = Watcher(kind, where)
    try:
        yield watcher
    finally:
        watcher.close()
