"""The one table of a job's states."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.domain.errors import IllegalTransition
from spark_jobs.domain.state import ACTIVE, TABLE, TERMINAL, Cause, JobState, Rule, check, mermaid

EVERY = [Rule(*row) for row in itertools.product(JobState, Cause, JobState)]


@pytest.mark.parametrize("rule", TABLE, ids=lambda rule: f"{rule.source}-{rule.cause}-{rule.target}")
def test_every_row_of_the_table_is_allowed(rule: Rule) -> None:
    assert check(*rule) is None  # type: ignore[func-returns-value]  # that it returns at all is the point


@given(st.sampled_from([rule for rule in EVERY if rule not in TABLE]))
def test_whatever_is_not_in_the_table_is_refused_with_both_states_named(rule: Rule) -> None:
    with pytest.raises(IllegalTransition) as raised:
        check(*rule)
    assert rule.source in raised.value.message
    assert rule.target in raised.value.message


def test_an_end_has_no_way_out() -> None:
    """Invariant 5."""
    assert {rule.source for rule in TABLE} == ACTIVE
    for source, cause, target in itertools.product(TERMINAL, Cause, JobState):
        with pytest.raises(IllegalTransition):
            check(source, cause, target)


def test_every_state_can_be_reached_and_every_active_one_left_for_an_end() -> None:
    reached = {JobState.QUEUED}
    while more := {rule.target for rule in TABLE if rule.source in reached} - reached:
        reached |= more
    assert reached == set(JobState)
    for state in ACTIVE:
        assert any(rule.source is state and rule.target.is_terminal for rule in TABLE)


def test_only_a_wish_or_what_the_cluster_showed_ends_a_job() -> None:
    """Invariant 5."""
    ending = {rule.cause for rule in TABLE if rule.target.is_terminal}
    assert ending == set(Cause) - {Cause.CLAIMED, Cause.CONTAINER_RUNNING, Cause.RETRY}


def test_the_diagram_shows_every_rule_and_nothing_else() -> None:
    drawn: set[tuple[str, str, str]] = set()
    for line in mermaid().splitlines()[1:]:
        arrow, _, causes = line.strip().partition(": ")
        source, target = arrow.split(" --> ")
        drawn |= {(source, cause, target) for cause in causes.split(", ")}
    ends = {(str(state), "", "[*]") for state in TERMINAL}
    assert drawn == {tuple(map(str, rule)) for rule in TABLE} | ends | {("[*]", "submitted", "QUEUED")}
