"""A log looked through in blocks, cut anywhere, shows what looking at each line shows."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import DataDirDamaged
from spark_jobs.domain.search import LONGEST_SHOWN, FoundLine, LogMatch
from spark_jobs.domain.times import format_ns
from spark_jobs.search.found import Surroundings
from spark_jobs.search.pattern import Pattern
from spark_jobs.search.scan import LONGEST_LINE, OVERLAP, LogScan
from spark_jobs.store.base import LogBlock
from tests import figures

KEY = AttemptKey("one", 1)


def blocks(data: bytes, cuts: list[int], *, lost: int | None = None) -> list[LogBlock]:
    """The log, cut at these bytes; the stamp of line i is i + 1. ``lost``: the block that can't be unpacked."""
    if not data:
        return []
    starts = [0, *(i + 1 for i, byte in enumerate(data[:-1]) if byte == ord("\n"))]
    found = []
    for number, (begin, end) in enumerate(
        pairwise([0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)])
    ):
        inside = [i for i, start in enumerate(starts) if begin <= start < end]
        line = inside[0] if inside else sum(1 for start in starts if start < begin)
        found.append(block(data[begin:end], begin, line, [i + 1 for i in inside], lost=number == lost))
    return found


def block(data: bytes, offset: int, line: int, stamps: list[int], *, lost: bool = False) -> LogBlock:
    """One block."""

    def unpacked() -> bytes:
        if lost:
            raise DataDirDamaged(f"{len(data)} bytes from {offset} on")
        return data

    return LogBlock(offset=offset, size=len(data), line=line, lines=len(stamps), data=unpacked, stamps=lambda: stamps)


def scan(pattern: str, given: list[LogBlock], *, context: int = 0, offset: int = 0) -> list[LogMatch]:
    """What is found."""
    looking = LogScan(
        Pattern(pattern), Surroundings(KEY, "name", context), offset, sum(each.size for each in given) + offset
    )
    found = [step for step in looking.look(given) if step is not None]
    return found + [step for step in looking.look([]) if step is not None]


def shown(line: FoundLine) -> tuple[int, bytes]:
    """A line's number, from 0, and what is shown of it."""
    return line.line - 1, line.text.encode() if line.text is not None else line.bytes or b""


def all_of(match: LogMatch) -> list[tuple[int, bytes]]:
    """The lines of a match with those around it, in their order."""
    return [shown(line) for line in (*match.before, match.found, *match.after)]


def expected(lines: list[bytes], needle: re.Pattern[bytes], context: int) -> Iterator[list[int]]:
    """The numbers of the lines that come with each match: every line once."""
    hits = [i for i, line in enumerate(lines) if needle.search(line)]
    done = 0
    for place, hit in enumerate(hits):
        following = hits[place + 1] if place + 1 < len(hits) else len(lines)
        end = min(hit + 1 + context, following)
        yield list(range(max(done, hit - context), end))
        done = end


LINE = st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"a"))
PATTERNS = ["a", "^a", "a$", "^$", "b*", "$", "^", "a[ab]", "ab|ba", r"\bab\b"]


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.one_of(LINE, st.sampled_from([b"a", b"ab", b"", b"b ab", b"x"])), min_size=1, max_size=14),
    whole=st.booleans(),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    pattern=st.sampled_from(PATTERNS),
    context=st.integers(0, 3),
)
def test_any_log_cut_anywhere_shows_what_its_lines_show(
    lines: list[bytes], whole: bool, cuts: list[int], pattern: str, context: int
) -> None:
    data = b"\n".join(lines) + (b"\n" if whole else b"")
    lines = data.split(b"\n")[: None if data and not data.endswith(b"\n") else -1]
    found = scan(pattern, blocks(data, cuts), context=context)
    numbers = list(expected(lines, re.compile(pattern.encode()), context))
    assert [all_of(match) for match in found] == [[(i, lines[i]) for i in each] for each in numbers]
    for line in (line for match in found for line in (*match.before, match.found, *match.after)):
        assert line.offset == len(b"".join(each + b"\n" for each in lines[: line.line - 1]))
        assert line.time == format_ns(line.line)


@given(
    lines=st.lists(st.sampled_from([b"a", b"b", b"ab", b""]), min_size=2, max_size=9),
    cuts=st.lists(st.integers(0, 25), max_size=5),
    first=st.integers(0, 8),
)
def test_looking_from_a_line_on_shows_that_and_what_follows(lines: list[bytes], cuts: list[int], first: int) -> None:
    first = min(first, len(lines) - 1)
    offset = sum(len(line) + 1 for line in lines[:first])
    given = [
        each for each in blocks(b"".join(line + b"\n" for line in lines), cuts) if each.offset + each.size > offset
    ]
    found = scan("a", given, offset=offset)
    assert [match.found.line - 1 for match in found] == [
        i for i, line in enumerate(lines) if i >= first and b"a" in line
    ]


def test_what_is_damaged_is_named_and_the_rest_is_looked_through() -> None:
    data = b"a one\na two, to be lost\na three\nx a four\n"
    given = blocks(data, [9, 20], lost=1)
    looking = LogScan(Pattern("a"), Surroundings(KEY, None, 0), 0, len(data))
    found = [step for step in looking.look(given) if step is not None]
    assert looking.done
    assert [shown(match.found) for match in found] == [(0, b"a one"), (1, b"a t"), (2, b"a three"), (3, b"x a four")]
    assert [match.found.time is None for match in found] == [False, False, False, False]
    assert looking.problems == ["11 bytes from 9 on"]


