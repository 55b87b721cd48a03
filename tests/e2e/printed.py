"""Commands as a page prints them, run as a reader would: in a shell that has `spark` and `kubectl`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.kube import kubectl_command
from tests.e2e.server import environment
from tests.project.repository import ROOT, read

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def block(page: str, text: str) -> str:
    """The one block of code of a page that holds this text."""
    blocks = [textwrap.dedent(found[2]) for found in _BLOCK.findall(read(page))]
    [wanted] = [each for each in blocks if text in each]
    return wanted


class Shell:
    """A user's shell in the root of the checkout; its state and its programs are in `home`."""

    def __init__(self, home: Path, **variables: str) -> None:
        programs = home / "bin"
        programs.mkdir(parents=True)
        kubectl = programs / "kubectl"
        kubectl.write_text(f'#!/bin/sh\nexec {shlex.join(kubectl_command())} "$@"\n')
        kubectl.chmod(0o755)
        path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        self.environment: Mapping[str, str] = {**environment(home), "PATH": os.pathsep.join(path), **variables}

    def run(self, commands: str, *, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run them all; the exit code is the last one's, or the first that is not 0."""
        done = subprocess.run(
            ["/bin/sh", "-ec", commands], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == expect, f"{commands}\n{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done
