"""`make test`: provides what the tests need, runs pytest, takes down what it started, says what did not run.

The whole run is shared by two processes, file by file, since most tests wait for a cluster; a part of it that is asked
for runs in one.

The cluster comes from SPARK_TEST_KUBECONFIG if that is set, else from `dev.cluster` where it can run. Chromium is
installed where that is a matter of one apt-get as root on Debian. SPARK_TEST_REQUIRE_ALL=1 makes "not run" a failure.
"""

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev import processes
from tests.parts import chromium_path

CLUSTER = (sys.executable, "-m", "dev.cluster")
SPLIT = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")  # in order: files that take minutes come first
APT = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")


@contextmanager
def cluster(command: tuple[str, ...] = CLUSTER) -> Iterator[dict[str, str]]:
    """A real cluster for the time of the tests: the environment that points at it, or that says why there is none."""
    if os.environ.get("SPARK_TEST_KUBECONFIG"):
        yield {}
        return
    code, reasons = processes.run([*command, "probe"], capture=True)
    if code != 0:
        reason = "; ".join(reasons.split("\n")).strip("; ") or f"dev.cluster probe ended with {code}"
        yield {"SPARK_TEST_NO_CLUSTER": f"no cluster can be made here ({reason}); name one with SPARK_TEST_KUBECONFIG"}
        return
    name = f"test-{os.getpid()}"
    try:
        code, output = processes.run([*command, "up", "--name", name], capture=True)
        if code != 0:
            # It should have come up: the other tests still run, and the run as a whole fails.
            reason = f"the cluster did not come up (exit code {code}); what it said is above"
            yield {"SPARK_TEST_NO_CLUSTER": reason, "SPARK_TEST_REQUIRE_ALL": "1"}
            return
        kubectl = shlex.join([*command, "kubectl", "--name", name, "--"])
        yield {"SPARK_TEST_KUBECONFIG": output.strip().splitlines()[-1], "SPARK_TEST_KUBECTL": kubectl}
    finally:
        with processes.shielded():
            processes.run([*command, "down", "--name", name], capture=True)


def install_chromium() -> None:
    """Install Debian's Chromium if it is missing and one apt-get away; if that fails its tests are named as not run."""
    if chromium_path() or os.geteuid() != 0 or not shutil.which("apt-get") or _distribution() != "debian":
        return
    print("test: installing chromium (apt-get, nothing is removed)", file=sys.stderr)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    processes.run([*APT, "update"], env=env)
    processes.run([*APT, "install", "-y", "--no-remove", "--no-install-recommends", "chromium"], env=env)


def _distribution() -> str:
    path = Path("/etc/os-release")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.removeprefix("ID=").strip('"') for line in lines if line.startswith("ID=")), "")


def summary(report: str) -> str:
    """The last lines of the run, from the JSON that tests/conftest.py wrote ("" if pytest did not get that far)."""
    if not report:
        return "ran: nothing (pytest ended before it was through)"
    content = json.loads(report)
    ran = ", ".join(f"{area} {count}" for area, count in sorted(content["ran"].items()))
    lines = [f"ran: {ran or 'nothing'}"]
    for part, (count, reason) in sorted(content["not_run"].items()):
        lines.append(f"not run: {count} tests that need {part}: {reason}")
    if not content["not_run"]:
        lines.append("not run: nothing")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """`python -m dev.test [pytest arguments]`."""
    processes.exit_on_signals()
    install_chromium()
    with tempfile.TemporaryDirectory(prefix="spark-test-") as folder, cluster() as found:
        report = Path(folder) / "report.json"
        env = {**os.environ, **found, "SPARK_TEST_REPORT": str(report)}
        code, _ = processes.run([sys.executable, "-m", "pytest", *(arguments or SPLIT)], env=env)
        text = report.read_text(encoding="utf-8") if report.is_file() else ""
    print(summary(text))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
