"""Leaves out tests whose parts are missing here, and says so by name at the end of the run.

What is counted is added up where several processes share the run (pytest-xdist).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests import figures, parts, transitions

# So that an assertion of theirs that fails shows its values, too.
pytest.register_assert_rewrite(
    *(f"tests.{area}" for area in ("app", "cases", "chaos", "cli", "contract", "e2e", "engine"))
)


class Report:
    """Counts what ran by area (the folder below tests/) and what did not by missing part."""

    def __init__(self) -> None:
        """Start with nothing run."""
        self.ran: Counter[str] = Counter()
        self.not_run: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}

    def plain(self) -> Plain:
        """What `dev.test` reads: `{"ran": {area: tests}, "not_run": {part: [tests, reason]}}`."""
        not_run = {part: [count, self.reasons[part]] for part, count in self.not_run.items()}
        return {"ran": dict(self.ran), "not_run": not_run}

    def add(self, plain: Plain) -> None:
        """Take in what another process of this run did. Each one leaves out the same tests."""
        self.ran.update(plain["ran"])
        for part, (count, reason) in plain["not_run"].items():
            self.not_run[part], self.reasons[part] = count, reason


Plain = dict[str, Any]
"""What passes between processes: numbers, texts, lists and maps of these."""

REPORT = pytest.StashKey[Report]()
COUNTED = "counted"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = Report()
    # looptime asks for the current event loop even in tests that have none; unless one was set, or unset, Python makes
    # one for the asking, which nobody closes.
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    report = config.stash[REPORT]
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        lacks = _lacks(item)
        if lacks:
            report.reasons |= lacks
            report.not_run.update(lacks.keys())
            left_out.append(item)
        else:
            kept.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def _lacks(item: pytest.Item) -> dict[str, str]:
    names = [str(name) for mark in item.iter_markers("needs") for name in mark.args]
    try:
        return parts.missing(names)
    except KeyError as error:
        known = ", ".join(parts.PARTS)
        raise pytest.UsageError(f"{item.nodeid} needs {error}, which is no part; parts: {known}") from None


def pytest_runtest_teardown(item: pytest.Item) -> None:
    item.config.stash[REPORT].ran[area(item.nodeid)] += 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Count the transitions that happen meanwhile."""
    with nullcontext() if area(item.nodeid) in transitions.ALONE else transitions.recording():
        return (yield)


def _requires_all() -> bool:
    return os.environ.get("SPARK_TEST_REQUIRE_ALL") == "1"


def _runs_everything(config: pytest.Config) -> bool:
    """Whether nothing was chosen: not by path, not by name, not by mark."""
    by_default = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return by_default and not (config.option.keyword or config.option.markexpr or config.getoption("lf", False))


def area(nodeid: str) -> str:
    """The folder below tests/ that a test belongs to."""
    folders = Path(nodeid.partition("::")[0]).parts
    return folders[1] if len(folders) > 2 else folders[0]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of the processes that share the run is through: take in what it counted."""
    counted = getattr(node, "workeroutput", {}).get(COUNTED)
    if counted is not None:  # null if it died on the way, which xdist reports
        node.config.stash[REPORT].add(counted["report"])
        figures.LINES.extend(counted["figures"])
        transitions.add(counted["transitions"])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    report = session.config.stash[REPORT]
    output: Plain | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[COUNTED] = {"report": report.plain(), "figures": figures.LINES, "transitions": transitions.plain()}
        return
    missing = report.not_run or (_runs_everything(session.config) and transitions.never_taken())
    if missing and exitstatus == pytest.ExitCode.OK and _requires_all():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    destination = os.environ.get("SPARK_TEST_REPORT")
    if destination:
        Path(destination).write_text(json.dumps(report.plain()), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash[REPORT]
    if figures.LINES:
        terminalreporter.section("figures")
    for line in figures.LINES:
        terminalreporter.line(line)
    if _runs_everything(config):
        terminalreporter.section("table of states")
        for line in transitions.lines():
            terminalreporter.line(line)
        if transitions.never_taken() and _requires_all():
            terminalreporter.line("SPARK_TEST_REQUIRE_ALL=1: a row that is never taken is a failure")
    if report.not_run:
        terminalreporter.section("not run")
    for part, count in report.not_run.items():
        terminalreporter.line(f"{part}: {count} tests: {report.reasons[part]}")
    if report.not_run and _requires_all():
        terminalreporter.line("SPARK_TEST_REQUIRE_ALL=1: a part that is not run is a failure")
