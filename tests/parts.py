"""What a test may need that not every machine has, and why it is not there.

A test names it with `@pytest.mark.needs("kubernetes")`. Where it is missing the test is left out and named as not run;
with SPARK_TEST_REQUIRE_ALL=1 that is a failure. `dev/test.py` provides what it can before pytest starts.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium_path() -> str | None:
    """The browser for tests of pages: SPARK_TEST_CHROMIUM, or the first one on the PATH."""
    named = os.environ.get("SPARK_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def kubeconfig_path() -> Path | None:
    """The kubeconfig of the cluster that tests may use, from SPARK_TEST_KUBECONFIG."""
    named = os.environ.get("SPARK_TEST_KUBECONFIG")
    return Path(named) if named else None


def _kubernetes() -> str | None:
    path = kubeconfig_path()
    if path is None:
        return (
            os.environ.get("SPARK_TEST_NO_CLUSTER") or "SPARK_TEST_KUBECONFIG is not set (make test starts a cluster)"
        )
    return None if path.is_file() else f"SPARK_TEST_KUBECONFIG names {path}, which is no file"


def _images() -> str | None:
    """Why no image can be brought to the cluster: that takes one of dev.cluster, whose pods reach the API server."""
    path = kubeconfig_path()
    if path is None or not path.is_file():
        return _kubernetes()
    from dev.cluster import Cluster

    cluster = Cluster.of(path)
    if cluster is None:
        return f"SPARK_TEST_KUBECONFIG names {path}, which is no cluster of dev.cluster"
    return None if cluster.status().get("relay") else "the cluster has no relay running: take it down, and up again"


@cache
def _index() -> str | None:
    """Why no package can be installed: a small one is asked for, through whatever pip is set up with."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "--retries",
            "0",
            "--timeout",
            "10",
            "download",
            "--no-deps",
            "shellingham",
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "pip finds no package index"


def _chromium() -> str | None:
    if chromium_path():
        return None
    return "no Chromium found: install it, or name it with SPARK_TEST_CHROMIUM"


def _program(name: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else f"{name} is not on the PATH"


def _root() -> str | None:
    return None if hasattr(os, "geteuid") and os.geteuid() == 0 else "not root"


# Name of the part -> why it is missing, or None if it is there.
PARTS: dict[str, Callable[[], str | None]] = {
    "kubernetes": _kubernetes,
    "chromium": _chromium,
    "kubectl": lambda: None if os.environ.get("SPARK_TEST_KUBECTL") else _program("kubectl")(),
    "go": _program("go"),
    "npm": _program("npm"),
    "curl": _program("curl"),
    "openssl": _program("openssl"),
    "root": _root,
    "images": _images,
    "index": _index,
}


def missing(names: list[str]) -> dict[str, str]:
    """Those of the named parts that are not here, with the reason. Raises KeyError for a name that is none."""
    reasons = {name: PARTS[name]() for name in names}
    return {name: reason for name, reason in reasons.items() if reason is not None}
