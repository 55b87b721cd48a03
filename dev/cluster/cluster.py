"""One test cluster: up, down, and its parts one by one."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from dev.cluster import build, cgroups, configs, images, parts, simulated, teardown
from dev.cluster.api import Api
from dev.cluster.configs import write_files
from dev.cluster.errors import ClusterError, MachineNotFit
from dev.cluster.network import add_address, claim
from dev.cluster.packages import busybox, install_missing, system_path
from dev.cluster.places import Folder, clusters_home, locked, make_clusters_home, say
from dev.cluster.probe import probe
from dev.cluster.processes import Processes
from dev.cluster.settings import Record, Settings

_BUSYBOX = "busybox:1"
_START_SECONDS = 120.0
# A cluster in use may be slow on a busy machine; that alone must not get it torn down.
_HEALTH_SECONDS = 60.0
_POLL_SECONDS = 0.1
_DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


class Cluster:
    """The cluster with the settings' name, whether or not it is up. All operations may be repeated."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.settings.check()
        self.folder = Folder.of(self.settings.name)
        self.processes = Processes(self.folder.processes)

    @classmethod
    def of(cls, kubeconfig: Path) -> "Cluster | None":
        """The cluster of this user that the kubeconfig belongs to, None if it is another one's."""
        if kubeconfig.name != "kubeconfig" or kubeconfig.parent.parent != clusters_home():
            return None
        return cls(Settings(name=kubeconfig.parent.name))

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig; it is there while the cluster is up."""
        return self.folder.kubeconfig

    def up(self) -> Path:
        """Starts the cluster unless it is up, and returns the kubeconfig's path once a Job can be run.

        Raises MachineNotFit where it cannot run, ClusterError if it does not start, or is up with other settings.
        """
        make_clusters_home()
        with self._locked():
            if self._is_up():
                return self.kubeconfig
            began = time.monotonic()
            self._prepare_machine()
            record = claim(self.settings)
            try:
                self._start(record)
            except BaseException:
                self._stop_everything(record)  # The folder stays, for its logs.
                raise
            say(f"{self.settings.name} is up after {time.monotonic() - began:.0f} s")
        return self.kubeconfig

    def down(self) -> None:
        """Stops the cluster and removes all that is left of it. Raises ClusterError if something cannot be removed."""
        if not self.folder.root.exists():
            say(f"{self.settings.name} is not up")
            return
        with self._locked():
            self._remove()
        say(f"{self.settings.name} is down")

    def status(self) -> dict[str, int | None]:
        """The process id of each part, None for one that does not run; empty for a cluster that is not up."""
        record = Record.load(self.folder.record)
        if record is None:
            return {}
        return {part: self.processes.pid(part) for part in record.parts}

    def start(self, part: str) -> None:
        """Starts one part that was stopped. Raises ClusterError."""
        record = self._record(part)
        if self.processes.alive(part):
            return
        environment = {**os.environ, "PATH": system_path()}
        if part == "containerd":
            environment["PATH"] = f"{self.programs().containerd.parent}:{environment['PATH']}"
        command = parts.command(part, record, self.folder, self.programs())
        self.processes.start(part, command, self.folder.log(part), environment)

    def stop(self, part: str) -> None:
        """Stops one part with TERM and waits for its end. Raises ClusterError."""
        self._record(part)
        self.processes.stop(part)

    def kill(self, part: str) -> None:
        """Kills one part, which gets no chance to finish anything. Raises ClusterError."""
        self._record(part)
        self.processes.stop(part, kill=True)

    def restart(self, part: str) -> None:
        """Stops and starts one part. Raises ClusterError."""
        self.stop(part)
        self.start(part)

    def wait_ready(self, seconds: float = _START_SECONDS) -> None:
        """Waits until a Job can be run. Raises ClusterError if a part dies or a step takes longer than `seconds`."""
        api = Api(self.folder.kubeconfig)
        nodes = self._record().settings.simulated_nodes or 1
        self._wait("the API server", api.ready, seconds)
        self._wait("the nodes", lambda: _ready_nodes(api) >= nodes, seconds)
        self._wait("the default service account", lambda: api.get(_DEFAULT_ACCOUNT) is not None, seconds)

    def add_image(self, name: str, from_folder: Path | None = None, start: images.Start = images.SHELL) -> None:
        """Brings an image to the node: the folder's content, or busybox under another name. Raises ClusterError."""
        self._record("containerd")
        layer = images.folder_layer(from_folder) if from_folder else images.busybox_layer(busybox())
        self._import(images.archive(name, layer, start))

    def kubectl_command(self, arguments: Sequence[str]) -> list[str]:
        """The command line of kubectl against this cluster."""
        return [str(self.programs().kubernetes), "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """What kubectl prints, given `text` on its standard input. Raises ClusterError with its error."""
        command = self.kubectl_command(arguments)
        done = subprocess.run(command, input=text or "", capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def programs(self) -> parts.Programs:
        """Where the built programs are."""
        containerd = build.CONTAINERD.output()
        return parts.Programs(
            kubernetes=build.KUBERNETES.output() / "kubernetes",
            containerd=containerd / "containerd",
            ctr=containerd / "ctr",
            kwok=build.KWOK.output() / "kwok",
        )

    def _record(self, part: str | None = None) -> Record:
        """What is written down about the cluster. Raises ClusterError if it is not up, or has no such part."""
        record = Record.load(self.folder.record)
        if record is None:
            raise ClusterError(f"{self.settings.name} is not up; start it: python3 -m dev.cluster up")
        if part is not None and part not in record.parts:
            raise ClusterError(f"{part!r} is no part of {self.settings.name}; its parts: {', '.join(record.parts)}")
        return record

    def _locked(self) -> AbstractContextManager[None]:
        name = self.settings.name
        return locked(clusters_home() / f".{name}.lock", f"another command that changes {name}")

    def _is_up(self) -> bool:
        """Whether it is up and well; removes what is half dead. Raises ClusterError if its settings are others."""
        name = self.settings.name
        if not self.folder.root.exists():
            return False
        record = Record.load(self.folder.record)
        dead = [part for part in record.parts if not self.processes.alive(part)] if record else ["its record"]
        if record and not dead:
            if record.settings != self.settings:
                raise ClusterError(f"{name} is up with other settings: run down first, or choose another --name")
            try:
                self.wait_ready(_HEALTH_SECONDS)
            except ClusterError as failure:
                dead = [f"health ({failure})"]
            else:
                say(f"{name} is up already")
                return True
        say(f"{name} was up before, but is missing {', '.join(dead)}: starting it anew")
        self._remove()
        return False

    def _prepare_machine(self) -> None:
        simulated_only = self.settings.simulated_nodes > 0
        if missing := probe(simulated_only):
            raise MachineNotFit(missing)
        install_missing(simulated_only)
        build.build(build.modules(simulated_only))

    def _start(self, record: Record) -> None:
        write_files(record, self.folder)
        say(f"starting {', '.join(record.parts)} (logs: {self.folder.logs})")
        if record.settings.simulated_nodes:
            self._start_parts("etcd", "kube-apiserver")
        else:
            cgroups.make(record.cgroup)
            add_address(record.api_address)
            self._start_parts("etcd", "containerd", "kube-apiserver", "relay")
            self._wait("containerd", self.folder.containerd_socket.exists)
            layer = images.busybox_layer(busybox())
            self._import(images.archive(configs.PAUSE_IMAGE, layer, images.Start(("/bin/sleep", "2147483647"))))
            self._import(images.archive(_BUSYBOX, layer))
        api = Api(self.kubeconfig)
        self._wait("the API server", api.ready)
        self._start_parts(*(part for part in record.parts if part not in self.processes.names()))
        for number in range(record.settings.simulated_nodes):
            api.create("/api/v1/nodes", simulated.node(number))
        self.wait_ready()

    def _import(self, image: bytes) -> None:
        images.import_archive(self.programs().ctr, self.folder.containerd_socket, image)

    def _start_parts(self, *names: str) -> None:
        for part in names:
            self.start(part)

    def _remove(self) -> None:
        """Raises ClusterError if something is left."""
        record = Record.load(self.folder.record)
        left = self._stop_everything(record) if record else []
        teardown.remove_folder(self.folder)
        if self.folder.root.exists():
            left.append(str(self.folder.root))
        if left:
            raise ClusterError(f"could not be removed: {', '.join(left)}")

    def _stop_everything(self, record: Record) -> list[str]:
        """Stops all processes and removes what is outside the folder. Returns what could not be removed."""
        simulated_only = record.settings.simulated_nodes > 0
        # The node first: it would start anew what is taken away below it.
        for part in reversed(self.processes.names()):
            if part != "containerd":
                self.processes.stop(part, kill=part in ("etcd", "kube-apiserver"))
        if simulated_only:
            return []
        if self.processes.alive("containerd"):
            teardown.remove_containers(self.programs().ctr, self.folder)
        self.processes.stop("containerd")
        return teardown.remove_rest(record, self.folder)

    def _wait(self, what: str, condition: Callable[[], bool], seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            for part in self.processes.names():
                if not self.processes.alive(part):
                    raise ClusterError(f"{part} ended while waiting for {what}; {self._last_words(part)}")
            if time.monotonic() > deadline:
                raise ClusterError(f"{what}: not ready after {seconds:.0f} s; the logs are in {self.folder.logs}")
            time.sleep(_POLL_SECONDS)

    def _last_words(self, part: str) -> str:
        log = self.folder.log(part)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        return "\n".join([f"the end of {log}:", *lines])


def _ready_nodes(api: Api) -> int:
    nodes = api.get("/api/v1/nodes") or {"items": []}
    conditions = [condition for node in nodes["items"] for condition in node["status"].get("conditions", [])]
    return sum(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
