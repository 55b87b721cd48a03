"""The reasons: each has a hint and is given by something."""

from __future__ import annotations

from pathlib import Path

import pytest

import spark_jobs
from spark_jobs.domain import reasons
from spark_jobs.domain.reasons import HINTS, Reason, hint

SOURCES = [
    path.read_text(encoding="utf-8")
    for path in Path(spark_jobs.__file__).parent.rglob("*.py")
    if path != Path(reasons.__file__)
]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_to_do_in_one_line(reason: Reason) -> None:
    assert hint(reason) == HINTS[reason]
    assert HINTS[reason][-1] in ".?"
    assert len(HINTS[reason]) <= 120


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_given_by_something(reason: Reason) -> None:
    assert any(f"Reason.{reason.name}" in source for source in SOURCES)


def test_a_word_that_is_none_of_ours_has_no_hint() -> None:
    assert hint(None) is None
    assert hint("SomethingElse") is None
