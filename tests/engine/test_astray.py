"""A follow that was behind for two rotations is given the newest file again from its beginning, once for each of them: none
of it is stored twice, and nobody calls what was passed over complete (invariant 6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path

import pytest

from spark_jobs.cluster.base import AttemptRef, LogLines, PodSeen
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.job import LogState
from spark_jobs.engine.astray import Course
from tests.engine.bench import bench

MS = 1_000_000
STEP = 400 * MS


def batch(*lines: tuple[bytes, int]) -> LogLines:
    return LogLines(data=b"".join(text for text, _ in lines), stamps=tuple(stamp for _, stamp in lines))


def pieces(*batches: LogLines) -> list[tuple[bytes, tuple[int, ...], bool]]:
    course = Course()
    return [(piece.data, piece.stamps, back) for each in batches for piece, back in course.pieces(each)]


def test_a_batch_is_cut_where_time_goes_back() -> None:
    again = batch((b"a\n", 100 * MS), (b"b\rb\n", 200 * MS), (b"\n", 100 * MS), (b"b\rb\n", 200 * MS), (b"x", 150 * MS))
    assert pieces(again) == [
        (b"a\nb\rb\n", (100 * MS, 200 * MS), False),
        (b"\nb\rb\n", (100 * MS, 200 * MS), True),
        (b"x", (150 * MS,), True),
    ]


def test_it_may_go_back_from_one_batch_to_the_next() -> None:
    assert [back for *_, back in pieces(batch((b"a\n", 20 * MS)), batch((b"b\n", 10 * MS)))] == [False, True]


def test_the_rest_of_a_long_line_before_such_a_place_stays_what_it_is() -> None:
    begun = LogLines(data=b"long", stamps=(90 * MS,))
    rest = LogLines(data=b" line\nb\na\n", stamps=(95 * MS, 10 * MS))
    going_on = LogLines(data=b", still", stamps=())
    assert pieces(begun, going_on, rest) == [
        (b"long", (90 * MS,), False),
        (b", still", (), False),
        (b" line\nb\n", (95 * MS,), False),
        (b"a\n", (10 * MS,), True),
    ]


def test_two_streams_of_a_container_are_a_little_out_of_order() -> None:
    mixed = batch((b"out\n", 10 * MS), (b"err\n", 6 * MS), (b"out\n", 11 * MS))
    assert pieces(mixed) == [(mixed.data, mixed.stamps, False)]


class Rotated(FakeCluster):
    """Its follow gives these lines, by their numbers, and its plain reads those of the newest file. A line has its time
    by its number, and the text that ``texts`` has for it."""

    def __init__(self, follow: list[int], newest: list[int], texts: dict[int, bytes] | None = None) -> None:
        super().__init__(lambda _spec: Script(runs=1.0))
        self.follow = follow
        self.newest = newest
        self.texts = texts or {}
        self.began = int(datetime.now().astimezone().timestamp()) * 1_000_000_000

    def lines(self, numbers: list[int]) -> LogLines:
        return batch(*((self.texts.get(n, b"line %d\n" % n), self.began + n * STEP) for n in numbers))

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        second = (since_ns or 0) // 1_000_000_000 * 1_000_000_000
        numbers = [n for n in (self.follow if follow else self.newest) if self.began + n * STEP >= second]
        if follow:
            self.follow = []
        if numbers:
            yield self.lines(numbers)
        if follow:
            async for lines in super().logs(ref, pod, follow=True):  # until the container is over
                yield lines


async def kept(
    tmp_path: Path, cluster: Rotated, *, log_grace: float = 10.0, log_cap: int = 1_000_000
) -> tuple[LogState, str, bytes]:
    async with bench(tmp_path, cluster, log_grace=log_grace, log_cap=log_cap) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
        log = (await on.service.get(job_id)).attempts[0].log
        return log.state, log.problem or "", await on.log(job_id)


async def test_what_a_follow_gives_again_is_stored_once(tmp_path: Path) -> None:
    passed = [0, 1, 2, 20, 21, 22, 23, 24]
    again = [20, 21, 22, 23, 24, 25, 26]
    cluster = Rotated([*passed, *again, *again, 27], list(range(20, 30)))
    state, problem, data = await kept(tmp_path, cluster)
    assert data == cluster.lines([0, 1, 2, *range(20, 30)]).data
    assert (state, problem[:42]) == (LogState.UNVERIFIED, "rotated: the node gave the lines from byte")
    assert f"byte {len(cluster.lines([0, 1, 2]).data)} on twice" in problem


async def test_a_file_that_begins_with_the_rest_of_a_line_is_known_by_the_next(tmp_path: Path) -> None:
    """The first time, the kubelet joins that rest to what stood at the end of another file: then it has no time."""
    cluster = Rotated([0, 1, 2, 21, 22, 23, 24, 20, 21, 22, 23, 24, 25], list(range(20, 26)), {20: b"st\n"})
    _, problem, data = await kept(tmp_path, cluster)
    assert data == cluster.lines([0, 1, 2, 21, 22, 23, 24, 25]).data
    assert problem.startswith("rotated: the node gave the lines from byte")


async def test_a_clock_that_is_set_back_repeats_nothing(tmp_path: Path) -> None:
    cluster = Rotated([10, 11, 12, 4, 5, 6, 7], [])
    _, problem, data = await kept(tmp_path, cluster, log_grace=1.0)
    assert data == cluster.lines([10, 11, 12, 4, 5, 6, 7]).data
    assert "twice" not in problem


@pytest.mark.parametrize("cap", [40, 62])
async def test_what_comes_again_beyond_the_cap_is_not_counted_again(tmp_path: Path, cap: int) -> None:
    again = [20, 21, 22, 23, 24, 25, 26]
    cluster = Rotated([0, 1, 2, *again, *again, 27], list(range(20, 30)))
    state, problem, data = await kept(tmp_path, cluster, log_cap=cap)
    told = cluster.lines([0, 1, 2, *range(20, 30)]).data
    assert (state, problem) == (LogState.INCOMPLETE, f"after byte {cap}: longer than the log cap")
    assert data.startswith(told[:cap])
    assert f": at least {len(told) - cap} more bytes".encode() in data


@pytest.mark.parametrize("newest", [[5, 7, 8], [5]])
async def test_a_new_file_that_begins_before_the_old_one_ends_loses_no_line(tmp_path: Path, newest: list[int]) -> None:
    """A runtime writes the last lines of an old file and the first of a new one at the same time."""
    cluster = Rotated([0, 1, 6], newest)
    state, problem, data = await kept(tmp_path, cluster)
    assert data == cluster.lines([0, 1, 6, *newest]).data
    assert (state, problem.partition(":")[0]) == (LogState.UNVERIFIED, "rotated")
