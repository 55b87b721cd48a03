"""What the tests of the library share."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spark_jobs import JobSpec
from spark_jobs.testing import FakeCluster, Script

SLEEPS = Script(lines=("begun",), runs=None)
"""Goes on until it is stopped."""


def words(*command: str) -> dict[str, object]:
    """A job with this command."""
    return {"image": "busybox:1", "command": list(command)}


def scripted(**by_first_word: Script) -> FakeCluster:
    """A fake cluster in which the command's first word says what a container does; any other one just ends.

    ``exit N`` ends with N, ``sleep N`` runs for N seconds, ``echo A B`` prints a line.
    """

    def script(spec: JobSpec) -> Script:
        program, *arguments = spec.command or [""]
        builtin: dict[str, Callable[[], Script]] = {
            "exit": lambda: Script(exit_code=int(arguments[0])),
            "sleep": lambda: Script(runs=float(arguments[0])),
            "echo": lambda: Script(lines=(" ".join(arguments),)),
            "forever": lambda: SLEEPS,
        }
        return by_first_word.get(program) or builtin.get(program, Script)()

    return FakeCluster(script)


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Whatever becomes of a Runner, its private folder goes."""
    own = tmp_path / "tmp"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    yield
    assert list(own.iterdir()) == []


def others() -> set[asyncio.Task[object]]:
    """The tasks of this event loop besides the test's own."""
    return asyncio.all_tasks() - {task for task in [asyncio.current_task()] if task is not None}
