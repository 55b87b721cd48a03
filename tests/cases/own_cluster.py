"""A cluster of a test's own, for what would disturb others: cordons, taints, a kubelet that stops, jobs that take room."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dev.cluster import Cluster
from dev.cluster.settings import Settings
from tests.e2e import kube

_USUAL = Settings()


@contextmanager
def own_cluster(name: str, made_with: Settings = _USUAL) -> Iterator[Cluster]:
    """A cluster for the time of a block, which every helper of the tests then talks to."""
    cluster = Cluster(dataclasses.replace(made_with, name=f"{name}-{os.getpid()}"))
    kubectl = [sys.executable, "-m", "dev.cluster", "kubectl", "--name", cluster.settings.name, "--"]
    with pytest.MonkeyPatch.context() as patch:
        try:
            patch.setenv("SPARK_TEST_KUBECONFIG", str(cluster.up()))
            patch.setenv("SPARK_TEST_KUBECTL", shlex.join(kubectl))
            yield cluster
        finally:
            cluster.down()


def node_name() -> str:
    """The name of the cluster's only node."""
    return kube.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
