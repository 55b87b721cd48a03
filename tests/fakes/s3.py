"""An S3-compatible object store on loopback: moto's, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from xml.etree import ElementTree as ET

_PROGRAM = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
_SIGNED = "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
SECRET = "n0t-for-anybody"


class ObjectStore:
    """Buckets at ``url``; what is in them is gone when it stops."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client's environment says of it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def start(self) -> None:
        """Start it, on the same port as before."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(self._port)],
            env=outside,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def stop(self) -> None:
        """Stop it, at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def hang(self) -> None:
        """Take connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again, and all that was asked meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reset(self) -> None:
        """Forget everything in it."""
        self._ask("POST", "/moto-api/reset")

    def make_bucket(self, bucket: str) -> None:
        """Make an empty bucket."""
        self._ask("PUT", f"/{bucket}")

    def begin(self, bucket: str, name: str) -> None:
        """Begin an object in parts, and leave it at that."""
        self._ask("POST", f"/{bucket}/{name}?uploads")

    def names(self, bucket: str) -> list[str]:
        """The names of all objects in it."""
        return self._texts(f"/{bucket}?list-type=2", "Key")

    def unfinished(self, bucket: str) -> list[str]:
        """The names of objects that were begun in parts and neither finished nor given up."""
        return self._texts(f"/{bucket}?uploads", "Key")

    def read(self, bucket: str, name: str) -> bytes | None:
        """An object; null where there is none."""
        try:
            return self._ask("GET", f"/{bucket}/{name}")
        except HTTPError as error:
            if error.code != 404:
                raise
            error.close()
            return None

    def _texts(self, path: str, tag: str) -> list[str]:
        tree = ET.fromstring(self._ask("GET", path))
        return [each.text or "" for each in tree.iter() if each.tag.rpartition("}")[2] == tag]

    def _ask(self, method: str, path: str) -> bytes:
        # It looks at who asks, not at what that is signed with.
        request = urllib.request.Request(f"{self.url}{path}", method=method, headers={"Authorization": _SIGNED})
        with urllib.request.urlopen(request, timeout=20) as answer:
            body: bytes = answer.read()
        return body


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """One that runs for the time of a block."""
    store = ObjectStore()
    store.start()
    try:
        yield store
    finally:
        store.stop()
