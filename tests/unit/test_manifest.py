"""From a JobSpec to a Kubernetes Job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import AttemptRef
from spark_jobs.cluster.manifest import deadline_nets, job_manifest
from spark_jobs.domain.spec import EmptyDir, EnvFrom, JobSpec, KeyRef, Resources, Toleration, Volume

REF = AttemptRef(job_id="train-7", attempt=2, claim="c0ffee", namespace="lab", name="spark-abcdefghijkl-2")
BARE = JobSpec(image="busybox:1")


def manifest(spec: JobSpec) -> dict[str, Any]:
    return job_manifest(REF, spec, instance="inst", ttl_seconds=86_400)


def pod_of(spec: JobSpec) -> dict[str, Any]:
    pod: dict[str, Any] = manifest(spec)["spec"]["template"]["spec"]
    return pod


def container_of(spec: JobSpec) -> dict[str, Any]:
    container: dict[str, Any] = pod_of(spec)["containers"][0]
    return container


def test_the_smallest_spec_gives_a_job_that_runs_once_and_alone() -> None:
    assert manifest(BARE)["spec"] == {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": 86_400,
        "template": {
            "metadata": {key: manifest(BARE)["metadata"][key] for key in ("labels", "annotations")},
            "spec": {
                "restartPolicy": "Never",
                "enableServiceLinks": False,
                "schedulingGates": [{"name": "spark-jobs.dev/release"}],
                "shareProcessNamespace": True,
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "main",
                        "image": "busybox:1",
                        "env": [
                            {"name": "SPARK_JOB_ID", "value": "train-7"},
                            {"name": "SPARK_JOB_ATTEMPT", "value": "2"},
                        ],
                        "terminationMessagePolicy": "File",
                    }
                ],
            },
        },
    }


def test_job_and_pod_carry_the_claim_and_our_labels() -> None:
    """Invariant 4: what is ours is known by its claim."""
    job = manifest(BARE)
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert metadata["annotations"][marks.CLAIM] == "c0ffee"
        assert metadata["labels"] == {
            "app.kubernetes.io/managed-by": "spark-jobs",
            "spark-jobs.dev/instance": "inst",
            "spark-jobs.dev/job": "train-7",
            "spark-jobs.dev/attempt": "2",
        }
    assert (job["metadata"]["name"], job["metadata"]["namespace"]) == ("spark-abcdefghijkl-2", "lab")


def test_valid_labels_are_put_on_the_objects_and_all_of_them_into_an_annotation() -> None:
    labels = {
        "team": "vision", "example.com/run": "", "note": "two words", "job-name": "x", "-bad": "x",
        marks.MANAGED_BY: "somebody",
    }  # fmt: skip
    metadata = manifest(JobSpec(image="i", labels=labels, name="Nightly run"))["metadata"]
    assert metadata["labels"].items() >= {"team": "vision", "example.com/run": ""}.items()
    assert metadata["labels"].keys().isdisjoint({"note", "job-name", "-bad"})
    assert metadata["labels"][marks.MANAGED_BY] == "spark-jobs"
    assert json.loads(metadata["annotations"][marks.LABELS]) == labels
    assert metadata["annotations"][marks.JOB_NAME] == "Nightly run"
    assert metadata["annotations"][marks.JOB_ID] == "train-7"


def test_dollars_reach_the_container_unchanged() -> None:
    spec = JobSpec(image="i", command=["sh", "-c", "echo $HOME $(date) $$"], args=["$(X)"], env={"PRICE": "5$"})
    container = container_of(spec)
    assert container["command"] == ["sh", "-c", "echo $$HOME $$(date) $$$$"]
    assert container["args"] == ["$$(X)"]
    assert container["env"][2] == {"name": "PRICE", "value": "5$$"}


def test_env_keeps_its_order_and_can_not_hide_our_own() -> None:
    spec = JobSpec(
        image="i",
        env={
            "B": "1",
            "SPARK_JOB_ID": "mine",
            "A": KeyRef(secret="s", key="k"),
            "C": KeyRef(config_map="c", key="k"),
            "D": KeyRef(field="metadata.name"),
        },
        env_from=[EnvFrom(secret="s"), EnvFrom(config_map="c")],
    )
    container = container_of(spec)
    assert container["env"] == [
        {"name": "SPARK_JOB_ID", "value": "train-7"},
        {"name": "SPARK_JOB_ATTEMPT", "value": "2"},
        {"name": "B", "value": "1"},
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    assert container["envFrom"] == [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c"}}]


def test_every_kind_of_volume_is_mounted_where_it_was_asked_for() -> None:
    spec = JobSpec(
        image="i",
        volumes=[
            Volume(mount="/data", pvc="claim", read_only=True, sub_path="a/b"),
            Volume(mount="/secret", secret="s"),
            Volume(mount="/config", config_map="c"),
            Volume(mount="/scratch", empty_dir=EmptyDir(medium="Memory", size="8Gi")),
            Volume(mount="/tmp", empty_dir=EmptyDir()),
        ],
    )
    assert pod_of(spec)["volumes"] == [
        {"name": "volume-0", "persistentVolumeClaim": {"claimName": "claim"}},
        {"name": "volume-1", "secret": {"secretName": "s"}},
        {"name": "volume-2", "configMap": {"name": "c"}},
        {"name": "volume-3", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
        {"name": "volume-4", "emptyDir": {}},
    ]
    assert container_of(spec)["volumeMounts"] == [
        {"name": "volume-0", "mountPath": "/data", "readOnly": True, "subPath": "a/b"},
        {"name": "volume-1", "mountPath": "/secret"},
        {"name": "volume-2", "mountPath": "/config"},
        {"name": "volume-3", "mountPath": "/scratch"},
        {"name": "volume-4", "mountPath": "/tmp"},
    ]


@pytest.mark.parametrize(
    ("spec", "resources"),
    [
        (JobSpec(image="i", cpu="500m"), {"requests": {"cpu": "500m"}}),
        (JobSpec(image="i", memory="1Gi"), {"requests": {"memory": "1Gi"}, "limits": {"memory": "1Gi"}}),
        (JobSpec(image="i", gpu="2"), {"limits": {"nvidia.com/gpu": "2"}}),
        (
            JobSpec(image="i", cpu="1", resources=Resources(requests={"x.org/fpga": "1"}, limits={"x.org/fpga": "1"})),
            {"requests": {"x.org/fpga": "1", "cpu": "1"}, "limits": {"x.org/fpga": "1"}},
        ),
    ],
)
def test_resources(spec: JobSpec, resources: dict[str, Any]) -> None:
    assert container_of(spec)["resources"] == resources


def test_security_profiles() -> None:
    baseline = JobSpec(image="i", security_profile="baseline")
    assert pod_of(baseline)["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert "securityContext" not in container_of(baseline)
    restricted = JobSpec(
        image="i", security_profile="restricted", run_as_user=1000, run_as_group=7, fs_group=8, read_only_root=True
    )
    assert pod_of(restricted)["securityContext"] == {
        "runAsUser": 1000,
        "runAsGroup": 7,
        "fsGroup": 8,
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsNonRoot": True,
    }
    assert container_of(restricted)["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_everything_else_about_the_pod() -> None:
    spec = JobSpec(
        image="i",
        service_account="runner",
        node_selector={"disk": "ssd"},
        tolerations=[Toleration(key="gpu", operator="Exists", effect="NoExecute", toleration_seconds=30)],
        runtime_class="gvisor",
        priority_class="high",
        image_pull_policy="Always",
        image_pull_secrets=["registry"],
        working_dir="/work",
        termination_grace=4.2,
    )
    assert (
        pod_of(spec).items()
        >= {
            "serviceAccountName": "runner",
            "runtimeClassName": "gvisor",
            "priorityClassName": "high",
            "terminationGracePeriodSeconds": 5,
        }.items()
    )
    assert "automountServiceAccountToken" not in pod_of(spec)
    assert pod_of(spec)["nodeSelector"] == {"disk": "ssd"}
    assert pod_of(spec)["imagePullSecrets"] == [{"name": "registry"}]
    assert pod_of(spec)["tolerations"] == [
        {"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
    ]
    assert container_of(spec)["imagePullPolicy"] == "Always"
    assert container_of(spec)["workingDir"] == "/work"


@pytest.mark.parametrize(
    ("timeout", "start_timeout", "nets"),
    [
        (300.0, 600.0, (900, 1500)),
        (300.0, 60.0, (900, 960)),
        (0.5, 3600.0, (3601, 7201)),
        (300.0, "none", (86_700, 173_100)),
        ("none", 600.0, (None, None)),
        (None, None, (None, None)),
        (1e12, 600.0, (2**31 - 1, 2**31 - 1)),
    ],
)
def test_kubernetes_own_deadlines_stand_above_ours(timeout: Any, start_timeout: Any, nets: tuple[int, int]) -> None:
    """Invariant 7: they are the net; the pod's must leave room for pulling the image, the Job's comes after it."""
    spec = JobSpec(image="i", timeout=timeout, start_timeout=start_timeout)
    assert deadline_nets(spec) == nets
    assert manifest(spec)["spec"].get("activeDeadlineSeconds") == nets[1]
    assert pod_of(spec).get("activeDeadlineSeconds") == nets[0]


def test_a_finished_job_stays_an_hour_at_least() -> None:
    job = job_manifest(REF, BARE, instance="inst", ttl_seconds=5)
    assert job["spec"]["ttlSecondsAfterFinished"] == 3600
