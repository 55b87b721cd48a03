"""Which rows of the table of states the tests have taken: recorded where the store asks the table, shown at the end.

Tests of the table itself and of the store alone do not count: a row is taken when the engine, the service or something
above them has taken it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spark_jobs.domain.state import TABLE, Cause, JobState, Rule

TAKEN: Counter[Rule] = Counter()
ALONE = frozenset({"unit", "contract"})
"""Areas of the tests whose transitions do not count."""

_Check = Callable[[JobState, Cause, JobState], None]


@contextmanager
def recording() -> Iterator[None]:
    """Count every transition that the store lets pass during a block."""
    from spark_jobs.store.sql import attempts, transitions

    checks: list[tuple[object, _Check]] = [(module, module.check) for module in (attempts, transitions)]
    for module, check in checks:
        setattr(module, "check", _counting(check))  # noqa: B010 - a function is no attribute to type checkers
    try:
        yield
    finally:
        for module, check in checks:
            setattr(module, "check", check)  # noqa: B010 - the same


def _counting(check: _Check) -> _Check:
    def counted(source: JobState, cause: Cause, target: JobState) -> None:
        check(source, cause, target)
        TAKEN[Rule(source, cause, target)] += 1

    return counted


def plain() -> list[tuple[str, str, str, int]]:
    """What was taken here, for another process."""
    return [(rule.source.value, rule.cause.value, rule.target.value, count) for rule, count in TAKEN.items()]


def add(counted: list[tuple[str, str, str, int]]) -> None:
    """Add what was taken in another process."""
    for source, cause, target, count in counted:
        TAKEN[Rule(JobState(source), Cause(cause), JobState(target))] += count


def never_taken() -> list[Rule]:
    """Rows of the table that no test has taken."""
    return [rule for rule in TABLE if not TAKEN[rule]]


def lines() -> list[str]:
    """What is shown: how many rows were taken, then each with its count."""
    taken = len(TABLE) - len(never_taken())
    rows = [f"{TAKEN[rule]:6} {rule.source} -> {rule.target} ({rule.cause})" for rule in TABLE]
    return [f"{taken} of {len(TABLE)} rows of the table of states were taken", *rows]
