"""The file behind a local log: lines with stamps, written by a pump, taken apart in chunks of any size."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from spark_jobs.cluster.base import LogLines
from spark_jobs.cluster.local.log import Pump, StampedLines

SECOND = 1_000_000_000
LINES = st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"")), max_size=20)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=20)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` in chunks of these sizes, over and over."""
    parts, position, index = [], 0, 0
    while position < len(data):
        parts.append(data[position : position + cuts[index % len(cuts)]])
        position, index = position + cuts[index % len(cuts)], index + 1
    return parts


def written(lines: list[bytes], stamps: list[int], *, whole: bool) -> bytes:
    """The file for these lines."""
    data = b"".join(b"%019d %s\n" % pair for pair in zip(stamps, lines, strict=True))
    return data if whole else data[:-1]


@given(lines=LINES, cuts=CUTS, whole=st.booleans())
def test_chunks_of_any_size_give_the_same_bytes_and_stamps(lines: list[bytes], cuts: list[int], whole: bool) -> None:
    assume(whole or not lines or lines[-1])  # a stamp is written with the first byte behind it
    stamps = list(range(SECOND, SECOND + len(lines)))
    parser = StampedLines(None)
    parts = [parser.feed(piece) for piece in pieces(written(lines, stamps, whole=whole), cuts)]
    text = b"".join(line + b"\n" for line in lines)
    assert b"".join(part.data for part in parts) == (text if whole else text[:-1])
    assert [stamp for part in parts for stamp in part.stamps] == stamps
    for before, part in pairwise([LogLines(data=b"", stamps=()), *parts]):
        assert len(part.stamps) >= part.data.count(b"\n") - bool(before.data and not before.data.endswith(b"\n"))


@given(lines=LINES, cuts=CUTS, since=st.integers(0, 25), step=st.integers(1, SECOND))
def test_what_came_before_the_asked_second_is_left_out(
    lines: list[bytes], cuts: list[int], since: int, step: int
) -> None:
    stamps = [index * step for index in range(len(lines))]
    parser = StampedLines(since * step)
    parts = [parser.feed(piece) for piece in pieces(written(lines, stamps, whole=True), cuts)]
    first = since * step // SECOND * SECOND
    kept = [(stamp, line) for stamp, line in zip(stamps, lines, strict=True) if stamp >= first]
    assert b"".join(part.data for part in parts) == b"".join(line + b"\n" for _, line in kept)
    assert [stamp for part in parts for stamp in part.stamps] == [stamp for stamp, _ in kept]


def pump(tmp_path: Path, chunks: list[bytes], *, limit: int = 1 << 20) -> tuple[str | None, LogLines]:
    """Write these chunks through a pump; its problem, and what can be read."""
    source, sink = os.pipe()
    times = iter([datetime(2031, 1, 1, 0, 0, second, tzinfo=UTC) for second in (5, 3, 9, 9, 9)])
    moved = Pump(source, tmp_path / "log", clock=lambda: next(times), grown=lambda: None, limit=limit)
    for chunk in chunks:
        os.write(sink, chunk)
    os.close(sink)
    problem = moved.run()
    moved.close()
    os.close(source)
    return problem, StampedLines(None).feed((tmp_path / "log").read_bytes())


def test_stamps_never_go_back(tmp_path: Path) -> None:
    source, sink = os.pipe()
    times = iter([datetime(2031, 1, 1, 0, 0, second, tzinfo=UTC) for second in (5, 3)])
    feed = iter([b"two\n"])

    def grown() -> None:
        """After the first chunk give the second, then end."""
        chunk = next(feed, None)
        if chunk is None:
            os.close(sink)
        else:
            os.write(sink, chunk)

    moved = Pump(source, tmp_path / "log", clock=lambda: next(times), grown=grown)
    os.write(sink, b"one\n")
    assert moved.run() is None
    moved.close()
    os.close(source)
    lines = StampedLines(None).feed((tmp_path / "log").read_bytes())
    assert lines.data == b"one\ntwo\n"
    assert len(set(lines.stamps)) == 1


def test_a_line_that_never_ends_is_one_line(tmp_path: Path) -> None:
    problem, lines = pump(tmp_path, [b"x" * 50_000])
    assert problem is None
    assert lines.data == b"x" * 50_000
    assert len(lines.stamps) == 1


def test_more_than_the_limit_is_thrown_away_and_said(tmp_path: Path) -> None:
    problem, lines = pump(tmp_path, [b"y" * 50_000], limit=10_000)
    assert problem == "the program wrote more than the local cluster keeps"
    assert lines.data == b""


def test_a_log_that_can_not_be_opened_is_said_and_does_not_stop_the_program(tmp_path: Path) -> None:
    source, sink = os.pipe()
    moved = Pump(source, tmp_path / "no" / "log", clock=lambda: datetime.now(UTC), grown=lambda: None)
    os.write(sink, b"lost\n")
    os.close(sink)
    assert moved.run() == "the log could not be opened: No such file or directory"
    moved.close()
    os.close(source)


def test_a_stopped_pump_keeps_what_has_come(tmp_path: Path) -> None:
    source, sink = os.pipe()
    moved = Pump(source, tmp_path / "log", clock=lambda: datetime.now(UTC), grown=lambda: None)
    os.write(sink, b"kept\n")
    moved.stop()
    assert moved.run() is None
    moved.close()
    os.close(sink)
    os.close(source)
    assert StampedLines(None).feed((tmp_path / "log").read_bytes()).data == b"kept\n"
