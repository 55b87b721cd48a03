"""The top-level cgroup of one kubelet, on cgroup v1 and v2."""

import contextlib
from pathlib import Path

from dev.cluster.errors import ClusterError

ROOT = Path("/sys/fs/cgroup")


def is_unified(root: Path = ROOT) -> bool:
    """Whether this machine uses cgroup v2 alone."""
    return (root / "cgroup.controllers").exists()


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The folders below which a cgroup can be made: one on v2, one per controller (and v2's, without any) on v1."""
    if is_unified(root):
        return [root]
    controllers = [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()]
    return sorted(path for path in controllers if (path / "cgroup.procs").exists())


def make(name: str, root: Path = ROOT) -> None:
    """Makes the cgroup below every controller. Raises ClusterError."""
    try:
        if is_unified(root):
            _delegate(root)
        for hierarchy in hierarchies(root):
            group = hierarchy / name
            group.mkdir(exist_ok=True)
            if (hierarchy / "cpuset.cpus").exists() and not is_unified(root):
                # A cpuset of v1 starts empty, and takes no process before it has both.
                for setting in ("cpuset.cpus", "cpuset.mems"):
                    (group / setting).write_text((hierarchy / setting).read_text())
        if is_unified(root):
            _delegate(root / name)
    except OSError as failure:
        raise ClusterError(
            f"cannot make the cgroup {name}: {failure}. Run as root, with a writable {root}"
        ) from failure


def _delegate(group: Path) -> None:
    available = set((group / "cgroup.controllers").read_text().split())
    wanted = sorted(available & {"cpu", "cpuset", "hugetlb", "io", "memory", "pids"})
    (group / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in wanted))


def members(name: str, root: Path = ROOT) -> set[int]:
    """The process ids anywhere in the cgroup."""
    found: set[int] = set()
    for hierarchy in hierarchies(root):
        for group in _below(hierarchy / name):
            with contextlib.suppress(FileNotFoundError):  # The kubelet or runc may be removing it right now.
                found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
    return found


def remove(name: str, root: Path = ROOT) -> list[Path]:
    """Removes the cgroup, which must have no members. Returns what could not be removed."""
    left = []
    for hierarchy in hierarchies(root):
        for group in reversed(_below(hierarchy / name)):
            try:
                group.rmdir()
            except OSError:
                left.append(group)
    return left


def _below(group: Path) -> list[Path]:
    """The group and all groups in it, parents first."""
    if not group.is_dir():
        return []
    return [group, *(found for child in sorted(group.iterdir()) if child.is_dir() for found in _below(child))]