def test_a_log_that_is_deleted_meanwhile_is_named_and_what_came_of_it_is_looked_through() -> None:
    data = b"a one\na two\na three\n"
    looking = LogScan(Pattern("a"), Surroundings(KEY, None, 0), 0, len(data))
    found = [step for step in looking.look(blocks(data, [9])[:1]) if step is not None]
    found += [step for step in looking.look([]) if step is not None]
    assert (looking.done, looking.offset) == (True, 9)
    assert [shown(match.found) for match in found] == [(0, b"a one"), (1, b"a t")]
    (problem,) = looking.problems
    assert "job one, attempt 1 was deleted while it was searched; what followed its byte 9" in problem


def test_a_line_whose_beginning_is_lost_is_looked_through_all_the_same() -> None:
    given = blocks(b"first\nsecond has a needle\nthird\n", [10, 19], lost=1)
    (match,) = scan("needle", given, context=1)
    assert all_of(match) == [(1, b"seco"), (1, b"needle"), (2, b"third")]
    assert match.found.time is None


def long_line(place: int, size: int) -> tuple[bytes, list[LogBlock]]:
    """A line of so many bytes with a needle in it, between two short ones, in blocks of 256 KiB."""
    line = bytearray(b"-" * size)
    line[place : place + 6] = b"needle"
    data = b"before\n" + bytes(line) + b"\nafter\n"
    step = 256 * 1024
    given = []
    for offset in range(0, len(data), step):
        part = data[offset : offset + step]
        first = {0: [1, 2]}.get(offset, [3] if b"\nafter" in part else [])
        given.append(block(part, offset, 0 if offset == 0 else 2, first))
    return bytes(line), given


@settings(max_examples=25, deadline=None)
@given(place=st.one_of(st.integers(0, 3 * 2**20 - 6), st.integers(-40, 40).map(lambda step: LONGEST_LINE - 7 + step)))
def test_a_line_of_any_length_is_found_by_what_is_anywhere_in_it(place: int) -> None:
    line, given = long_line(place, 3 * 2**20)
    (match,) = scan("needle", given, context=1)
    assert (match.found.line, match.found.offset, match.found.cut, match.found.time) == (2, 7, True, format_ns(2))
    text = match.found.text or ""
    assert "needle" in text
    assert text.encode() in line
    assert len(text) == LONGEST_SHOWN
    assert [shown(near) for near in (*match.before, *match.after)] == [(0, b"before"), (2, b"after")]


def test_the_ends_of_a_long_line_are_its_own() -> None:
    _, given = long_line(2 * LONGEST_LINE, 3 * LONGEST_LINE)
    assert scan("^needle", given) == []
    assert scan("needle$", given) == []
    assert [match.found.line for match in scan("^----", given)] == [2]
    assert [match.found.line for match in scan("--$", given)] == [2]
    assert scan("^-{500}needle", given) == []


def test_a_long_line_that_is_only_near_is_shown_by_its_beginning() -> None:
    _, given = long_line(OVERLAP, 2 * LONGEST_LINE)
    (match,) = scan("^after", given, context=2)
    assert [(line.line, line.cut, len(line.text or "")) for line in match.before] == [
        (1, False, 6),
        (2, True, LONGEST_SHOWN),
    ]


def test_the_part_that_is_shown_of_a_long_line_does_not_cut_a_character() -> None:
    for pad in range(4):
        data = b"x" * pad + "ä€😀".encode() * 2000 + b"needle" + "😀".encode() * 2000 + b"\n"
        (match,) = scan("needle", [block(data, 0, 0, [1])])
        assert match.found.bytes is None
        assert "needle" in (match.found.text or "")


def test_what_is_no_text_is_shown_as_bytes() -> None:
    (match,) = scan("a", [block(b"\xff a \xc3\n", 0, 0, [1])])
    assert (match.found.text, match.found.bytes) == (None, b"\xff a \xc3")


def test_memory_stays_small_with_long_lines_and_much_context() -> None:
    """Case: 16 MiB without a newline, a hundred lines around each match."""
    step = b"0123456789abcdef" * (256 * 1024 // 16)

    def endless() -> Iterator[LogBlock]:
        for number in range(200):
            at = number * len(step)
            begins = number % 64 == 0
            data = (b"" if number == 0 or not begins else b"\n") + step[: -1 if number and begins else None]
            yield block(data, at, number // 64 + (0 if begins else 1), [number + 1] if begins else [])

    tracemalloc.start()
    looking = LogScan(Pattern("nothing of this"), Surroundings(KEY, None, 100), 0, 200 * len(step))
    found = [each for given in endless() for each in looking.look([given]) if each is not None]
    assert looking.done
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == []
    figures.at_most("search: memory with lines of 16 MiB", peak / 2**20, 8.0, "MiB")


def test_matches_in_every_short_line_of_a_block_come_one_by_one() -> None:
    data = b"a\n" * 100_000
    looking = LogScan(Pattern("a"), Surroundings(KEY, None, 0), 0, len(data))
    steps = looking.look([block(data, 0, 0, list(range(1, 100_001)))])
    first = [next(steps) for _ in range(3)]
    assert [step.found.line for step in first if step] == [1, 2, 3]
    assert sum(1 for step in steps if step) == 99_997
