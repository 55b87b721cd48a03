"""What the cluster noted about a pod: asked for by its name, in order, bounded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from spark_jobs.cluster.base import MOST_EVENTS
from spark_jobs.domain.errors import ClusterForbidden
from spark_jobs.domain.job import PodEvent
from tests.fakes.answering import answers
from tests.fakes.api_server import ApiServer
from tests.fakes.objects import attempt
from tests.fakes.watching import Watched

REF = attempt()
POD = f"{REF.name}-pod"


def noted(api: ApiServer, name: str, **fields: Any) -> None:
    """Put an event of the pod there."""
    about = {"kind": "Pod", "name": POD, "namespace": REF.namespace}
    api.put("events", {"metadata": {"name": name}, "involvedObject": about, **fields})


async def test_the_events_of_the_pod_come_in_the_order_of_their_times(api: ApiServer, watched: Watched) -> None:
    noted(
        api,
        "b",
        type="Warning",
        reason="FailedMount",
        message="no secret",
        count=5,
        lastTimestamp="2026-01-02T03:04:09Z",
    )
    noted(api, "a", type="Normal", reason="Scheduled", eventTime="2026-01-02T03:04:05.123456Z")
    series = {"count": 7, "lastObservedTime": "2026-01-02T03:04:07.000001Z"}
    noted(api, "c", type="Normal", reason="Pulling", eventTime="2026-01-02T03:04:01.000000Z", series=series)
    events = await watched.cluster.events(REF, POD)
    assert [(event.reason, event.count) for event in events] == [("Scheduled", 1), ("Pulling", 7), ("FailedMount", 5)]
    at = datetime(2026, 1, 2, 3, 4, 9, tzinfo=UTC)
    assert events[-1] == PodEvent(time=at, type="Warning", reason="FailedMount", message="no secret", count=5)
    [asked] = api.of("list", "events")
    assert asked.query["fieldSelector"] == f"involvedObject.kind=Pod,involvedObject.name={POD}"


async def test_events_of_one_second_come_in_the_order_in_which_they_were_written(
    api: ApiServer, watched: Watched
) -> None:
    """The scheduler gives microseconds, the kubelet whole seconds."""
    noted(api, "z", reason="Scheduled", eventTime="2026-01-02T03:04:05.900000Z")
    noted(api, "a", reason="Pulling", lastTimestamp="2026-01-02T03:04:05Z")
    assert [event.reason for event in await watched.cluster.events(REF, POD)] == ["Scheduled", "Pulling"]


async def test_only_the_last_ones_are_kept_and_their_words_are_bounded(api: ApiServer, watched: Watched) -> None:
    for number in range(MOST_EVENTS + 5):
        noted(
            api,
            f"e{number:02}",
            reason=f"R{number}",
            message="x" * 5000,
            lastTimestamp=f"2026-01-02T03:04:{number:02}Z",
        )
    events = await watched.cluster.events(REF, POD)
    assert [event.reason for event in events] == [f"R{number}" for number in range(5, MOST_EVENTS + 5)]
    assert {len(event.message or "") for event in events} == {1000}


async def test_only_the_schedulers_words_lose_an_end_that_repeats_them(api: ApiServer, watched: Watched) -> None:
    words = 'persistentvolumeclaim "data" not found. not found'
    noted(api, "a", reason="FailedScheduling", message=words, lastTimestamp="2026-01-02T03:04:05Z")
    noted(api, "b", reason="Failed", message=words, lastTimestamp="2026-01-02T03:04:06Z")
    scheduler, other = await watched.cluster.events(REF, POD)
    assert (scheduler.message, other.message) == ('persistentvolumeclaim "data" not found.', words)


async def test_an_account_that_may_not_see_events_is_told_so(api: ApiServer, watched: Watched) -> None:
    api.fault("list", "events", answers(403, "events is forbidden"))
    with pytest.raises(ClusterForbidden):
        await watched.cluster.events(REF, POD)
