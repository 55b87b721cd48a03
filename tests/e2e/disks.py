"""Volumes for claims, as an administrator gives them where no storage class makes any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e import kube


@contextmanager
def disk(where: str, claim: str, folder: Path) -> Iterator[None]:
    """A folder of the node, which is this machine, becomes the disk for a claim in a namespace."""
    node = kube.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.labels.kubernetes\\.io/hostname}")
    hostname = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    folder.mkdir()
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{where}-{claim}"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "20Gi"},
            "claimRef": {"namespace": where, "name": claim},
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}},
        },
    }
    kube.kubectl("apply", "-f", "-", given=json.dumps(volume))
    try:
        yield
    finally:
        kube.kubectl("delete", "persistentvolume", f"{where}-{claim}", "--wait=false")


@contextmanager
def claims(where: str, home: Path, *names: str) -> Iterator[None]:
    """Claims that are bound to folders of those names below `home`."""
    with ExitStack() as disks:
        for name in names:
            disks.enter_context(disk(where, name, home / name))
            claim = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": where},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
            kube.kubectl("apply", "-f", "-", given=json.dumps(claim))
        yield
