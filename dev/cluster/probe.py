"""Says what this machine lacks to run the cluster."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dev.cluster import build, cgroups
from dev.cluster.packages import find, missing_packages
from dev.cluster.places import cache_home, clusters_home

ELSEWHERE = "To use a cluster that you have, set SPARK_TEST_KUBECONFIG to its kubeconfig."
_BUILD_GB = 8
_RUN_GB = 2


def probe(simulated: bool = False) -> list[str]:
    """What is missing, a line each; empty if the cluster can run here."""
    if sys.platform != "linux":
        return [f"Linux: this is {sys.platform}"]
    missing = [] if simulated else _for_containers()
    if (packages := missing_packages(simulated)) and not (os.getuid() == 0 and _is_debian()):
        missing.append(
            f"packages: {' '.join(packages)} (install them; only root on Debian or Ubuntu gets them by itself)"
        )
    needed = _RUN_GB if all(module.built() for module in build.modules(simulated)) else _BUILD_GB
    for place in sorted({_existing(cache_home()), _existing(clusters_home())}):
        free = shutil.disk_usage(place).free / 1e9
        if free < needed:
            missing.append(f"disk: {place} has {free:.1f} GB free, {needed} GB are needed")
    return missing


def _for_containers() -> list[str]:
    missing = []
    if not _is_debian():
        missing.append("Debian or Ubuntu: /etc/os-release names another system")
    if os.getuid() != 0:
        return [*missing, "root: containers, mounts and bridges need it"]
    if not cgroups.is_unified() and not (cgroups.ROOT / "memory" / "cgroup.procs").exists():
        missing.append(f"cgroups: neither v1 nor v2 is mounted at {cgroups.ROOT}")
    elif not os.access(cgroups.ROOT, os.W_OK):
        missing.append(f"cgroups: {cgroups.ROOT} cannot be written")
    if (reason := _overlay_fails()) is not None:
        missing.append(f"overlay: mounting one in {_existing(clusters_home())} fails: {reason}")
    if (reason := _bridge_fails()) is not None:
        missing.append(f"bridge: making one fails: {reason}")
    return missing


def _overlay_fails() -> str | None:
    """Why no overlay can be mounted where the containers will be: such a folder may itself be an overlay's."""
    mount = find("mount")
    if not mount:
        return "mount (package mount) is not installed"
    with tempfile.TemporaryDirectory(dir=_existing(clusters_home())) as folder:
        lower, upper, work, point = (Path(folder, name) for name in ("lower", "upper", "work", "point"))
        for path in (lower, upper, work, point):
            path.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        done = _run(mount, "-t", "overlay", "overlay", "-o", options, str(point))
        if done.returncode:
            return done.stderr.strip()
        _run(find("umount") or "umount", str(point))
    return None


def _bridge_fails() -> str | None:
    ip = find("ip")
    if not ip:
        return None if _is_debian() else "ip (package iproute2) is not installed"
    name = f"spkprobe{os.getpid() % 1_000_000}"
    done = _run(ip, "link", "add", name, "type", "bridge")
    if done.returncode:
        return done.stderr.strip()
    _run(ip, "link", "delete", name)
    return None


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _is_debian() -> bool:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return False
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    systems = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "").split()
    return bool({"debian", "ubuntu"} & set(systems)) and find("apt-get") is not None


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
