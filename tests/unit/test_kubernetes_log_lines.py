"""Log bytes cut into lines with stamps: nothing lost, nothing added."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.cluster.base import LogLines
from spark_jobs.cluster.kubernetes.logs import LogCutter
from spark_jobs.cluster.kubernetes.stamps import Stamps, as_since
from spark_jobs.domain.errors import LogUnavailable

S = 1_000_000_000
AT = 1_767_323_045 * S  # 2026-01-02T03:04:05Z


def cut(*chunks: bytes, longest: int = 1000) -> list[LogLines]:
    cutter = LogCutter(longest)
    batches = [lines for chunk in chunks for lines in cutter.feed(chunk)]
    return batches + list(cutter.end())


def whole(batches: list[LogLines]) -> tuple[bytes, tuple[int, ...]]:
    return b"".join(each.data for each in batches), tuple(stamp for each in batches for stamp in each.stamps)


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [
        (b"2026-01-02T03:04:05Z", AT),
        (b"2026-01-02T03:04:05.1Z", AT + 100_000_000),
        (b"2026-01-02T03:04:05.12Z", AT + 120_000_000),
        (b"2026-01-02T03:04:05.000000001Z", AT + 1),
        (b"2026-01-02T03:04:05.999999999Z", AT + S - 1),
        (b"2026-01-02T05:04:05.5+02:00", AT + 500_000_000),
        (b"2026-01-01T22:34:05-04:30", AT),
        (b"unable", None),
        (b"2026-13-02T03:04:05Z", None),
        (b"2026-01-02T03:04:05", None),
        (b"2026-01-02T03:04:05.x1Z", None),
        (b"", None),
    ],
)
def test_stamps_are_read_to_the_nanosecond(stamp: bytes, ns: int | None) -> None:
    """Invariant 6 rests on it: a stamp rounded to a float would repeat or skip lines."""
    stamps = Stamps()
    assert stamps.read(stamp) == ns
    assert stamps.read(b"2026-01-02T03:04:05.25Z") == AT + 250_000_000
    assert stamps.read(stamp) == ns


def test_since_is_the_whole_second() -> None:
    assert as_since(AT + S - 1) == "2026-01-02T03:04:05Z"


def test_lines_come_without_their_stamps_and_with_their_newlines() -> None:
    [batch] = cut(b"2026-01-02T03:04:05Z a b\n2026-01-02T03:04:05.5Z \n2026-01-02T03:04:06Z c\rd\x85\n")
    assert batch == LogLines(data=b"a b\n\nc\rd\x85\n", stamps=(AT, AT + S // 2, AT + S))


def test_a_last_line_without_newline_is_kept() -> None:
    assert whole(cut(b"2026-01-02T03:04:05Z a\n2026-01-02T03:04:06Z b")) == (b"a\nb", (AT, AT + S))


@pytest.mark.parametrize("rest", [b"2026-01-02T03:0", b"2026-01-02T03:04:06Z", b"2026-01-02T03:04:06Z "])
def test_a_stream_cut_before_the_text_of_a_line_adds_nothing_and_is_no_end(rest: bytes) -> None:
    """What ends there was cut off behind the cluster, which ends such a stream like any other."""
    cutter = LogCutter()
    assert whole(list(cutter.feed(b"2026-01-02T03:04:05Z a\n" + rest))) == (b"a\n", (AT,))
    with pytest.raises(LogUnavailable, match="cut off"):
        list(cutter.end())


def test_a_rest_without_a_stamp_is_dropped_before_a_line_without_newline_too() -> None:
    cutter = LogCutter(resumed=True)
    assert not list(cutter.feed(b"rest of it\n2026-01-02T03:04:05Z the end"))
    assert whole(list(cutter.end())) == (b"the end", (AT,))


@given(st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"")), max_size=20), st.data())
def test_any_text_in_any_chunks_comes_out_whole(texts: list[bytes], data: st.DataObject) -> None:
    """Invariant 6: the stored log is what the container wrote, byte for byte."""
    stream = b"".join(b"2026-01-02T03:04:05.%09dZ %b\n" % (n, text) for n, text in enumerate(texts))
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    expected = b"".join(text + b"\n" for text in texts), tuple(AT + n for n in range(len(texts)))
    assert whole(cut(*chunks)) == expected
    assert whole(cut(*chunks, longest=40)) == expected


def test_a_long_line_comes_in_pieces_with_one_stamp() -> None:
    """Invariant 11: a line without an end must not fill the memory."""
    text = b"x" * 1000
    stream = b"2026-01-02T03:04:05Z " + text + b"\n2026-01-02T03:04:06Z b\n"
    batches = cut(*(stream[i : i + 100] for i in range(0, len(stream), 100)), longest=300)
    assert whole(batches) == (text + b"\nb\n", (AT, AT + S))
    assert max(len(each.data) for each in batches) <= 400
    assert [len(each.stamps) for each in batches[:3]] == [1, 0, 0]


def test_a_long_line_that_the_stream_cuts_off_keeps_its_pieces() -> None:
    assert whole(cut(b"2026-01-02T03:04:05Z " + b"x" * 500, b"yy", longest=300)) == (b"x" * 500 + b"yy", (AT,))


@pytest.mark.parametrize("sentence", [b"unable to retrieve container logs for containerd://1", b"failed to open\n"])
def test_a_sentence_in_place_of_a_log_never_enters_it(sentence: bytes) -> None:
    with pytest.raises(LogUnavailable, match="the cluster gave no log: ") as caught:
        cut(sentence)
    assert not caught.value.gone


def test_what_comes_before_a_sentence_is_kept() -> None:
    cutter = LogCutter()
    stream = cutter.feed(b"2026-01-02T03:04:05Z a\nrpc error: no such container\n")
    assert next(stream) == LogLines(data=b"a\n", stamps=(AT,))
    with pytest.raises(LogUnavailable, match="rpc error"):
        next(stream)


@pytest.mark.parametrize("longest", [1000, 40])
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_the_rest_of_a_long_line_at_the_beginning_of_a_resumed_stream_is_dropped(longest: int, size: int) -> None:
    """The API leaves out what is older than the second, piece by piece of a line, and gives the other pieces no stamp."""
    stream = b"x" * 90 + b" y\n2026-01-02T03:04:05Z a\n2026-01-02T03:04:06Z b\n"
    cutter = LogCutter(longest, resumed=True)
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    batches = [lines for chunk in chunks for lines in cutter.feed(chunk)]
    assert whole(batches + list(cutter.end())) == (b"a\nb\n", (AT, AT + S))


@pytest.mark.parametrize("sentence", [b"unable to retrieve container logs", b"failed to open\n", b"z" * 90 + b"\n"])
def test_a_resumed_stream_without_a_stamp_is_a_refusal_all_the_same(sentence: bytes) -> None:
    for longest in (1000, 40):
        cutter = LogCutter(longest, resumed=True)
        with pytest.raises(LogUnavailable, match="the cluster gave no log: ") as caught:
            _ = [*cutter.feed(sentence), *cutter.end()]
        assert sentence[:20].decode().strip() in caught.value.message


def test_only_the_first_line_of_a_resumed_stream_may_lack_its_stamp() -> None:
    cutter = LogCutter(resumed=True)
    stream = cutter.feed(b"rest\n2026-01-02T03:04:05Z a\nrpc error: no such container\n")
    assert next(stream) == LogLines(data=b"a\n", stamps=(AT,))
    with pytest.raises(LogUnavailable, match="rpc error"):
        next(stream)
