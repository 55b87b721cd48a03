"""The command line of every part. Pure."""

import sys
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.configs import NODE
from dev.cluster.places import Folder, source_home
from dev.cluster.settings import Record

API_PORT = 443
"""The port of the API server's service. Kubernetes knows no other."""


@dataclass(frozen=True)
class Programs:
    """The built programs."""

    kubernetes: Path
    """One binary for all of Kubernetes: the part is its first argument."""
    containerd: Path
    ctr: Path
    kwok: Path


def command(part: str, record: Record, folder: Folder, programs: Programs) -> list[str]:
    """The whole command line of a part."""
    if part == "containerd":
        return [str(programs.containerd), "--config", str(folder.configs / "containerd.toml"), "--log-level", "warn"]
    if part == "relay":
        program = [sys.executable, str(source_home() / "relay.py")]
        return [*program, record.api_address, str(API_PORT), str(record.ports.apiserver)]
    if part == "kwok":
        return [str(programs.kwok), *_kwok(record, folder)]
    arguments = {
        "etcd": _etcd,
        "kube-apiserver": _apiserver,
        "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler,
        "kubelet": _kubelet,
    }[part]
    return [str(programs.kubernetes), part, *arguments(record, folder)]


def _etcd(record: Record, folder: Folder) -> list[str]:
    client, peer = (f"http://127.0.0.1:{port}" for port in (record.ports.etcd, record.ports.etcd_peer))
    return [
        f"--data-dir={folder.root}/etcd",
        "--name=test",
        "--unsafe-no-fsync",
        "--log-level=warn",
        "--quota-backend-bytes=8589934592",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=test={peer}",
    ]


def _apiserver(record: Record, folder: Folder) -> list[str]:
    keys = folder.certificates
    return [
        f"--etcd-servers=http://127.0.0.1:{record.ports.etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={record.ports.apiserver}",
        # A loopback address is refused as an endpoint; nothing in the cluster needs one.
        "--endpoint-reconciler-type=none",
        f"--service-cluster-ip-range={record.services or '10.96.0.0/16'}",
        f"--tls-cert-file={keys}/apiserver.crt",
        f"--tls-private-key-file={keys}/apiserver.key",
        f"--token-auth-file={folder.configs}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys}/service-accounts.key",
        f"--service-account-signing-key-file={keys}/service-accounts.key",
        "--kubelet-preferred-address-types=Hostname",
        f"--kubelet-client-certificate={keys}/kubelet-client.crt",
        f"--kubelet-client-key={keys}/kubelet-client.key",
    ]


def _controller_manager(record: Record, folder: Folder) -> list[str]:
    keys = folder.certificates
    return [
        f"--kubeconfig={folder.kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={record.ports.controller_manager}",
        f"--cert-dir={folder.root}/controller-manager",
        "--leader-elect=false",
        f"--service-account-private-key-file={keys}/service-accounts.key",
        f"--root-ca-file={keys}/ca.crt",
        *_client_limits(record),
        f"--concurrent-job-syncs={40 if record.settings.simulated_nodes else 20}",
        # Last, so that they win.
        *record.settings.controller_manager_flags,
    ]


def _scheduler(record: Record, folder: Folder) -> list[str]:
    return [
        f"--kubeconfig={folder.kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={record.ports.scheduler}",
        f"--cert-dir={folder.root}/scheduler",
        "--leader-elect=false",
        *_client_limits(record),
    ]


def _client_limits(record: Record) -> list[str]:
    """Requests per second; the defaults, 20 and 30, would cap a whole cluster at 3 to 4 Jobs per second."""
    rate = 5000 if record.settings.simulated_nodes else 200
    return [f"--kube-api-qps={rate}", f"--kube-api-burst={2 * rate}"]


def _kubelet(record: Record, folder: Folder) -> list[str]:
    del record
    # No --node-ip: a loopback address is refused as one.
    return [
        f"--config={folder.configs}/kubelet.json",
        f"--kubeconfig={folder.node_kubeconfig}",
        f"--root-dir={folder.root}/kubelet",
        f"--cert-dir={folder.root}/kubelet-pki",
        f"--hostname-override={NODE}",
    ]


def _kwok(record: Record, folder: Folder) -> list[str]:
    keys = folder.certificates
    return [
        f"--kubeconfig={folder.kubeconfig}",
        f"--config={folder.configs}/kwok.yaml",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        "--v=WARN",
        f"--server-address=127.0.0.1:{record.ports.kwok}",
        f"--node-port={record.ports.kwok}",
        f"--tls-cert-file={keys}/apiserver.crt",
        f"--tls-private-key-file={keys}/apiserver.key",
    ]
