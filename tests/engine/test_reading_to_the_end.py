"""A read that is cut short behind the API server ends without an error: only passing the last stored line and finding
nothing behind it is an end (invariant 6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from spark_jobs.cluster.base import AttemptRef, LogLines, PodSeen
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.errors import LogUnavailable
from spark_jobs.domain.job import LogState
from spark_jobs.domain.state import JobState
from spark_jobs.engine.ending import Ending, Found
from tests.engine.bench import bench

LINES = tuple(f"line {number}" for number in range(12))
TEXT = "".join(f"{line}\n" for line in LINES).encode()


class CutShort(FakeCluster):
    """Its plain reads give no more than so many lines each, then end like any other; in the end they go on as usual."""

    def __init__(self, cuts: list[int], script: Callable[[object], Script]) -> None:
        super().__init__(script)
        self.cuts = cuts
        self.reads = 0

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        if follow:
            async for lines in super().logs(ref, pod, since_ns=since_ns, follow=True):
                yield lines
            return
        self.reads += 1
        left = self.cuts.pop(0) if self.cuts else len(TEXT)
        async for lines in super().logs(ref, pod, since_ns=since_ns, follow=False):
            texts = lines.data.splitlines(keepends=True)[:left]
            if texts:
                yield LogLines(data=b"".join(texts), stamps=lines.stamps[: len(texts)])
            left -= len(texts)
            if left <= 0:
                return


@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param([5], id="after new lines"),
        pytest.param([5, 9, 2], id="several times, once within what is stored"),
        pytest.param([0], id="before the first line"),
        pytest.param([12, 0, 3, 11], id="again and again within what is stored"),
    ],
)
async def test_a_read_that_is_cut_short_is_no_end(tmp_path: Path, cuts: list[int]) -> None:
    cluster = CutShort(cuts, lambda _spec: Script(lines=LINES, runs=0.05))
    async with bench(tmp_path, cluster, log_grace=10.0) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
        job = await on.service.get(job_id)
        assert (job.attempts[0].log.state, job.attempts[0].log.problem) == (LogState.COMPLETE, None)
        assert await on.log(job_id) == TEXT


async def test_a_log_of_which_nothing_stored_can_be_read_again_is_unverified(tmp_path: Path) -> None:
    """The file was rotated away right behind the last line: what there was is kept, and nobody says that it was all."""
    cluster = CutShort([12, *[0] * 1000], lambda _spec: Script(lines=LINES, runs=0.05))
    async with bench(tmp_path, cluster, log_grace=1.0) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
        job = await on.service.get(job_id)
        assert job.attempts[0].log.state is LogState.UNVERIFIED
        assert "rotated" in (job.attempts[0].log.problem or "")
        assert await on.log(job_id) == TEXT


@pytest.mark.parametrize(
    ("reads", "state", "says"),
    [(0, LogState.INCOMPLETE, "after byte 0"), (1, LogState.UNVERIFIED, f"read to byte {len(TEXT)}")],
)
async def test_a_log_that_is_gone_before_its_end_was_made_sure_is_not_called_whole(
    tmp_path: Path, reads: int, state: LogState, says: str
) -> None:
    class Going(CutShort):
        async def logs(
            self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
        ) -> AsyncGenerator[LogLines]:
            if self.reads == reads and not follow:
                raise LogUnavailable('404: pods "x" not found', gone=True)
            async for lines in super().logs(ref, pod, since_ns=since_ns, follow=follow):
                yield lines

    async with bench(tmp_path, Going([], lambda _spec: Script(lines=LINES, runs=0.05))) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
        job = await on.service.get(job_id)
        assert job.state is JobState.SUCCEEDED
        assert job.attempts[0].log.state is state
        assert (job.attempts[0].log.problem or "").startswith(says)


async def test_a_line_that_only_a_second_read_brings_shows_a_hole(tmp_path: Path) -> None:
    """A follow can be led astray at a rotation, and nothing in it says so: the end of the log is there, so it would pass."""

    class Astray(FakeCluster):
        async def logs(
            self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
        ) -> AsyncGenerator[LogLines]:
            async for lines in super().logs(ref, pod, since_ns=since_ns, follow=follow):
                for text, stamp in zip(lines.data.splitlines(keepends=True), lines.stamps, strict=True):
                    if not (follow and text == b"line 5\n"):
                        yield LogLines(data=text, stamps=(stamp + int(text.split()[1]),))

    async with bench(tmp_path, Astray(lambda _spec: Script(lines=LINES, runs=1.0))) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
        log = (await on.service.get(job_id)).attempts[0].log
        assert (log.state, (log.problem or "").partition(":")[0]) == (LogState.INCOMPLETE, "before byte 79")
        assert await on.log(job_id) == TEXT.replace(b"line 5\n", b"")


class Split(FakeCluster):
    """A rotation splits a line. The follow gives these, and ends there by itself; a read has the new file."""

    def __init__(self, *followed: LogLines) -> None:
        super().__init__(lambda _spec: Script(runs=1.0))
        self.followed = followed

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        new_file = LogLines(data=b"ne 1\nline 2\nline 3\n", stamps=(19_900_000, 30_000_000, 40_000_000))
        for lines in self.followed if follow else (new_file,):
            yield lines


@pytest.mark.parametrize(
    ("followed", "state", "problem"),
    [
        pytest.param(
            LogLines(data=b"line 0\nli", stamps=(10_000_000, 20_000_000)),
            LogState.UNVERIFIED,
            "rotated: when read again before byte 9,",
            id="the follow ended between the halves, as it does where it is behind when the container ends",
        ),
        pytest.param(
            LogLines(data=b"line 0\nline 1\nline 2\n", stamps=(10_000_000, 20_000_000, 30_000_000)),
            LogState.COMPLETE,
            "",
            id="the node joined them",
        ),
        pytest.param(
            LogLines(data=b"line 0\nline 2\n", stamps=(10_000_000, 30_000_000)),
            LogState.INCOMPLETE,
            "before byte 14:",
            id="the first half is not there, so the other is no rest",
        ),
    ],
)
async def test_a_line_that_a_rotation_split_is_kept_as_one(
    tmp_path: Path, followed: LogLines, state: LogState, problem: str
) -> None:
    """Its other half stands at the beginning of the new file, with a time of its own."""
    async with bench(tmp_path, Split(followed)) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
        log = (await on.service.get(job_id)).attempts[0].log
        assert (log.state, (log.problem or "")[: len(problem)]) == (state, problem)
        assert bool(log.problem) is bool(problem)
        lost = b"" if log.state is not LogState.INCOMPLETE else b"line 1\n"
        assert await on.log(job_id) == TEXT[:28].replace(lost, b"")


async def test_a_silent_program_has_its_log_read_twice(tmp_path: Path) -> None:
    cluster = CutShort([], lambda _spec: Script(lines=(), runs=0.05))
    async with bench(tmp_path, cluster) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
        assert cluster.reads == 2
        assert (await on.service.get(job_id)).attempts[0].log.state is LogState.COMPLETE


@pytest.mark.parametrize(
    ("reads", "end"),
    [
        ([Found(new=0, passed=True)], 1),
        ([Found(new=5, passed=True), Found(new=0, passed=True)], 2),
        ([Found(new=5, passed=None), Found(new=0, passed=True)], 2),
        ([Found(new=0, passed=None), Found(new=0, passed=None)], 2),
        ([Found(new=0, passed=False), Found(new=0, passed=False), Found(new=0, passed=True)], 3),
        ([Found(new=0, passed=None), Found(new=3, passed=None), Found(new=0, passed=True)], 3),
    ],
)
def test_the_end_is_where_a_read_finds_nothing_behind_the_last_line(reads: list[Found], end: int) -> None:
    ending = Ending(10, lambda: 0.0)
    ending.begin()
    assert [ending.reached(found) for found in reads] == [number == end for number in range(1, len(reads) + 1)]


async def test_a_cluster_that_is_away_puts_the_limit_off() -> None:
    now = asyncio.get_running_loop().time()
    at = [now]
    ending = Ending(10, lambda: at[0])
    ending.put_off()
    at[0] += 20
    assert not ending.overdue, "the container runs"
    ending.begin()
    at[0] += 9
    ending.put_off()
    at[0] += 9
    assert not ending.overdue
    at[0] += 1
    assert ending.overdue
