"""The Kubernetes cluster as a whole, where no request is sent."""

from __future__ import annotations

from datetime import UTC, datetime

from spark_jobs.cluster.kubernetes import Credentials, KubernetesCluster, KubernetesConfig
from spark_jobs.cluster.kubernetes.kubeconfig import Login


async def test_the_limiters_wait_can_be_asked_for_at_any_time() -> None:
    """`/v1/queue` and `/metrics` ask for it, whatever goes on in the cluster."""
    credentials = Credentials(Login(server="http://127.0.0.1:1", namespace="jobs"))
    cluster = KubernetesCluster(KubernetesConfig(), clock=lambda: datetime.now(UTC), credentials=credentials)
    assert cluster.limiter_wait() == 0.0
    assert cluster.namespaces == ("jobs",)
    await cluster.stop()
