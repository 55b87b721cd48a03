"""The content of an image like that of deploy/Dockerfile, made from this machine's Python and the packages in .venv.

For clusters without a registry: nothing is pulled, and what runs in the image is what the tests here run with.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from dev.cluster.images import Start

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "server.lock"
PACKAGES = Path("opt/spark")

# Parts of the standard library that no server needs, and packages beside it that are not part of it.
_LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "config-*", "ensurepip", "idlelib", "lib2to3", "site-packages", "dist-packages", "test", "tkinter"
)
_PROGRAM = "#!/usr/local/bin/python3\nfrom spark_jobs.cli.main import main\nmain()\n"
_LIBRARY = re.compile(r"(?:=> |^\s)(/\S+) \(0x", re.MULTILINE)

START = Start(entrypoint=("spark",), command=("server",), environment=(f"PYTHONPATH=/{PACKAGES}",), user="10001:10001")
"""How its containers start: as those of deploy/Dockerfile."""


def fill(folder: Path, wheel: Path) -> None:
    """Puts Python, the packages of the server and the wheel into an empty folder. Raises OSError, CalledProcessError."""
    _copy_python(folder)
    packages = folder / PACKAGES
    for line in _locked(LOCK.read_text(encoding="utf-8")):
        _copy_distribution(line.name, packages)
    shutil.unpack_archive(wheel, packages, format="zip")
    program = folder / "usr/local/bin/spark"
    program.write_text(_PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    _copy_libraries(folder)


def _locked(lock: str) -> list[Requirement]:
    """The requirements of a lock file that count on this machine."""
    lines = [Requirement(line.rstrip("\\ ")) for line in lock.splitlines() if re.match(r"\w", line)]
    return [line for line in lines if line.marker is None or line.marker.evaluate()]


def _copy_python(folder: Path) -> None:
    """The interpreter finds its library by its own place, so both may move together."""
    programs = folder / "usr/local/bin"
    programs.mkdir(parents=True)
    # The real file: beside the link in a virtual environment there is no library.
    shutil.copy2(Path(sys.executable).resolve(), programs / "python3")
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, folder / "usr/local/lib" / library.name, ignore=_LEFT_OUT)


def _copy_distribution(name: str, packages: Path) -> None:
    """What an installed package has put beside its modules (its programs are left out)."""
    for file in metadata.files(name) or ():
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), target)


def _copy_libraries(folder: Path) -> None:
    """Every shared library that something in the folder is linked with, at the place where the linker looks for it."""
    linked = [folder / "usr/local/bin/python3", *folder.rglob("*.so"), *folder.rglob("*.so.*")]
    for library in sorted(_libraries(linked)):
        target = folder / library.relative_to("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(library.resolve(), target)


def _libraries(files: Iterable[Path]) -> set[Path]:
    done = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False)
    return {Path(found) for found in _LIBRARY.findall(done.stdout)}
