"""Removes what a cluster left on the machine: containers, mounts, network, cgroups, links."""

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

from dev.cluster import cgroups
from dev.cluster.network import remove_address, remove_bridge
from dev.cluster.packages import find
from dev.cluster.places import Folder
from dev.cluster.processes import end_process, start_time
from dev.cluster.settings import Record

_POD_LOG_LINKS = Path("/var/log/containers")
_CNI_RESULTS = Path("/var/lib/cni/results")
_CTR_SECONDS = 60
_ROUNDS = 10


def remove_containers(ctr: Path, folder: Folder) -> None:
    """Kills and removes all containers through containerd, if it answers; what is left is for `remove_rest`."""

    def run(*arguments: str) -> list[str]:
        command = [str(ctr), "--address", str(folder.containerd_socket), "--namespace", "k8s.io", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_CTR_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return []
        return done.stdout.split()

    if tasks := run("tasks", "list", "--quiet"):
        run("tasks", "delete", "--force", *tasks)
    if containers := run("containers", "list", "--quiet"):
        run("containers", "delete", *containers)


def remove_rest(record: Record, folder: Folder) -> list[str]:
    """Removes everything that is outside the parts' own processes. Returns what could not be removed."""
    _end_shims(folder)
    _end_members(record.cgroup)
    _unmount_below(folder.root)
    remove_bridge(record.bridge)
    if record.services:
        remove_address(record.api_address)
    for link in _links_into(folder.pod_logs):
        link.unlink(missing_ok=True)
    _remove_network_results(folder)
    return [str(group) for group in cgroups.remove(record.cgroup)]


def remove_folder(folder: Folder) -> None:
    """Removes the cluster's folder, unless something is still mounted in it."""
    if mounts_below(folder.root):
        return
    shutil.rmtree(folder.root, ignore_errors=True)


def mounts_below(root: Path) -> list[str]:
    """The mount points below the folder, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    # Blanks and the like are written in octal there.
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in reversed(points) if point.startswith(f"{root}/")]


def _unmount_below(root: Path) -> None:
    for point in mounts_below(root):
        subprocess.run([find("umount") or "umount", "-l", point], capture_output=True, check=False)


def _end_members(cgroup: str) -> None:
    """Ends what still runs in the pods. More than one round, since a process may start another before its end."""
    for _ in range(_ROUNDS):
        running = {pid: started for pid in cgroups.members(cgroup) if (started := start_time(pid)) is not None}
        for pid, started in running.items():
            end_process(pid, started, kill=True)
        if not running:
            return


def _end_shims(folder: Folder) -> None:
    """Ends the shims that outlived their containers: those whose command line names this containerd."""
    sockets = _shim_sockets(folder)
    ours = f"\0-address\0{folder.containerd_socket}\0".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        program = command.partition(b"\0")[0]
        if program.endswith(b"containerd-shim-runc-v2") and ours in command:
            started = start_time(int(entry.name))
            if started is not None:
                end_process(int(entry.name), started, kill=True)
    for socket in sockets:
        socket.unlink(missing_ok=True)


def _shim_sockets(folder: Folder) -> list[Path]:
    """The sockets of shims, which lie in a folder that all containerds of the machine share."""
    found = []
    for bundle in folder.root.glob("cd/state/io.containerd.runtime.v2.task/*/*/bootstrap.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            address = json.loads(bundle.read_text(encoding="utf-8"))["address"]
            found.append(Path(address.removeprefix("unix://")))
    return found


def _remove_network_results(folder: Folder) -> None:
    """Removes what the network plugins noted about our pods, in a folder that all containerds of the machine share."""
    for result in _CNI_RESULTS.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if f'"{folder.root}/' in result.read_text(encoding="utf-8", errors="replace"):
                result.unlink()


def _links_into(target: Path) -> list[Path]:
    if not _POD_LOG_LINKS.is_dir():
        return []
    links = [path for path in _POD_LOG_LINKS.iterdir() if path.is_symlink()]
    return [link for link in links if str(link.readlink()).startswith(f"{target}/")]
