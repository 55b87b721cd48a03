"""Figures of tests: recorded with their bound, kept or broken."""

from pathlib import Path

import pytest

from tests import figures


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is recorded in the test, and in it alone."""
    recorded: list[str] = []
    monkeypatch.setattr(figures, "LINES", recorded)
    monkeypatch.delenv("SPARK_TEST_FIGURES", raising=False)
    return recorded


def test_a_figure_above_its_bound_is_recorded_and_fails(lines: list[str]) -> None:
    figures.at_most("the end is known after", 4.999, 5)
    with pytest.raises(AssertionError, match="the end is known after"):
        figures.at_most("the end is known after", 5.01, 5)
    assert lines == ["the end is known after: 5 (at most 5 s)", "the end is known after: 5.01 (at most 5 s)"]


def test_a_count_that_is_another_is_recorded_and_fails(lines: list[str]) -> None:
    figures.exactly("pods", 12, 12)
    with pytest.raises(AssertionError, match="pods: 13, not 12"):
        figures.exactly("pods", 13, 12)
    assert lines == ["pods: 12 (exactly 12)", "pods: 13 (exactly 12)"]


def test_figures_are_appended_to_the_file_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "figures"
    monkeypatch.setenv("SPARK_TEST_FIGURES", str(file))
    figures.note("opens in 10 s", 7, "at most 20")
    figures.note("places", "3 of 3", "all")
    assert file.read_text() == "opens in 10 s: 7 (at most 20)\nplaces: 3 of 3 (all)\n"
