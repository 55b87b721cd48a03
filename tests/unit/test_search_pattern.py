"""What can be searched for, and what is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.domain.errors import InvalidSpec
from spark_jobs.search.pattern import LONGEST_PATTERN, Pattern

TEXT = b"one foo\n\xff\xfe b\xc3\x84R \xffx\nfoobar\r\n\nend"


def found(pattern: str, *, fixed: bool = False, ignore_case: bool = False, text: bytes = TEXT) -> int | None:
    """Where it is found first."""
    return Pattern(pattern, fixed=fixed, ignore_case=ignore_case).find(text, 0, len(text))


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ("foo", 4),
        ("^foo", 19),
        ("^foo|b", 11),
        ("one foo$", 0),
        ("^$", 27),
        ("end$", 28),
        ("foo.*bar", 19),
        (r"e\s+", 2),
        (r"foo\s", None),
        (r"\x{c4}R", 12),
        (r"foo\W", None),
        ("f[^x]*e", None),
        ("(?s)foo.+b..R", None),
        (r"foo\n", None),
        (r"\\A", None),
        (r"\Qfoo", 4),
    ],
)
def test_a_pattern_is_found_in_lines_and_never_beyond_one(pattern: str, place: int | None) -> None:
    assert found(pattern) == place


def test_bytes_that_are_no_text_neither_match_nor_end_a_search() -> None:
    assert found("x$") == 17
    assert found("x", text=b"\xff" * 1000 + b"x") == 1000


def test_letters_of_every_alphabet_are_the_same_in_either_case() -> None:
    assert found("bär") is None
    assert found("bär", ignore_case=True) == 11
    assert found("bär", ignore_case=True, fixed=True) == 11
    assert found("(?i)BÄr") == 11


@given(st.text(min_size=1, max_size=20).filter(lambda text: "\n" not in text))
def test_with_fixed_any_text_stands_for_itself(text: str) -> None:
    raw = text.encode()
    assert found(text, fixed=True, text=b"-\xff" + raw + raw) == (b"-\xff" + raw + raw).index(raw)
    assert found(text, fixed=True, text=b"\n\xff\n") is None


def test_what_lies_around_the_part_that_is_looked_at_counts() -> None:
    text = b"a foobar"
    assert Pattern("foo$").find(text, 0, 5) is None
    assert Pattern("^foo").find(text, 2, 5) is None
    assert Pattern(r"foo\b").find(text, 2, 5) is None
    assert Pattern(r"\bfoo").find(text, 2, 5) == 2


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "must not be empty"),
        ("(", 'RE2 says "missing ): ("'),
        ("x)|(y", 'RE2 says "unexpected ): x)|(y"'),
        ("*", 'RE2 says "no argument for repetition operator: *"'),
        (r"(a)\1", r'RE2 says "invalid escape sequence: \1"'),
        ("(?=a)", "invalid perl operator"),
        ("[z-a]", "invalid character class range"),
        ("\udcff", "invalid UTF-8"),
        ("\ud800", "half of a character"),
        ("a\nb", "must not hold a newline"),
        ("x{2000}", "invalid repetition size"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        (r"\pL{100}", "takes too much"),
        (r"\pL{900}", "pattern too large"),
        ("a" * (LONGEST_PATTERN + 1), f"is {LONGEST_PATTERN + 1} bytes long"),
        ("ä" * (LONGEST_PATTERN // 2 + 1), "bytes long"),
        (r"\Afoo", r"must not hold `\A`"),
        (r"foo\z", r"must not hold `\z`"),
        (r"\\\C", r"must not hold `\C`"),
        ("(?i-m:^a)", "must not hold `(?i-m`"),
        ("(" * 4000, "RE2 says"),
    ],
)
def test_what_is_refused_is_refused_with_the_reason(pattern: str, words: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        Pattern(pattern)
    (fault,) = caught.value.faults
    assert (fault.pointer, fault.code) == ("pattern", "invalid")
    assert words in fault.detail
    assert len(fault.detail) < 400


@pytest.mark.parametrize("pattern", ["a\nb", ""])
def test_a_text_that_can_not_be_in_a_line_is_refused_as_well(pattern: str) -> None:
    with pytest.raises(InvalidSpec, match="pattern"):
        Pattern(pattern, fixed=True)


@pytest.mark.parametrize("pattern", ["(a|a)*$b", "(a*)*b", "(a|b|ab)*c", "(?:a?){50}a{50}b"])
def test_what_explodes_elsewhere_takes_its_time_only_once(pattern: str) -> None:
    """Bad input: each of these keeps a backtracking engine busy for years with 60 bytes, so this test ends at all."""
    assert found(pattern, text=b"a" * 1_000_000) is None


def test_the_slowest_pattern_that_is_taken_gets_through_a_piece_of_a_block() -> None:
    """Where RE2's memory does not suffice it follows every path at once, byte by byte."""
    text = bytes(random.Random(1).choice(b"ab") for _ in range(64 * 1024))
    assert found("(?:[ab]{40}a){20}[ab]{600}c", text=text) is None


def test_the_tokens_of_escapes_are_told_apart() -> None:
    assert found(r"\\C", text=rb"a\C") == 1
    assert found(r"\\\\z", text=rb"\\z") == 0
