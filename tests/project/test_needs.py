"""`@pytest.mark.needs`: a test whose part is missing is left out and named, never skipped in silence."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.repository import ROOT

TESTS = """
import pytest

def test_plain() -> None:
    assert True

@pytest.mark.needs("kubernetes")
def test_cluster() -> None:
    assert True
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with our conftest: one test that runs anywhere, one that needs a cluster."""
    (tmp_path / "tests/unit").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for path in (ROOT / "tests").glob("*.py"):
        shutil.copyfile(path, tmp_path / "tests" / path.name)
    (tmp_path / "tests/unit/test_sample.py").write_text(TESTS)
    return tmp_path


def _pytest(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYTEST_"))}
    # Only the plugin that the configuration names: the others take seconds to import.
    clean["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    env = {**clean, "SPARK_TEST_REPORT": str(project / "report.json"), **variables}
    # Named, so that it does not count as a run of everything, which has to take every row of the table of states.
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "tests"]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)


def test_a_missing_part_is_named_with_its_reason(project: Path) -> None:
    done = _pytest(project, SPARK_TEST_NO_CLUSTER="no cluster here: not root")
    assert done.returncode == 0, done.stdout
    assert "kubernetes: 1 tests: no cluster here: not root" in done.stdout
    assert "1 passed, 1 deselected" in done.stdout
    expected = {"ran": {"unit": 1}, "not_run": {"kubernetes": [1, "no cluster here: not root"]}}
    assert json.loads((project / "report.json").read_text()) == expected


def test_a_missing_part_fails_the_run_where_all_is_required(project: Path) -> None:
    assert _pytest(project, SPARK_TEST_REQUIRE_ALL="1").returncode == 1


def test_with_the_part_everything_runs(project: Path) -> None:
    (project / "kubeconfig").touch()
    done = _pytest(project, SPARK_TEST_KUBECONFIG=str(project / "kubeconfig"), SPARK_TEST_REQUIRE_ALL="1")
    assert (done.returncode, "2 passed" in done.stdout, "not run" in done.stdout) == (0, True, False), done.stdout


def test_a_part_that_is_none_is_an_error(project: Path) -> None:
    (project / "tests/unit/test_sample.py").write_text(TESTS.replace("kubernetes", "kubernets"))
    done = _pytest(project)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "parts: kubernetes, chromium" in done.stderr
