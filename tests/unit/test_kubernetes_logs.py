"""Reading logs from a scripted API server: what a stream gives, and what its failures are called."""

from __future__ import annotations

import asyncio

import pytest

from spark_jobs.cluster.base import PodSeen
from spark_jobs.domain.errors import ClusterError, ClusterUnavailable, LogUnavailable
from tests.fakes.answering import Handler, answers, hang_up, streams
from tests.fakes.api_server import ApiServer
from tests.fakes.objects import attempt
from tests.fakes.watching import Watched

REF = attempt()
POD = PodSeen(name="spark-pod", uid="u", over=False)
LINES = b"2026-01-02T03:04:05.1Z one\n2026-01-02T03:04:05.2Z two\n"


async def read(watched: Watched, *, since_ns: int | None = None, follow: bool = False) -> bytes:
    return b"".join([lines.data async for lines in watched.cluster.logs(REF, POD, since_ns=since_ns, follow=follow)])


async def test_a_log_is_read_with_stamps_from_the_main_container(api: ApiServer, watched: Watched) -> None:
    api.fault("get", "pods/log", streams(LINES))
    assert await read(watched) == b"one\ntwo\n"
    [sent] = api.of("get", "pods/log")
    assert sent.query == {"container": "main", "timestamps": "true"}


async def test_a_follow_resumes_at_the_whole_second(api: ApiServer, watched: Watched) -> None:
    api.fault("get", "pods/log", streams(LINES))
    assert await read(watched, since_ns=1_767_323_045_999_999_999, follow=True) == b"one\ntwo\n"
    [sent] = api.of("get", "pods/log")
    assert (sent.query["follow"], sent.query["sinceTime"]) == ("true", "2026-01-02T03:04:05Z")


async def test_lines_are_handed_on_as_they_come(api: ApiServer, watched: Watched) -> None:
    hold = asyncio.Event()
    api.fault("get", "pods/log", streams(LINES, hold=hold))
    stream = watched.cluster.logs(REF, POD, follow=True)
    assert (await anext(stream)).data == b"one\ntwo\n"
    hold.set()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_stream_that_is_left_is_closed(api: ApiServer, watched: Watched) -> None:
    api.fault("get", "pods/log", streams(LINES, hold=asyncio.Event()))
    stream = watched.cluster.logs(REF, POD, follow=True)
    await anext(stream)
    await stream.aclose()
    assert watched.cluster.health().reachable


async def test_a_stream_that_breaks_keeps_its_whole_lines_and_says_so(api: ApiServer, watched: Watched) -> None:
    api.fault("get", "pods/log", streams(LINES, b"2026-01-02T03:04:05.3Z thr", cut=True))
    stream = watched.cluster.logs(REF, POD, follow=True)
    assert (await anext(stream)).data == b"one\ntwo\n"
    with pytest.raises(ClusterUnavailable):
        await anext(stream)


@pytest.mark.parametrize(
    ("answer", "kind", "gone"),
    [
        (answers(404, 'pods "spark-pod" not found', "NotFound"), LogUnavailable, True),
        (answers(404, "the server could not find the requested resource ( pods/log spark-pod)"), LogUnavailable, False),
        (answers(400, 'container "main" in pod "spark-pod" is waiting to start'), LogUnavailable, False),
        (answers(403, "pods/log is forbidden"), LogUnavailable, False),
        (answers(500, "Get https://node:10250: connection refused"), LogUnavailable, False),
        (answers(502, "bad gateway"), LogUnavailable, False),
        (streams(b"unable to retrieve container logs for containerd://abc"), LogUnavailable, False),
        (answers(503, "no", Retry_After="0"), ClusterUnavailable, None),
        (answers(429, "slow down", Retry_After="0"), ClusterUnavailable, None),
        (hang_up, ClusterUnavailable, None),
    ],
)
async def test_only_the_pods_absence_means_that_there_will_never_be_a_log(
    answer: Handler, kind: type[ClusterError], gone: bool | None, api: ApiServer, watched: Watched
) -> None:
    api.fault("get", "pods/log", answer)
    with pytest.raises(kind) as caught:
        await read(watched)
    assert getattr(caught.value, "gone", None) is gone


async def test_a_node_that_gives_no_log_does_not_count_as_a_cluster_that_is_away(
    api: ApiServer, watched: Watched
) -> None:
    await watched.until(REF, lambda seen: seen.current)
    api.fault("get", "pods/log", answers(502, "bad gateway"))
    with pytest.raises(LogUnavailable):
        await read(watched)
    assert watched.cluster.health().reachable


async def test_open_follows_do_not_hold_calls_up(api: ApiServer, watched: Watched) -> None:
    """More streams than there are connections for calls, all open: a look is still answered."""
    hold = asyncio.Event()
    api.fault("get", "pods/log", *(streams(LINES, hold=hold) for _ in range(150)))
    open_streams = [watched.cluster.logs(REF, POD, follow=True) for _ in range(150)]
    await asyncio.gather(*(anext(stream) for stream in open_streams))
    async with asyncio.timeout(5):
        assert (await watched.cluster.look(REF)).current
    hold.set()
    for stream in open_streams:
        await stream.aclose()
