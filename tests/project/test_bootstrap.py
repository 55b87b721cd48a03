"""`dev/bootstrap.sh` with a PATH of pretended Pythons: it takes one that runs, and mends what is half made."""

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.project.repository import ROOT

SHIM = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"
# Pretends to be Python: takes the checks, makes a .venv with itself in it, writes down what pip is told.
PYTHON = """#!/bin/sh
echo "$0 $*" >>"$CALLS"
case "$1 $2" in
    "-c "*platform*) echo 3.12.0 ;;
    "-c "*ensurepip*) test ! -e "$(dirname "$0")/without-venv" ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") test ! -e "$HERE/offline" ;;
esac
"""


@dataclass
class Machine:
    """A folder with the files that the script reads, and a PATH of its own."""

    root: Path

    @property
    def programs(self) -> Path:
        return self.root / "programs"

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def bootstrap(self, *folders: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([*(str(self.programs / folder) for folder in folders), str(self.programs)])
        env = {"PATH": path, "CALLS": str(self.root / "calls"), "HERE": str(self.root)}
        (self.root / "calls").write_text("")
        return subprocess.run(
            ["/bin/sh", str(self.root / "dev/bootstrap.sh")], env=env, capture_output=True, text=True, check=False
        )

    def calls(self) -> str:
        return (self.root / "calls").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """No Python at all, and a fresh clone."""
    for name in ("dev/bootstrap.sh", "requirements/dev.lock", "pyproject.toml", "hatch_build.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    made = Machine(tmp_path)
    made.programs.mkdir()
    for name in ("cat", "cksum", "cp", "dirname", "mkdir", "rm"):
        (made.programs / name).symlink_to(str(shutil.which(name)))
    return made


def test_a_python_is_taken_only_if_it_runs(machine: Machine) -> None:
    machine.program("python3.13", SHIM)
    machine.program("python3.12", PYTHON)
    done = machine.bootstrap()
    assert (done.returncode, "python3.12" in done.stderr) == (0, True), done.stderr
    assert "--require-hashes" in machine.calls()


def test_a_shim_hides_no_python_further_down_the_path(machine: Machine) -> None:
    machine.program("shims/python3.12", SHIM)
    machine.program("python3.12", PYTHON)
    done = machine.bootstrap("shims")
    assert done.returncode == 0, done.stderr
    assert f"{machine.programs}/python3.12 -m venv" in machine.calls()


def test_without_a_python_the_install_line_is_named(machine: Machine) -> None:
    machine.program("python3", SHIM)
    done = machine.bootstrap()
    assert done.returncode == 1
    assert "no Python 3.11 or newer" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert not (machine.root / ".venv").exists()


def test_a_python_without_venv_is_named_with_its_install_line(machine: Machine) -> None:
    machine.program("python3", PYTHON)
    machine.program("without-venv", "")
    done = machine.bootstrap()
    assert done.returncode == 1
    assert "python3 has no venv or ensurepip" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_a_second_run_does_nothing(machine: Machine) -> None:
    machine.program("python3", PYTHON)
    machine.bootstrap()
    done = machine.bootstrap()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "-m" not in machine.calls()


def test_a_half_made_environment_is_rebuilt(machine: Machine) -> None:
    machine.program("python3", PYTHON)
    (machine.root / "offline").touch()
    assert machine.bootstrap().returncode != 0
    (machine.root / ".venv/remains").touch()
    (machine.root / "offline").unlink()
    assert machine.bootstrap().returncode == 0
    assert not (machine.root / ".venv/remains").exists()


def test_an_environment_whose_python_is_gone_is_rebuilt(machine: Machine) -> None:
    machine.program("python3", PYTHON)
    machine.bootstrap()
    (machine.root / ".venv/bin/python").write_text(SHIM)
    assert machine.bootstrap().returncode == 0
    assert "-m venv" in machine.calls()


def test_a_changed_lock_installs_again_without_a_new_environment(machine: Machine) -> None:
    machine.program("python3", PYTHON)
    machine.bootstrap()
    with (machine.root / "requirements/dev.lock").open("a") as file:
        file.write("# changed\n")
    assert machine.bootstrap().returncode == 0
    assert ("-m pip install" in machine.calls(), "-m venv" in machine.calls()) == (True, False)


def test_a_failed_update_counts_as_half_made(machine: Machine) -> None:
    machine.program("python3", PYTHON)
    machine.bootstrap()
    with (machine.root / "requirements/dev.lock").open("a") as file:
        file.write("# changed\n")
    (machine.root / "offline").touch()
    assert machine.bootstrap().returncode != 0
    (machine.root / "offline").unlink()
    assert machine.bootstrap().returncode == 0
    assert "-m venv" in machine.calls()
