"""Chunks of logs, packed and unpacked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.store.base import lines_before
from spark_jobs.store.sql import codec

STAMPS = st.lists(st.integers(0, 2**63 - 1), max_size=50)


@given(st.binary(max_size=2000))
def test_bytes_come_back_as_they_were(data: bytes) -> None:
    assert codec.unpack_data(codec.pack_data(data), len(data)) == data


@given(STAMPS)
def test_stamps_come_back_as_they_were(stamps: list[int]) -> None:
    assert codec.unpack_stamps(codec.pack_stamps(stamps), len(stamps)) == tuple(stamps)


def test_stamps_at_an_even_pace_take_almost_no_space() -> None:
    stamps = range(1_700_000_000_000_000_000, 1_700_000_001_000_000_000, 1_000_000)
    assert len(codec.pack_stamps(stamps)) < len(stamps) / 10


@given(st.binary(min_size=20, max_size=200), st.data())
def test_a_changed_bit_is_noticed_or_changes_nothing(data: bytes, draw: st.DataObject) -> None:
    packed = bytearray(codec.pack_data(data))
    bit = draw.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    try:
        unpacked = codec.unpack_data(bytes(packed), len(data))
    except codec.Damaged:
        return
    assert unpacked == data


def test_a_cut_or_swapped_chunk_is_damaged() -> None:
    packed = codec.pack_data(b"hello" * 100)
    for other in (packed[:-5], b"", b"not packed at all"):
        with pytest.raises(codec.Damaged):
            codec.unpack_data(other, 500)
    with pytest.raises(codec.Damaged, match="500 bytes instead of 400"):
        codec.unpack_data(packed, 400)


def test_a_damaged_length_reserves_no_memory() -> None:
    packed = bytearray(codec.pack_data(b"x" * 500))
    packed[4] |= 0b1110_0000  # the flags that say how long the length itself is
    packed[5:5] = b"\xff" * 8
    with pytest.raises(codec.Damaged):
        codec.unpack_data(bytes(packed), 500)


@given(st.binary(max_size=60), st.booleans())
def test_lines_are_found_from_the_end_and_counted_from_the_begin(data: bytes, begins_with_a_line: bool) -> None:
    ends = [at + 1 for at, byte in enumerate(data[:-1]) if byte == ord("\n")]
    starts = [0, *ends] if begins_with_a_line and data else ends
    assert [codec.start_of_line(data, len(starts) - i) for i in range(len(starts))] == starts
    for at in range(len(data) + 1):
        assert lines_before(data, len(starts), at) == sum(1 for start in starts if start < at)
