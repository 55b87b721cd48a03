"""Reading the logs of attempts."""

from __future__ import annotations

import itertools

from spark_jobs.cluster.base import LogLines, Terminated
from spark_jobs.cluster.kubernetes import KubernetesCluster
from tests.contract.cluster import programs
from tests.contract.cluster.stage import Stage, join, stamps

SECOND = 1_000_000_000
NOTHING = LogLines(data=b"", stamps=())


async def test_a_long_log_is_read_whole_with_a_stamp_for_each_line(stage: Stage) -> None:
    ref = await stage.create(programs.PRINTS_MANY)
    pod, end = await stage.over(ref)
    lines = await stage.lines(ref, pod)
    assert join(lines) == b"".join(b"%d\n" % number for number in range(1, 10001))
    assert all(len(each.stamps) == _begun(each, before) for before, each in itertools.pairwise([NOTHING, *lines]))
    assert stamps(lines) == sorted(stamps(lines))
    assert end.finished_at is not None
    assert abs(stamps(lines)[-1] / SECOND - end.finished_at.timestamp()) < 5


def _begun(each: LogLines, before: LogLines) -> int:
    """How many lines begin in ``each``."""
    continues = bool(before.data) and not before.data.endswith(b"\n")
    return each.data.count(b"\n") + (not each.data.endswith(b"\n")) - continues


async def test_a_last_line_without_its_end_is_part_of_the_log(stage: Stage) -> None:
    ref = await stage.create(programs.PRINTS_A_PIECE)
    pod, _ = await stage.over(ref)
    assert (await stage.text(ref, pod)).rstrip("\n") == "whole\npiece"


async def test_any_bytes_are_kept_as_they_came(stage: Stage) -> None:
    """Carriage returns, blank lines, NUL, what is no UTF-8, control sequences, blanks at the end of a line."""
    ref = await stage.create(programs.PRINTS_ODD_BYTES)
    pod, _ = await stage.over(ref)
    whole = b"1%\r20%\r100%\n\n\n\xc3\xa4\n\0x\0\n\xff\xfe \xc3\n\x1b[1m \n"
    assert join(await stage.lines(ref, pod)) == whole


async def test_a_carriage_return_before_a_newline_may_be_dropped_by_the_runtime(stage: Stage) -> None:
    """containerd takes both for the line's end, so that Spark never sees it; nothing else is lost."""
    ref = await stage.create(programs.PRINTS_CRLF)
    pod, _ = await stage.over(ref)
    dropped = isinstance(stage.cluster, KubernetesCluster)
    assert join(await stage.lines(ref, pod)) == (b"one\ntwo\n" if dropped else b"one\r\ntwo\r\n")


async def test_a_character_that_comes_in_two_writes_is_whole(stage: Stage) -> None:
    ref = await stage.create(programs.PRINTS_SPLIT_CHARACTERS)
    pod, _ = await stage.over(ref)
    assert join(await stage.lines(ref, pod)).rstrip(b"\n") == "ä\nä".encode()


async def test_a_program_that_prints_nothing_has_an_empty_log(stage: Stage) -> None:
    ref = await stage.create(programs.PRINTS_NOTHING)
    pod, _ = await stage.over(ref)
    assert await stage.lines(ref, pod) == []


async def test_a_line_of_5_mib_is_one_line(stage: Stage) -> None:
    ref = await stage.create(programs.PRINTS_A_LONG_LINE)
    pod, _ = await stage.over(ref)
    lines = await stage.lines(ref, pod)
    assert join(lines) == b"before\n" + b"x" * 5242880 + b"\nafter\n"
    assert len(stamps(lines)) == 3


async def test_a_follower_sees_lines_while_the_program_runs_and_ends_with_it(stage: Stage) -> None:
    ref = await stage.create(programs.ENDS_WHEN_ASKED)
    pod = await stage.running(ref)
    async with stage.following(ref, pod) as stream:
        first = await anext(stream)
        seen = stage.cluster.observe(ref)
        assert seen.pod is not None
        assert not isinstance(seen.pod.container, Terminated)
        await stage.cluster.halt(ref, pod)
        rest = [lines async for lines in stream]
    assert join([first, *rest]) == b"ready\nbye\n"


async def test_following_a_finished_attempt_gives_its_log_and_ends(stage: Stage) -> None:
    ref = await stage.create(programs.PRINTS_A_PIECE)
    pod, _ = await stage.over(ref)
    async with stage.following(ref, pod) as stream:
        assert join([lines async for lines in stream]).rstrip(b"\n") == b"whole\npiece"


async def test_reading_a_running_program_without_following_ends_at_once(stage: Stage) -> None:
    ref = await stage.create(programs.RUNS_ON)
    pod = await stage.ready(ref)
    assert await stage.text(ref, pod) == "ready\n"


async def test_two_can_read_one_log(stage: Stage) -> None:
    ref = await stage.create(programs.ENDS_WHEN_ASKED)
    pod = await stage.ready(ref)
    async with stage.following(ref, pod) as one, stage.following(ref, pod) as other:
        begun = [await anext(one), await anext(other)]
        await stage.cluster.halt(ref, pod)
        whole = [
            join([first, *[lines async for lines in rest]]) for first, rest in zip(begun, (one, other), strict=True)
        ]
    assert whole == [b"ready\nbye\n", b"ready\nbye\n"]


async def test_a_resumed_log_repeats_no_more_than_one_second(stage: Stage) -> None:
    ref = await stage.create(programs.PRINTS_IN_TWO_SECONDS)
    pod, _ = await stage.over(ref)
    whole = await stage.lines(ref, pod)
    times, lines = stamps(whole), join(whole).splitlines(keepends=True)
    assert len(times) == len(lines) == 4
    resumed = await stage.lines(ref, pod, since_ns=times[-1])
    kept = [index for index, time in enumerate(times) if time >= times[-1] // SECOND * SECOND]
    assert join(resumed) == b"".join(lines[index] for index in kept)
    assert stamps(resumed) == [times[index] for index in kept]
    assert b"one" not in join(resumed)


async def test_a_log_that_is_resumed_within_a_long_line_goes_on_behind_it(stage: Stage) -> None:
    """The rest of that line, whose beginning is older than the second, has no stamp in Kubernetes."""
    ref = await stage.create(programs.PRINTS_A_LONG_LINE_SLOWLY)
    pod, _ = await stage.over(ref)
    whole = await stage.lines(ref, pod)
    assert join(whole) == b"x" * 400000 + b"\nafter\n"
    resumed = await stage.lines(ref, pod, since_ns=stamps(whole)[-1])
    assert (join(resumed), stamps(resumed)) == (b"after\n", stamps(whole)[-1:])
