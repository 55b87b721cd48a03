"""What the tests of the client and of the command line share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spark_jobs.cli.main import main
from tests.cli.scripted import ScriptedServer


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's or the user's set-up has a say, and no test leaves anything in the home folder."""
    for name in ("SPARK_SERVER", "SPARK_TOKEN", "SPARK_TOKEN_FILE", "SPARK_CONFIG", "SPARK_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A scripted server, which is the default one of everything in the test."""
    scripted = ScriptedServer()
    monkeypatch.setenv("SPARK_SERVER", scripted.url)
    with scripted.running():
        yield scripted


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


Spark = Callable[..., Result]


@pytest.fixture
def spark(capfd: pytest.CaptureFixture[str]) -> Spark:
    """Run `spark` in this process."""

    def run(*args: str) -> Result:
        with pytest.raises(SystemExit) as end:
            main(list(args))
        out, err = capfd.readouterr()
        return Result(int(end.value.code or 0), out, err)

    return run
