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
    """Remembers every version of every object of a kind from now on, in order of arrival.

    A watch that ends, with the API server for instance, is taken up where it broke. Where the server no longer has what
    happened since, a list shows the difference: its events are FOUND (made or changed) and DELETED.
    """

    def __init__(self, kind: str, where: str) -> None:
        group = "apis/batch/v1" if kind == "jobs" else "api/v1"
        self._path = f"/{group}/namespaces/{where}/{kind}"
        self._news = threading.Condition()
        self.events: list[tuple[float, str, Object]] = []
        self._there: dict[str, Object] = {}
        self._version = ""
        self._list()
        self._closed = threading.Event()
        self._process = self._open()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _open(self) -> subprocess.Popen[bytes]:
        path = f"{self._path}?watch=true&allowWatchBookmarks=true&resourceVersion={self._version}"
        command = [*kubectl_command(), "get", "--raw", path]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _follow(self) -> None:
        while not self._closed.is_set():
            expired = self._read(self._process)
            if self._closed.wait(0.2):
                return
            if expired:
                self._list()
            self._process = self._open()

    def _list(self) -> None:
        """Tell of all that is other than was known."""
        listed = json.loads(kubectl("get", "--raw", self._path))
        now = {item["metadata"]["name"]: item for item in listed["items"]}
        for name in self._there.keys() - now.keys():
            self._add("DELETED", self._there[name])
        for name, item in sorted(now.items(), key=lambda each: int(each[1]["metadata"]["resourceVersion"])):
            known = self._there.get(name)
            if known is None or known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._add("FOUND", item)
        self._version = listed["metadata"]["resourceVersion"]

    def _read(self, process: subprocess.Popen[bytes]) -> bool:
        """One watch, to its end; whether it can't be taken up where it ended."""
        assert process.stdout is not None
        expired = False
        with process.stdout as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # it broke inside an event, which comes again
                event = json.loads(line)
                if event["type"] == "ERROR":
                    expired = True
                    break
                self._version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._add(event["type"], event["object"])
        process.wait()
        return expired

    def _add(self, kind: str, thing: Object) -> None:
        with self._news:
            self.events.append((time.time(), kind, thing))
            if kind == "DELETED":
                self._there.pop(thing["metadata"]["name"], None)
            else:
                self._there[thing["metadata"]["name"]] = thing
            self._news.notify_all()

    def until(self, holds: Callable[[list[tuple[float, str, Object]]], bool], *, seconds: float) -> None:
        """Wait until something holds of all events so far."""
        with self._news:
            assert self._news.wait_for(lambda: holds(self.events), timeout=seconds), f"not within {seconds} s"

    def close(self) -> None:
        """End it."""
        self._closed.set()
        while self._thread.is_alive():
            self._process.terminate()
            self._thread.join(0.5)

    def names(self) -> list[str]:
        """The objects ever seen, in the order in which they were made."""
        made = {
            event[2]["metadata"]["name"]: int(event[2]["metadata"]["resourceVersion"])
            for event in reversed(self.events)
        }
        return sorted(made, key=lambda name: made[name])

    def left(self) -> list[str]:
        """The objects that are there now."""
        return list(self._there)

    def last(self, name: str) -> Object:
        """The newest version of an object that is there, or was."""
        with self._news:
            return next(thing for _, _, thing in reversed(self.events) if thing["metadata"]["name"] == name)


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
