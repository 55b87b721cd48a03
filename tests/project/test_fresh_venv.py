"""The bare wheel in an environment of its own: how much it brings, what works, and what names the extra that it needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import figures
from tests.e2e.server import Server, environment, serving
from tests.project.repository import ROOT, build_wheel

pytestmark = pytest.mark.needs("index")

SERVER_EXTRA, GRPC_EXTRA = "pip install 'spark-jobs[server]'", "pip install 'spark-jobs[grpc]'"
IMPORTS = ("from spark_jobs import Runner", "from spark_jobs.sync import Runner")


class Venv:
    """A virtual environment."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        self.folder = folder
        self.home = folder / "home"

    def size(self) -> int:
        """The bytes of all files in it that are no links."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())

    def run(self, program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs."""
        command = [str(self.folder / "bin" / program), *words]
        env = {**environment(self.home), **variables}
        return subprocess.run(command, env=env, cwd=self.folder, capture_output=True, text=True, check=False)

    def install(self, *words: str) -> None:
        """Install packages from the index."""
        done = self.run("python", "-m", "pip", "install", "--quiet", "--no-compile", *words)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """The wheel without any extra; what it added is small."""
    venv = Venv(tmp_path_factory.mktemp("bare"))
    before = venv.size()
    venv.install(str(wheel))
    figures.at_most("the client and what it needs, not compiled", (venv.size() - before) / 1e6, 25, "MB")
    return venv


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server elsewhere, for the client in the bare environment."""
    with serving(tmp_path_factory.mktemp("server"), command="dev") as running:
        yield running


def test_the_client_works(bare: Venv, server: Server) -> None:
    """Help, and a job on a real server."""
    shown = bare.run("spark", "--help")
    assert (shown.returncode, "submit" in shown.stdout) == (0, True)
    token = (server.home / "data/token").read_text().strip()
    words = ("run", "-q", "--image", "busybox:1", "--", "sh", "-c", "echo out; exit 3")
    done = bare.run("spark", *words, SPARK_SERVER=server.url, SPARK_TOKEN=token)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "")


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("server",), SERVER_EXTRA),
        (("dev",), SERVER_EXTRA),
        (("doctor",), SERVER_EXTRA),
        (("list", "--server", "grpc://127.0.0.1:9000"), GRPC_EXTRA),
        (("run", "--mode", "grpc", "--image", "busybox:1", "--", "true"), GRPC_EXTRA),
        (("run", "--standalone", "--image", "busybox:1", "--", "true"), SERVER_EXTRA),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(bare: Venv, words: tuple[str, ...], extra: str) -> None:
    done = bare.run("spark", *words)
    [line] = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith("spark: ")
    assert line.endswith(extra)


@pytest.mark.parametrize("statement", IMPORTS)
def test_the_library_names_the_extra_that_it_lacks(bare: Venv, statement: str) -> None:
    """As an ImportError, so that programs which try can go on without."""
    done = bare.run("python", "-c", f"try:\n    {statement}\nexcept ImportError as error:\n    print(error)")
    assert done.stdout.strip().endswith(SERVER_EXTRA), done.stderr


def test_the_locked_packages_run_a_server(wheel: Path, tmp_path: Path) -> None:
    """What deploy/Dockerfile installs, by the same steps; and all of it goes together."""
    venv = Venv(tmp_path / "venv")
    venv.install("--require-hashes", "-r", str(ROOT / "requirements/server.lock"))
    venv.install("--no-deps", str(wheel))
    assert venv.run("python", "-m", "pip", "check").returncode == 0
    checked = venv.run("spark", "doctor", "--cluster", "local", "--data-dir", str(tmp_path / "data"))
    assert checked.returncode == 0, checked.stderr
    for statement in IMPORTS:
        assert venv.run("python", "-c", statement).returncode == 0
