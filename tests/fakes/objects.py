"""Kubernetes objects as the API server would show them, short to write in tests."""

from __future__ import annotations

from typing import Any

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import AttemptRef

Json = dict[str, Any]
INSTANCE = "tests"


def attempt(job_id: str = "job-1", *, number: int = 1, namespace: str = "default") -> AttemptRef:
    """An attempt whose name and claim follow from the job's id."""
    return AttemptRef(
        job_id=job_id,
        attempt=number,
        claim=f"claim-{job_id}-{number}",
        namespace=namespace,
        name=f"spark-{job_id}-{number}",
    )


def metadata(ref: AttemptRef, name: str, uid: str) -> Json:
    """The metadata of an object of ours."""
    return {
        "name": name,
        "namespace": ref.namespace,
        "uid": uid,
        "labels": marks.own_labels(INSTANCE, ref),
        "annotations": {marks.CLAIM: ref.claim},
    }


def job(ref: AttemptRef, **more: Any) -> Json:
    """A Job of ours."""
    return {"metadata": metadata(ref, ref.name, f"uid-{ref.name}") | more.pop("metadata", {}), **more}


def pod(ref: AttemptRef, state: Json | None = None, *, phase: str = "Pending", **status: Any) -> Json:
    """A pod of ours whose container is in this state."""
    return {
        "metadata": metadata(ref, f"{ref.name}-pod", f"uid-{ref.name}-pod")
        | {"ownerReferences": [{"uid": f"uid-{ref.name}"}]},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": phase, "containerStatuses": [{"name": "main", "state": state or {}}], **status},
    }


def running_pod(ref: AttemptRef) -> Json:
    """A pod whose container runs."""
    return pod(ref, {"running": {"startedAt": "2026-01-02T03:04:05Z"}}, phase="Running")


def ended_pod(ref: AttemptRef, exit_code: int = 0) -> Json:
    """A pod whose container ended."""
    end = {"exitCode": exit_code, "startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:04:09Z"}
    return pod(ref, {"terminated": end}, phase="Failed" if exit_code else "Succeeded")
