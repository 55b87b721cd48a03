"""A pod whose labels somebody took off: to the watches, which select by them, it is deleted, while its container runs on."""

from __future__ import annotations

import msgspec

from spark_jobs import journal
from spark_jobs.cluster import marks
from spark_jobs.cluster.base import AttemptRef
from spark_jobs.cluster.kubernetes.index import Index
from spark_jobs.cluster.kubernetes.limiter import Priority
from spark_jobs.cluster.kubernetes.listing import PODS, list_all
from spark_jobs.cluster.kubernetes.transport import Call, Transport
from spark_jobs.cluster.objects import PodObject, choose_pod

log = journal.logger(__name__)


async def bring_back(transport: Transport, instance: str, index: Index, ref: AttemptRef) -> PodObject | None:
    """The attempt's pod by its name, marked as it was, so that the watches show it again; null if it is not there.

    Raises:
        ClusterUnavailable, ClusterForbidden: nobody knows; or it is there, and held in the index, without its marks.
    """
    last = choose_pod(index.pods.last(ref.claim), ref.released)
    name = ref.pod or (last.metadata.name if last else None)
    if name is None:
        return None
    # A list with one name in it, since an account that may list pods may not get one.
    named, _ = await list_all(transport, PODS, ref.namespace, {"fieldSelector": f"metadata.name={name}"})
    uid = last.metadata.uid if last else None
    pod = next((pod for pod in named if index.owns(ref, pod) or pod.metadata.uid == uid), None)
    return None if pod is None else await _mark(transport, instance, index, ref, pod)


async def _mark(transport: Transport, instance: str, index: Index, ref: AttemptRef, pod: PodObject) -> PodObject | None:
    """The pod with the attempt's marks, as the index has it then; null if it is gone meanwhile."""
    labels = marks.own_labels(instance, ref)
    metadata = {"uid": pod.metadata.uid, "labels": labels, "annotations": {marks.CLAIM: ref.claim}}
    call = Call(
        verb="patch",
        path=f"{PODS.path(ref.namespace)}/{pod.metadata.name}",
        what=f"label pod {pod.metadata.name}",
        priority=Priority.WATCH,
        body=msgspec.json.encode({"metadata": metadata}),
        media_type="application/merge-patch+json",
    )
    answer = await transport.call(call)
    if answer.code == 404:
        return None
    if not answer.ok:
        index.pods.put(ref.namespace, pod)
        raise answer.error()
    log.warning("a pod had lost Spark's labels, and has them again", pod=pod.metadata.name, namespace=ref.namespace)
    marked = PODS.read(answer)
    index.pods.put(ref.namespace, marked)
    return marked
