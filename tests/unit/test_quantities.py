"""Durations, quantities and sizes."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.domain.quantities import (
    LONGEST_DURATION,
    canonical_quantity,
    duration_text,
    parse_bytes,
    parse_duration,
    parse_quantity,
    parse_size,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("2d", 172800.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        (" 5m ", 300.0),
        ("1m500ms", 60.5),
    ],
)
def test_durations_are_read_as_seconds(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ["5 m", "m", "5x", "30m1h", "5m5m", "", "1e3", "٣s", "-", "5m-", "nan", None, True, [], 1j]
)
def test_what_is_no_duration_says_what_to_write(written: object) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (0, "longer than 0"),
        ("0s", "longer than 0"),
        (-1, "negative"),
        ("-5m", "negative"),
        ("-90", "negative"),
        (float("inf"), "finite"),
        (float("nan"), "finite"),
        ("4000d", "ten years"),
        (10**400, "ten years"),
    ],
)
def test_durations_out_of_bounds_are_refused(written: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_duration(written)


def test_zero_is_a_duration_only_where_it_is_allowed() -> None:
    assert parse_duration("0s", zero=True) == 0.0
    assert parse_duration(0, zero=True) == 0.0


@given(st.one_of(st.integers(0, int(LONGEST_DURATION)).map(float), st.integers(0, 10**9).map(lambda ms: ms / 1000)))
def test_a_duration_written_out_is_read_back_the_same(seconds: float) -> None:
    assert parse_duration(duration_text(seconds), zero=True) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300, "5m"), (5400, "1h30m"), (172800, "2d"), (0.5, "500ms"), (0, "0s"), (90, "1m30s"), (1.25, "1.25s")],
)
def test_durations_are_written_as_people_do(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("2", Fraction(2)),
        (".5", Fraction(1, 2)),
        ("1.", Fraction(1)),
        ("8Gi", Fraction(8 * 2**30)),
        ("1e3", Fraction(1000)),
        ("1E3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("1Ei", Fraction(2**60)),
        ("100k", Fraction(100_000)),
        ("3n", Fraction(3, 10**9)),
        ("+1", Fraction(1)),
    ],
)
def test_quantities_mean_what_kubernetes_means(written: str, value: Fraction) -> None:
    assert parse_quantity(written) == value


@pytest.mark.parametrize(
    "written", ["12 potatoes", "", "Gi", "1GB", "1gi", "0x10", "1e", "--1", "1e999", "١", "9" * 100]
)
def test_what_is_no_quantity_says_what_to_write(written: str) -> None:
    with pytest.raises(ValueError, match="512Mi"):
        parse_quantity(written)


def test_quantities_have_bounds() -> None:
    with pytest.raises(ValueError, match="negative"):
        parse_quantity("-1")
    with pytest.raises(ValueError, match="larger than"):
        parse_quantity("9e99")


def test_millibytes_are_refused_with_what_was_probably_meant() -> None:
    with pytest.raises(ValueError, match=r'512 thousandths of a byte; write "512Mi" \(mebibytes\) or "512M"'):
        parse_bytes("512m")
    with pytest.raises(ValueError, match="whole number of bytes"):
        parse_bytes("0.3")


def test_one_value_has_one_canonical_spelling() -> None:
    assert canonical_quantity("1024Mi") == canonical_quantity("1Gi") == canonical_quantity("1073741824")
    assert canonical_quantity("0.5") == canonical_quantity("500m") != canonical_quantity("5m")


@pytest.mark.parametrize(
    ("written", "size"),
    [("10GiB", 10 * 2**30), ("500MB", 500 * 10**6), ("1Gi", 2**30), (4096, 4096), ("4096", 4096), (0, 0)],
)
def test_sizes_are_read_as_bytes(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["B", "1.5B", "ten", -1, True, None, 1.5])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"write|negative"):
        parse_size(written)
