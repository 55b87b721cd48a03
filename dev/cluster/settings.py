"""What one test cluster is made with, and what was chosen for it so that several run side by side."""

import dataclasses
import ipaddress
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.cluster.errors import ClusterError

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """The wishes of whoever starts the cluster. Sizes and durations are Kubernetes' own notation."""

    name: str = "default"
    simulated_nodes: int = 0
    """More than 0: no containers; that many nodes are simulated instead of the real one."""
    log_max_size: str = "10Mi"
    log_max_files: int = 5
    log_monitor_interval: str = "10s"
    controller_manager_flags: tuple[str, ...] = ()
    kubelet_settings: tuple[str, ...] = ()
    """Each `key=value`; the value is JSON, or text where it is no JSON."""

    def check(self) -> None:
        """Raises ClusterError for what no cluster can be made with."""
        if not _NAME.fullmatch(self.name):
            raise ClusterError(f"{self.name!r} is no cluster name: up to 20 of a-z, 0-9 and inner hyphens")
        if not 0 <= self.simulated_nodes <= 5000:
            raise ClusterError(f"{self.simulated_nodes} simulated nodes: it must be from 0 to 5000")
        if self.log_max_files < 2:
            raise ClusterError(f"{self.log_max_files} log files: the kubelet wants at least 2")
        for flag in self.controller_manager_flags:
            if not flag.startswith("--"):
                raise ClusterError(f"{flag!r} is no flag of the controller manager: give it as --name=value")
        self.kubelet_overrides()

    def kubelet_overrides(self) -> dict[str, Any]:
        """The kubelet settings as the configuration's own values."""
        overrides: dict[str, Any] = {}
        for setting in self.kubelet_settings:
            key, equals, value = setting.partition("=")
            if not key or not equals:
                raise ClusterError(f"{setting!r} is no kubelet setting: give it as key=value")
            try:
                overrides[key] = json.loads(value)
            except ValueError:
                overrides[key] = value
        return overrides


@dataclass(frozen=True)
class Ports:
    """One loopback port per listener."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kubelet: int
    kubelet_health: int
    kwok: int


@dataclass(frozen=True)
class Record:
    """What is written down about a cluster before its first process starts."""

    settings: Settings
    slot: int
    ports: Ports
    subnet: str
    admin_token: str
    node_token: str
    services: str = ""
    """The network of service addresses that pods have a route to; none where no pod calls anything."""

    @property
    def api_address(self) -> str:
        """The address that pods call the API server by: the first one of the services' network."""
        return str(ipaddress.IPv4Network(self.services)[1])

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the cluster, in the order of their start."""
        real = self.settings.simulated_nodes == 0
        runtime, node = (("containerd",), "kubelet") if real else ((), "kwok")
        relay = ("relay",) if self.services else ()
        return ("etcd", *runtime, "kube-apiserver", *relay, "kube-controller-manager", "kube-scheduler", node)

    @property
    def bridge(self) -> str:
        """The name of the bridge that the pods are plugged into (the kernel allows 15 characters)."""
        return f"sparktest{self.slot}"

    @property
    def cgroup(self) -> str:
        """The name of the kubelet's own top-level cgroup: with a shared one, kubelets kill each other's containers."""
        return f"spark-test-{self.settings.name}"

    def save(self, path: Path) -> None:
        """Writes it, readable by its owner only: it holds the admin's token."""
        text = json.dumps(dataclasses.asdict(self), indent=1)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Record | None":
        """The record at `path`, or None if there is none that can be read."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            settings = dict(fields.pop("settings"))
            for several in ("controller_manager_flags", "kubelet_settings"):
                settings[several] = tuple(settings[several])
            return cls(settings=Settings(**settings), ports=Ports(**fields.pop("ports")), **fields)
        except (OSError, ValueError, KeyError, TypeError):
            return None
