"""Python in the pages is real: each script is run as it is printed, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dev import demo, processes
from tests.project.repository import read

PAGES = ("README.md", "docs/guides/python.md")
TESTING = "docs/guides/testing-your-code.md"
LONGEST_README_SCRIPT = 15
PATIENCE = 120.0
_SCRIPT = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Script(NamedTuple):
    """A script of a page, and what it prints."""

    code: str
    output: str


def scripts(page: str) -> list[Script]:
    """All of them; each block of Python has its output after it."""
    found = [Script(*groups) for groups in _SCRIPT.findall(read(page))]
    assert len(found) == len(_BLOCK.findall(read(page))), f"{page} has a script without its output"
    return found


def environment(home: Path) -> dict[str, str]:
    """A reader's environment, without settings of Spark."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "XDG_", "KUBE"))}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a reader who has a server on this machine."""
    home = tmp_path_factory.mktemp("home")
    url = f"http://127.0.0.1:{demo.free_port()}"
    command = [demo.SPARK, "dev", "--port", url.rpartition(":")[2], "--grpc-port", "none"]
    with (home / "server.log").open("w") as log:
        running = subprocess.Popen(
            command, env=environment(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
        )
    try:
        demo.wait_until_ready(running, url)
        yield {**environment(home), "SPARK_SERVER": url}
    finally:
        processes.stop(running)


@pytest.mark.parametrize(("page", "number"), [(page, number) for page in PAGES for number in range(len(scripts(page)))])
def test_a_script_prints_what_the_page_says(page: str, number: int, server: dict[str, str], tmp_path: Path) -> None:
    script = scripts(page)[number]
    done = subprocess.run(
        [sys.executable, "-c", script.code],
        cwd=tmp_path,
        env=server,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == (script.output, "", 0)


def test_the_scripts_of_the_first_page_are_short() -> None:
    lengths = [len([line for line in script.code.splitlines() if line]) for script in scripts("README.md")]
    assert len(lengths) == 2
    assert max(lengths) <= LONGEST_README_SCRIPT


def test_the_example_of_testing_passes_as_it_is_printed(tmp_path: Path) -> None:
    blocks = _BLOCK.findall(read(TESTING))
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / block.partition("\n")[0].removeprefix("# ")).write_text(block)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_default_fixture_loop_scope=function", "test_nightly.py"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout
