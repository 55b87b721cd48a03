"""What the cluster noted in its own words: the last events of one pod, and why Jobs have none."""

from __future__ import annotations

from spark_jobs.cluster.base import MOST_EVENTS
from spark_jobs.cluster.kubernetes.index import Index
from spark_jobs.cluster.kubernetes.limiter import Priority
from spark_jobs.cluster.kubernetes.listing import EVENTS, list_all
from spark_jobs.cluster.kubernetes.transport import Transport
from spark_jobs.cluster.objects import EventObject, refusal_of, said_once
from spark_jobs.domain.job import PodEvent

_LONGEST_MESSAGE = 1000


async def pod_events(transport: Transport, namespace: str, pod: str) -> list[PodEvent]:
    """See ``Cluster.events``."""
    params = {"fieldSelector": f"involvedObject.kind=Pod,involvedObject.name={pod}"}
    items, _ = await list_all(transport, EVENTS, namespace, params, priority=Priority.CLEAN)
    return [_shown(item) for item in sorted(items, key=_age)[-MOST_EVENTS:]]


async def note_refusals(transport: Transport, namespace: str, index: Index) -> None:
    """Put into the index why Jobs of this namespace have no pod, as far as their controller has said it: one list for all.

    Raises:
        ClusterUnavailable, ClusterForbidden: there is no list to be had.
    """
    params = {"fieldSelector": "involvedObject.kind=Job,reason=FailedCreate"}
    items, _ = await list_all(transport, EVENTS, namespace, params)
    said = [(item.involved_object.uid or "", item.message) for item in sorted(items, key=_age)]
    index.refuse({uid: refusal_of(words or "no explanation") for uid, words in said})


def _age(item: EventObject) -> tuple[int, int]:
    """Oldest first; of one second, which is all that most have, in the order in which they were written."""
    version = item.metadata.resource_version or ""
    return int(item.at.timestamp()) if item.at else 0, int(version) if version.isdigit() else 0


def _shown(item: EventObject) -> PodEvent:
    message = said_once(item.message) if item.reason == "FailedScheduling" else item.message
    return PodEvent(
        time=item.at,
        type=item.type or "Normal",
        reason=item.reason,
        message=(message or "")[:_LONGEST_MESSAGE] or None,
        count=max(item.count or 0, item.series.count if item.series else 0, 1),
    )
