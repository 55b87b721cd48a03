"""The short chaos run: the same seed every time, on a cluster of its own. `make chaos` is the long one."""

import subprocess
import sys

import pytest

from tests import figures

SHORT = ("--seed", "1", "--seconds", "30", "--jobs", "20")


@pytest.mark.needs("images", "kubectl", "root")
def test_whatever_is_broken_every_job_comes_to_its_one_true_end() -> None:
    """All invariants that can be seen from outside."""
    done = subprocess.run([sys.executable, "-m", "tests.chaos", *SHORT], capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    figures.exactly("chaos, 30 s, 20 jobs: exit code", done.returncode, 0)
