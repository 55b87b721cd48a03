"""The configuration files of a cluster: what it was made with goes in, text comes out; only `write_files` writes."""

import base64
import json
from typing import Any

from dev.cluster import certificates, simulated
from dev.cluster.packages import CNI_PROGRAMS
from dev.cluster.places import Folder
from dev.cluster.settings import Record

PAUSE_IMAGE = "docker.io/library/spark-test-pause:1"
NODE = "localhost"
"""The real node's name: the API server dials nodes by it, and no address of the machine may be needed."""


def kubeconfig(record: Record, authority: bytes, token: str) -> str:
    """A kubeconfig with everything in it, so that it can be copied elsewhere."""
    cluster = {
        "server": f"https://127.0.0.1:{record.ports.apiserver}",
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    name = f"spark-test-{record.settings.name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        "current-context": name,
    }
    return _json(config)


def tokens(record: Record) -> str:
    """The API server's list of tokens: the admin and the node."""
    return (
        f"{record.admin_token},admin,admin,system:masters\n{record.node_token},system:node:{NODE},node,system:nodes\n"
    )


def kubelet(record: Record, folder: Folder) -> str:
    """The kubelet's configuration (YAML, as JSON is)."""
    settings = record.settings
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": record.ports.kubelet,
        "healthzPort": record.ports.kubelet_health,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(folder.certificates / "ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{record.cgroup}",
        "containerRuntimeEndpoint": f"unix://{folder.containerd_socket}",
        # The machine is shared: neither its swap nor its full disk may stop a test's pods.
        "failSwapOn": False,
        "evictionHard": {},
        "enforceNodeAllocatable": [],
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "registerNode": True,
        "podLogsDir": str(folder.pod_logs),
        "containerLogMaxSize": settings.log_max_size,
        "containerLogMaxFiles": settings.log_max_files,
        "containerLogMonitorInterval": settings.log_monitor_interval,
        "volumePluginDir": str(folder.root / "volume-plugins"),
        # Pods of a Job come and go by the hundred; the default of 5 and 10 per second holds their events back.
        "eventRecordQPS": 50,
        "eventBurst": 100,
    }
    return _json({**config, **settings.kubelet_overrides()})


def containerd(folder: Folder) -> str:
    """containerd's configuration. Everything that is shared by default gets a place of its own."""
    root = folder.root
    return f"""\
version = 3
root = "{root}/cd/root"
state = "{root}/cd/state"

[grpc]
  address = "{folder.containerd_socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  # Without it, no sandbox starts where CAP_SYS_RESOURCE is missing.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{CNI_PROGRAMS}"]
    conf_dir = "{folder.configs}/cni"

  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      Root = "{root}/cd/runc"

[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/cd/opt"

[plugins."io.containerd.nri.v1.nri"]
  disable = true
"""


def cni(record: Record, folder: Folder) -> str:
    """The pods' network: a bridge with addresses, and a route to the services, which are on this machine. No way out."""
    bridge = {
        "type": "bridge",
        "bridge": record.bridge,
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(folder.root / "ipam"),
            "ranges": [[{"subnet": record.subnet}]],
            **({"routes": [{"dst": record.services}]} if record.services else {}),
        },
    }
    return _json({"cniVersion": "1.0.0", "name": record.bridge, "plugins": [bridge]})


def write_files(record: Record, folder: Folder) -> None:
    """Makes the certificates and writes all files of a new cluster below its folder. Raises ClusterError."""
    certificates.make(folder.certificates, ["127.0.0.1", *([record.api_address] if record.services else [])])
    authority = (folder.certificates / "ca.crt").read_bytes()
    texts = {
        folder.kubeconfig: kubeconfig(record, authority, record.admin_token),
        folder.node_kubeconfig: kubeconfig(record, authority, record.node_token),
        folder.configs / "tokens.csv": tokens(record),
    }
    if record.settings.simulated_nodes:
        texts[folder.configs / "simulated.log"] = simulated.LOG
        texts[folder.configs / "kwok.yaml"] = simulated.config(str(folder.configs / "simulated.log"))
    else:
        texts[folder.configs / "kubelet.json"] = kubelet(record, folder)
        texts[folder.configs / "containerd.toml"] = containerd(folder)
        texts[folder.configs / "cni/spark.conflist"] = cni(record, folder)
    folder.logs.mkdir(mode=0o700)
    for path, text in texts.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"
