"""Leaves out tests whose parts are missing here, and says so by name at the end of the run."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests import figures, parts


class Report:
    """Counts what ran by area (the folder below tests/) and what did not by missing part."""

    def __init__(self) -> None:
        """Start with nothing run."""
        self.ran: Counter[str] = Counter()
        self.not_run: Counter[str] = Counter()
        self.reasons: dict[str, str] = {}

    def as_json(self) -> str:
        """What `dev.test` reads: `{"ran": {area: tests}, "not_run": {part: [tests, reason]}}`."""
        not_run = {part: [count, self.reasons[part]] for part, count in self.not_run.items()}
        return json.dumps({"ran": dict(self.ran), "not_run": not_run})


REPORT = pytest.StashKey[Report]()


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


def area(nodeid: str) -> str:
    """The folder below tests/ that a test belongs to."""
    folders = Path(nodeid.partition("::")[0]).parts
    return folders[1] if len(folders) > 2 else folders[0]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    report = session.config.stash[REPORT]
    if report.not_run and exitstatus == pytest.ExitCode.OK and os.environ.get("SPARK_TEST_REQUIRE_ALL") == "1":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    destination = os.environ.get("SPARK_TEST_REPORT")
    if destination:
        Path(destination).write_text(report.as_json(), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash[REPORT]
    if figures.LINES:
        terminalreporter.section("figures")
    for line in figures.LINES:
        terminalreporter.line(line)
    if report.not_run:
        terminalreporter.section("not run")
    for part, count in report.not_run.items():
        terminalreporter.line(f"{part}: {count} tests: {report.reasons[part]}")
    if report.not_run and os.environ.get("SPARK_TEST_REQUIRE_ALL") == "1":
        terminalreporter.line("SPARK_TEST_REQUIRE_ALL=1: a part that is not run is a failure")
