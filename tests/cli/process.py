"""`spark` as a process of its own."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.e2e.server import SPARK

PATIENCE = 60.0
"""Seconds that a process has, and whoever waits for one."""


@contextmanager
def bounded(process: subprocess.Popen[Any]) -> Iterator[None]:
    """The process is gone after the block, and when its time is over: what is read of it ends then, and nobody hangs."""
    over = threading.Timer(PATIENCE, process.kill)
    over.start()
    try:
        yield
    finally:
        over.cancel()
        process.kill()


@contextmanager
def started(
    *words: str, env: Mapping[str, str] | None = None, shell: str = 'exec "$@"'
) -> Iterator[subprocess.Popen[str]]:
    """`spark` with these words and pipes for what it says; in the environment of the tests unless another is given.
    ``shell``: what the shell does that begins it."""
    pipe = subprocess.PIPE
    command = ["sh", "-c", shell, "sh", *SPARK, *words]
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True) as process, bounded(process):
        yield process
