"""Where things are: the build cache, and one folder for each cluster."""

import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import ClusterError

# A unix socket's path ends at 107 characters; the longest one below a cluster's folder takes 60.
_LONGEST_HOME = 40


def source_home() -> Path:
    """The folder of this package, which holds the Go modules too."""
    return Path(__file__).resolve().parent


def cache_home() -> Path:
    """Where built programs are kept between clusters and checkouts."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "spark-jobs"


def clusters_home() -> Path:
    """The folder of all clusters' folders; short, since unix sockets lie below it."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if state and len(state) + len("/spark-clusters") <= _LONGEST_HOME:
        return Path(state) / "spark-clusters"
    # Safe: made for this user alone, and refused if somebody else made it.
    return Path(f"/tmp/spark-clusters-{os.getuid()}")  # noqa: S108


def make_clusters_home() -> Path:
    """Makes it, for this user alone. Raises ClusterError if somebody else made it first."""
    home = clusters_home()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ClusterError(f"{home} is not a folder of this user: remove it, or set XDG_STATE_HOME to a short path")
    return home


@dataclass(frozen=True)
class Folder:
    """The folder of one cluster, and what lies in it."""

    root: Path

    @classmethod
    def of(cls, name: str) -> "Folder":
        """The folder of the cluster with that name."""
        return cls(clusters_home() / name)

    @property
    def record(self) -> Path:
        """The file with all that was chosen for the cluster."""
        return self.root / "cluster.json"

    @property
    def processes(self) -> Path:
        """The file with the processes that were started."""
        return self.root / "processes.json"

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def node_kubeconfig(self) -> Path:
        """The kubelet's kubeconfig."""
        return self.root / "node.kubeconfig"

    @property
    def certificates(self) -> Path:
        """The folder of keys and certificates."""
        return self.root / "pki"

    @property
    def configs(self) -> Path:
        """The folder of the parts' configuration files."""
        return self.root / "etc"

    @property
    def logs(self) -> Path:
        """The folder of the parts' own logs, one file each."""
        return self.root / "logs"

    @property
    def pod_logs(self) -> Path:
        """Where the kubelet keeps the containers' logs."""
        return self.root / "pods"

    @property
    def containerd_socket(self) -> Path:
        """containerd's own socket."""
        return self.root / "cd/s"

    def log(self, part: str) -> Path:
        """The log file of one part."""
        return self.logs / f"{part}.log"


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Holds the lock file at `path`; says on stderr what it waits for if somebody else holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {waiting_for}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(what: str) -> None:
    """Tells the person at the terminal; stdout is kept for results."""
    print(f"cluster: {what}", file=sys.stderr, flush=True)
