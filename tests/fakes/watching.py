"""A KubernetesCluster against the scripted API server, and a way to wait for what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from spark_jobs.cluster.base import AttemptRef, Observation
from spark_jobs.cluster.kubernetes import KubernetesCluster, KubernetesConfig
from tests.fakes.api_server import ApiServer
from tests.fakes.objects import INSTANCE

PATIENCE = 20.0


def write_kubeconfig(folder: Path, url: str, *, token: str = "secret-token") -> Path:
    """A kubeconfig for a server without TLS."""
    content = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path = folder / "kubeconfig"
    path.write_bytes(msgspec.json.encode(content))  # JSON is YAML
    return path


class Watched:
    """A started cluster; ``calls`` counts how often each claim was said to have changed."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self.cluster = cluster
        self.calls: dict[str, int] = {}
        self._news = asyncio.Event()

    def changed(self, claim: str) -> None:
        """What the cluster calls."""
        self.calls[claim] = self.calls.get(claim, 0) + 1
        self._news.set()

    async def until(self, ref: AttemptRef, holds: Callable[[Observation], object]) -> Observation:
        """Wait for an observation of which this holds."""
        async with asyncio.timeout(PATIENCE):
            while not holds(seen := self.cluster.observe(ref)):
                self._news.clear()
                if not holds(seen := self.cluster.observe(ref)):
                    await self._news.wait()
        return seen


@asynccontextmanager
async def watching(api: ApiServer, folder: Path, config: KubernetesConfig | None = None) -> AsyncIterator[Watched]:
    """Start a cluster against the server."""
    config = config or KubernetesConfig(qps=0)
    path = str(write_kubeconfig(folder, api.url))
    cluster = KubernetesCluster(msgspec.structs.replace(config, kubeconfig=path), clock=lambda: datetime.now(UTC))
    watched = Watched(cluster)
    await cluster.start(INSTANCE, watched.changed)
    try:
        yield watched
    finally:
        await cluster.stop()
