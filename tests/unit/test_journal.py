"""The journal: silent by itself, readable through the standard library, whole as JSON in a server."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from spark_jobs import journal

log = journal.logger("spark_jobs.engine.example")


def test_a_program_that_sets_up_logging_reads_the_event_and_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log.info("forgot what was old", jobs=3, name="x")
        log.debug("not this")
    [record] = caplog.records
    assert (record.name, record.levelname) == ("spark_jobs.engine.example", "INFO")
    assert record.getMessage() == "forgot what was old jobs=3 name=x"


def test_an_exception_comes_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("lost")
    except KeyError:
        log.exception("a look failed, 100%", claim="c")
    assert "a look failed, 100% claim=c" in caplog.text
    assert "KeyError: 'lost'" in caplog.text


def printed(code: str) -> tuple[str, str]:
    """What a program prints on stdout and stderr."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


WARNS = "from spark_jobs import journal; journal.logger('spark_jobs.x').warning('refused', code=3)"


def test_nothing_appears_in_a_program_that_sets_up_nothing() -> None:
    assert printed(WARNS) == ("", "")


def test_nothing_is_set_up_for_the_program() -> None:
    state = "logging.getLogger().handlers, logging.getLogger().level, structlog.is_configured()"
    assert printed(f"{WARNS}; import logging, structlog; print({state})")[0] == "[] 30 False\n"


def test_a_server_writes_each_field_apart() -> None:
    _, lines = printed(f"from spark_jobs.app import service_log; service_log.configure('json'); {WARNS}")
    line = json.loads(lines)
    assert {"event": "refused", "code": 3, "level": "warning"}.items() <= line.items()
    assert "timestamp" in line
