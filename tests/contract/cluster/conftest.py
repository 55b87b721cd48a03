"""The clusters that the suite runs over."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spark_jobs.cluster.base import Cluster
from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.cluster.kubernetes import KubernetesCluster, KubernetesConfig
from spark_jobs.cluster.local import LocalCluster
from tests import parts
from tests.contract.cluster.programs import script_of
from tests.contract.cluster.stage import Stage

KINDS = ["fake", "local", pytest.param("kubernetes", marks=pytest.mark.needs("kubernetes"))]


def now() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


def make(kind: str, folder: Path) -> tuple[Cluster, str]:
    """A cluster that is not started, and the namespace to use in it."""
    if kind == "fake":
        return FakeCluster(script_of), "default"
    if kind == "local":
        return LocalCluster(folder, clock=now), "default"
    config = KubernetesConfig(kubeconfig=str(parts.kubeconfig_path()), qps=0)
    cluster = KubernetesCluster(config, clock=now)
    return cluster, cluster.namespaces[0]


@pytest.fixture(params=KINDS)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """Every kind of cluster, started and empty."""
    cluster, namespace = make(request.param, tmp_path)
    stage = Stage(cluster, namespace)
    await cluster.start(f"suite-{secrets.token_hex(4)}", stage.changed)
    yield stage
    await stage.clear()
    await cluster.stop()
