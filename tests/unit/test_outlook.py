"""When a job that waits is expected to start, and why it waits."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.domain.schedule import Outlook, Place, Queued, SlotUse, Turns, expected_turns

NOW = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)


def seconds(*values: float) -> list[timedelta]:
    return [timedelta(seconds=value) for value in values]


def outlook(
    *, slots: int = 1, held: Sequence[float] = (), holds: Sequence[float] = (60,), paused: bool = False
) -> Outlook:
    """Slots in use for so many seconds, after attempts that held theirs for so many seconds."""
    use = SlotUse(held_since=[NOW - each for each in seconds(*held)], holds=seconds(*holds))
    return Outlook(now=NOW, slots=slots, use=use, paused=paused)


def starts(known: Outlook, *places: Place | int) -> list[float | None]:
    """In how many seconds jobs at these places, or with so many ahead of them, are expected to start."""
    found = [known.start_of(Place(ahead=each) if isinstance(each, int) else each) for each in places]
    return [None if start is None else (start - NOW).total_seconds() for start in found]


def test_a_slot_is_expected_to_come_free_after_the_median() -> None:
    assert starts(outlook(held=[10], holds=[1, 60, 999]), 0, 1, 2) == [50, 110, 170]


def test_what_was_held_longer_than_the_median_is_measured_by_what_was_held_longer_still() -> None:
    assert starts(outlook(held=[100], holds=[1, 2, 3, 120, 500]), 0) == [20]


def test_of_a_slot_that_was_held_longer_than_any_before_nothing_is_known() -> None:
    assert starts(outlook(held=[61]), 0) == [None]
    assert starts(outlook(slots=2, held=[500, 20]), 0, 1) == [40, 100]


def test_slots_take_turns() -> None:
    assert starts(outlook(slots=3, held=[50, 30]), 0, 1, 2, 3, 4, 5) == [0, 10, 30, 60, 70, 90]


def test_slots_that_there_are_no_longer_make_no_room() -> None:
    assert starts(outlook(slots=1, held=[50, 30, 20]), 0, 1) == [40, 100]
    assert starts(outlook(slots=1, held=[500, 30]), 0) == [None]


def test_nothing_is_known_without_history_or_while_no_slots_are_given_out() -> None:
    assert starts(outlook(holds=[]), 0) == [None]
    assert starts(outlook(paused=True), 0) == [None]
    away = Outlook(now=NOW, slots=1, use=outlook().use, paused=False, away_since=NOW)
    assert starts(away, 0) == [None]


def test_what_is_too_far_off_is_not_said() -> None:
    assert starts(outlook(holds=[86400.0]), 365, 366) == [365 * 86400.0, None]


def test_a_job_never_starts_before_its_backoff_is_over() -> None:
    later = NOW + timedelta(seconds=95)
    alone = outlook(slots=2, held=[30])
    assert starts(alone, Place(ahead=0, not_before=later)) == [95]
    assert starts(alone, Place(ahead=4, not_before=later)) == [120]
    # Two start meanwhile, though it comes before them, and hold the slots when its time has come.
    assert starts(alone, Place(ahead=0, overtaking=9, not_before=later)) == [120]
    assert starts(alone, Place(ahead=0, overtaking=1, not_before=later)) == [95]
    assert starts(alone, Place(ahead=3, not_before=NOW - timedelta(seconds=1))) == starts(alone, 3)


def test_odd_clocks_do_no_harm() -> None:
    ahead_of_its_time = outlook(held=[-30], holds=[60])
    assert starts(ahead_of_its_time, 0) == [90]
    assert starts(outlook(held=[1], holds=[-5]), 0) == [None]
    assert starts(outlook(slots=1, holds=[0]), 0, 9) == [0, 0.000009]


def simulated(turns: Turns, place: Place) -> datetime:
    """The model played through, slot by slot and job by job."""
    slots = [turns.now + timedelta(microseconds=first) for first in turns.free]
    heapq.heapify(slots)
    ahead, behind = place.ahead, place.overtaking
    while True:
        free = slots[0]
        ready = place.not_before is None or place.not_before <= free
        if ahead:
            ahead -= 1
        elif ready:
            return free
        elif behind:
            behind -= 1
        else:
            assert place.not_before is not None
            return place.not_before
        heapq.heapreplace(slots, free + timedelta(microseconds=turns.hold))


SPANS = st.integers(0, 500).map(lambda value: timedelta(seconds=value / 10))


@given(
    slots=st.integers(1, 6),
    held=st.lists(SPANS, max_size=8),
    holds=st.lists(SPANS.filter(bool), min_size=1, max_size=8),
    ahead=st.integers(0, 40),
    overtaking=st.integers(0, 40),
    backoff=st.none() | SPANS.filter(bool),
)
def test_the_short_way_leads_to_where_the_model_leads(
    slots: int, held: list[timedelta], holds: list[timedelta], ahead: int, overtaking: int, backoff: timedelta | None
) -> None:
    turns = expected_turns(SlotUse(held_since=[NOW - each for each in held], holds=holds), slots=slots, now=NOW)
    if turns is None:
        assert max(held) >= max(holds)
        return
    not_before = None if backoff is None else NOW + backoff
    place = Place(ahead=ahead, overtaking=0 if backoff is None else overtaking, not_before=not_before)
    assert turns.start_of(place) == simulated(turns, place)


class Counted(Sequence[int]):
    """Counts how often one of its numbers is taken."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers
        self.taken = 0

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[int]: ...
    def __getitem__(self, at: int | slice) -> int | Sequence[int]:
        found = self._numbers[at]
        self.taken += 1 if isinstance(found, int) else len(found)
        return found


