"""The manifest of every field of a JobSpec, shown to the real API server without being stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spark_jobs.cluster.base import AttemptRef
from spark_jobs.cluster.kubernetes import KubernetesConfig, load_credentials
from spark_jobs.cluster.kubernetes.config import NoMetrics
from spark_jobs.cluster.kubernetes.limiter import Limiter, Priority
from spark_jobs.cluster.kubernetes.transport import Call, Transport
from spark_jobs.cluster.manifest import job_manifest
from spark_jobs.domain.spec import EmptyDir, EnvFrom, JobSpec, KeyRef, Resources, Toleration, Volume
from tests.parts import kubeconfig_path

pytestmark = pytest.mark.needs("kubernetes")

REF = AttemptRef(job_id="every-field", attempt=1, claim="0" * 32, namespace="default", name="spark-dryrunaaaaaa-1")
SPECS = {
    "bare": JobSpec(image="busybox:1"),
    "words": JobSpec(image="busybox:1", command=["sh", "-c"], args=["echo $HOME"], working_dir="/tmp"),
    "names": JobSpec(image="busybox:1", name="Every field", labels={"team": "a", "example.com/x": "y", "note": "a b"}),
    "env": JobSpec(
        image="busybox:1",
        env={
            "A": "$(B) $$",
            "S": KeyRef(secret="s", key="k"),
            "C": KeyRef(config_map="c", key="k"),
            "F": KeyRef(field="metadata.name"),
        },
        env_from=[EnvFrom(secret="s"), EnvFrom(config_map="c")],
    ),
    "volumes": JobSpec(
        image="busybox:1",
        volumes=[
            Volume(mount="/a", pvc="claim", read_only=True, sub_path="x"),
            Volume(mount="/b", secret="s"),
            Volume(mount="/c", config_map="c"),
            Volume(mount="/d", empty_dir=EmptyDir(medium="Memory", size="8Mi")),
        ],
    ),
    "resources": JobSpec(image="busybox:1", cpu="100m", memory="64Mi", gpu="1"),
    "other resources": JobSpec(
        image="busybox:1", resources=Resources(requests={"cpu": "1"}, limits={"cpu": "2", "example.com/fpga": "1"})
    ),
    "limits": JobSpec(image="busybox:1", timeout=0.5, start_timeout=30, termination_grace=1),
    "very long limits": JobSpec(image="busybox:1", timeout=1e12, start_timeout="none"),
    "place": JobSpec(
        image="busybox:1",
        node_selector={"disk": "ssd"},
        tolerations=[Toleration(key="gpu", operator="Exists", effect="NoExecute", toleration_seconds=30)],
        image_pull_policy="IfNotPresent",
        image_pull_secrets=["registry"],
    ),
    "restricted": JobSpec(
        image="busybox:1",
        security_profile="restricted",
        run_as_user=1000,
        run_as_group=1000,
        fs_group=1000,
        read_only_root=True,
        service_account="default",
    ),
    "baseline": JobSpec(image="busybox:1", security_profile="baseline"),
    "classes": JobSpec(image="busybox:1", runtime_class="gvisor", priority_class="system-node-critical"),
}


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    credentials = load_credentials(KubernetesConfig(kubeconfig=str(kubeconfig_path())))
    opened = Transport(credentials, Limiter(0, 1), NoMetrics(), clock=lambda: datetime.now(UTC))
    yield opened
    await opened.close()


@pytest.mark.parametrize("name", SPECS)
async def test_the_api_server_takes_every_field_and_drops_none(name: str, transport: Transport) -> None:
    """Strict validation: a field that Kubernetes does not know would be refused, not left out in silence."""
    manifest = job_manifest(REF, SPECS[name], instance="e2e", ttl_seconds=86_400)
    call = Call(
        verb="create",
        path="/apis/batch/v1/namespaces/default/jobs",
        what="try a job",
        priority=Priority.CREATE,
        params={"dryRun": "All", "fieldValidation": "Strict"},
        body=msgspec.json.encode(manifest),
    )
    answer = await transport.call(call)
    assert answer.code == 201, answer.message
    assert missing(manifest, msgspec.json.decode(answer.body)) == []


def missing(wanted: Any, got: Any, path: str = "") -> list[str]:
    """Where what was sent is not in what came back."""
    if isinstance(wanted, dict):
        return [
            place for key, value in wanted.items() for place in missing(value, (got or {}).get(key), f"{path}/{key}")
        ]
    if isinstance(wanted, list):
        pairs = zip(wanted, got or [None] * len(wanted), strict=False)
        return [place for index, (value, back) in enumerate(pairs) for place in missing(value, back, f"{path}/{index}")]
    return [] if wanted == got else [f"{path}: {wanted!r} became {got!r}"]
