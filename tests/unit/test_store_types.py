"""How values of the domain stand in columns."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.store.sql.types import from_micros, to_micros

TIMES = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(TIMES)
def test_times_come_back_to_the_microsecond(time: datetime) -> None:
    assert from_micros(to_micros(time)) == time


@given(TIMES, TIMES)
def test_columns_sort_as_times_do(one: datetime, other: datetime) -> None:
    assert (to_micros(one) < to_micros(other)) == (one < other)


def test_a_time_of_another_zone_is_the_same_instant() -> None:
    here = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert from_micros(to_micros(here)) == here
    assert from_micros(to_micros(here)).tzinfo is UTC
