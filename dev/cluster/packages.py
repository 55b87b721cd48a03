"""The few programs of the system that a cluster needs, and how Debian and Ubuntu bring them."""

import os
import shutil
import subprocess
from pathlib import Path

from dev.cluster.errors import ClusterError
from dev.cluster.places import cache_home, locked, say

CNI_PROGRAMS = Path("/usr/lib/cni")

# What must be there, and the package that has it.
_PROGRAMS = {
    "ip": "iproute2",
    "mount": "mount",
    "openssl": "openssl",
    "runc": "runc",
    str(CNI_PROGRAMS / "bridge"): "containernetworking-plugins",
    str(CNI_PROGRAMS / "host-local"): "containernetworking-plugins",
}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def system_path() -> str:
    """The PATH for the cluster's parts; sbin is not in everybody's."""
    return f"{os.environ.get('PATH', '')}:{_PATH}".removeprefix(":")


def find(program: str) -> str | None:
    """Where the program is, None if it is not installed."""
    return shutil.which(program, path=system_path())


def missing_packages(simulated: bool) -> list[str]:
    """The packages that have to be installed before a cluster of that kind can start."""
    programs = {"openssl": "openssl"} if simulated else _PROGRAMS
    return sorted({package for program, package in programs.items() if not find(program)})


def install_missing(simulated: bool) -> None:
    """Installs what is missing and removes nothing. Raises ClusterError."""
    packages = missing_packages(simulated)
    if not packages:
        return
    if os.getuid() != 0 or not find("apt-get"):
        raise ClusterError(f"missing: {' '.join(packages)}. Install them: sudo apt-get install {' '.join(packages)}")
    say(f"installing {' '.join(packages)}")
    with locked(cache_home() / ".apt-lock", "another installation"):
        _apt("update")
        # --no-remove: a plain installation of runc would throw out Docker's own build of it.
        _apt("install", "--yes", "--no-remove", "--no-install-recommends", *packages)


def busybox() -> Path:
    """A statically linked busybox for the images, from the cache if the system has none. Raises ClusterError."""
    for candidate in (find("busybox"), str(cache_home() / "busybox/bin/busybox")):
        if candidate and _is_static(Path(candidate)):
            return Path(candidate)
    folder = cache_home() / "busybox"
    with locked(cache_home() / ".apt-lock", "another installation"):
        # Not installed: it and Debian's other busybox exclude each other.
        say("fetching busybox-static for the images")
        folder.mkdir(parents=True, exist_ok=True)
        _apt("update")
        _apt("download", "busybox-static", folder=folder)
        for package in folder.glob("busybox-static_*.deb"):
            _run(["dpkg-deb", "-x", str(package), str(folder)])
            package.unlink()
    for candidate in ("bin/busybox", "usr/bin/busybox"):
        if (folder / candidate).exists():
            return folder / candidate
    raise ClusterError("the package busybox-static holds no busybox")


def _is_static(program: Path) -> bool:
    """Whether an ELF program names no interpreter. The name stands in its first page where there is one."""
    try:
        with program.open("rb") as file:
            return b"/ld-" not in file.read(4096)
    except OSError:
        return False


def _apt(*arguments: str, folder: Path | None = None) -> None:
    _run(["apt-get", "--quiet", *arguments], folder)


def _run(command: list[str], folder: Path | None = None) -> None:
    environment = {**os.environ, "PATH": system_path(), "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = (done.stderr or done.stdout).strip()[-1500:]
        raise ClusterError(f"`{' '.join(command)}` failed:\n{tail}")
