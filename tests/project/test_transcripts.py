"""Transcripts in the pages are real: each command is run against a local server, and prints what the page says."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dev import demo, processes
from tests.project.repository import read, tracked_files
from tests.project.transcripts import Step, comparable, steps

DEFAULT = "127.0.0.1:8000"
# Page -> what it needs besides Spark.
PAGES: dict[str, tuple[str, ...]] = {
    "README.md": (),
    "docs/quickstart.md": ("curl",),
    "docs/guides/local-cluster.md": (),
    "docs/guides/logs-and-exit-codes.md": (),
}
LONGEST_STEP = 60.0  # seconds


class Shell:
    """A shell beside a server, in a home of their own."""

    def __init__(self, address: str, env: Mapping[str, str], folder: Path) -> None:
        """Commands run in `folder`; the default address in them becomes `address`."""
        self._address = address
        self._env = env
        self._folder = folder

    def run(self, command: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace(DEFAULT, self._address)],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_STEP,
            check=False,
        )
        return done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("home")
    address = f"127.0.0.1:{demo.free_port()}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "XDG_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**kept, "HOME": str(home), "PATH": path, "SPARK_SERVER": f"http://{address}"}
    work = home / "work"
    work.mkdir()
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [demo.SPARK, "dev", "--port", address.partition(":")[2], "--grpc-port", "none"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        demo.wait_until_ready(server, f"http://{address}")
        yield Shell(address, env, work)
    finally:
        processes.stop(server)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.needs(*needs)] if needs else []) for page, needs in PAGES.items()]
)
def test_every_command_of_a_page_prints_what_the_page_says(page: str, shell: Shell) -> None:
    told = steps(read(page))
    assert told
    for step in told:
        printed = shell.run(step.command)
        assert comparable(printed) == comparable(step.output), f"{page}: $ {step.command}\n{printed}"


def test_no_page_has_a_transcript_that_is_not_tried() -> None:
    with_transcripts = {str(name) for name in tracked_files() if name.suffix == ".md" and "```console" in read(name)}
    assert with_transcripts == PAGES.keys()


def test_a_transcript_is_taken_apart_into_commands_and_outputs() -> None:
    page = (
        "Text\n```console\n$ cat <<E\n> a\n> E\na\n$ true\n```\n```sh\n$ not this\n```\n```console\n$ date\nnow\n```\n"
    )
    assert steps(page) == [Step("cat <<E\na\nE", "a\n"), Step("true", ""), Step("date", "now\n")]
    with pytest.raises(ValueError, match="does not begin with a command"):
        steps("```console\nout\n```\n")


def test_only_ids_times_and_blanks_may_differ() -> None:
    told = "spark: spark-job-b1vcqtszo6oz4y1 SUCCEEDED, exit code 0, 3 s\nID   AGE\n"
    printed = "spark: spark-job-87aukud8mvvxj4r SUCCEEDED, exit code 0, 12 s\nID     AGE  \n"
    assert comparable(told) == comparable(printed)
    assert comparable("exit code 0") != comparable("exit code 1")
    assert comparable("x 2h3m 2026-11-25T04:47:53Z") == comparable("x 5s 2030-01-01T00:00:00.5Z")
