"""Guides show the examples as they are, and the examples of pipelines are what their systems can read."""

from __future__ import annotations

import re
import shlex

import pytest
from ruamel.yaml import YAML

from spark_jobs.domain.names import job_id_problem
from tests.e2e.printed import block
from tests.project.repository import ROOT, read

SHOWN = {
    "data/sum_sales.py": ("data-processing", "def job"),
    "backup/backup.sh": ("nightly-backup", "exec spark run"),
    "backup/crontab": ("nightly-backup", "/opt/spark/bin"),
    "pipeline/step.sh": ("ci-pipeline", "exec spark run"),
    "pipeline/github.yml": ("ci-pipeline", "runs-on"),
    "pipeline/gitlab.yml": ("ci-pipeline", "after_script"),
}


@pytest.mark.parametrize("file", SHOWN)
def test_a_guide_shows_the_file_as_it_is(file: str) -> None:
    page, text = SHOWN[file]
    assert block(f"docs/guides/{page}.md", text) == read(f"examples/{file}")


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_a_pipeline_calls_the_step_with_an_id_of_its_run(system: str) -> None:
    """Its variables filled in as the system would, the id is one that Spark takes, and it is what gets cancelled."""
    tests = YAML(typ="safe").load(read(f"examples/pipeline/{system}.yml"))
    if system == "github":
        job = tests["jobs"]["tests"]
        commands, variables = [step.get("run", "") for step in job["steps"]], job["env"]
    else:
        job = tests["tests"]
        commands, variables = [*job["script"], *job["after_script"]], job["variables"]
    job_id = re.sub(r"\$\{\{.*?\}\}|\$\w+", "1234567890123", variables["JOB"])
    assert job_id_problem(job_id) is None
    [called] = [shlex.split(command) for command in commands if "step.sh" in command]
    program, *words = called[1:] if called[0] == "exec" else called
    assert (ROOT / program).is_file()
    assert (words[0], len(words) > 2) == ("$JOB", True)
    assert any('spark cancel "$JOB"' in command for command in commands)