def test_the_hundred_thousandth_is_hardly_more_work_than_the_first() -> None:
    free = [each * 100_000 for each in range(1000)]

    def work(ahead: int) -> int:
        counted = Counted(free)
        start = Turns(now=NOW, free=counted, hold=200_000_000).start_of(Place(ahead=ahead))
        assert start == NOW + timedelta(microseconds=free[ahead % 1000] + ahead // 1000 * 200_000_000)
        return counted.taken

    assert work(99_999) < 2 * work(999)


@pytest.mark.parametrize(
    ("known", "place", "text"),
    [
        (outlook(paused=True, held=[1]), Place(ahead=0, not_before=NOW), "the queue is paused"),
        (
            outlook(),
            Place(ahead=0, not_before=NOW + timedelta(seconds=5.25)),
            "waits for its next attempt until 2031-05-04T12:00:05Z",
        ),
        (
            Outlook(now=NOW, slots=2, use=SlotUse(), paused=False, away_since=NOW),
            Place(ahead=0),
            "the cluster has not answered since 2031-05-04T12:00:00Z",
        ),
        (outlook(held=[1]), Place(ahead=0), "the only slot is in use"),
        (outlook(slots=2, held=[1, 2, 3]), Place(ahead=0), "all 2 slots are in use"),
        (outlook(slots=2, held=[1]), Place(ahead=0), "will start at once"),
        (outlook(slots=2, held=[1]), Place(ahead=1), "the free slots go to jobs before it"),
    ],
)
def test_why_a_job_waits(known: Outlook, place: Place, text: str) -> None:
    assert known.why(place) == text


def test_a_job_that_waits_is_shown_with_all_of_it() -> None:
    queued = Queued(id="a", name="n", priority=3, created_at=NOW, place=Place(ahead=0))
    shown = outlook(held=[20]).of(queued, 1)
    assert (shown.id, shown.name, shown.priority, shown.position, shown.created_at) == ("a", "n", 3, 1, NOW)
    assert (shown.not_before, shown.estimated_start_at) == (None, NOW + timedelta(seconds=40))
    assert shown.why == "the only slot is in use"
