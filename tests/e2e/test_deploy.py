"""deploy/kubernetes.yaml, applied as it is: the server as a pod of a real cluster, by the guide's own commands."""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev import image
from dev.cluster import Cluster
from tests.e2e import kube, printed
from tests.e2e.disks import disk
from tests.e2e.server import SPARK, environment
from tests.parts import kubeconfig_path
from tests.project.repository import ROOT, build_wheel

pytestmark = pytest.mark.needs("kubernetes", "kubectl", "images")

GUIDE = "docs/guides/in-kubernetes.md"
MANIFEST = (ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8")
RESTRICTED = ("--security-profile", "restricted", "--run-as-user", "65534", "--image", "busybox:1")


@pytest.fixture(scope="module")
def image_is_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The image that the file names is on the node, as if it had been pulled."""
    [name] = re.findall(r"image: (\S+)", MANIFEST)
    cluster = Cluster.of(kubeconfig_path() or Path())
    assert cluster is not None
    folder = tmp_path_factory.mktemp("image")
    image.fill(folder / "root", build_wheel(folder))
    cluster.add_image(name, folder / "root", image.START)


class Deployed:
    """The server in its namespace, and a shell in which the guide's commands are run against it."""

    def __init__(self, where: str, home: Path) -> None:
        self.where = where
        self._home = home
        self._shell = printed.Shell(home)

    def as_printed(self, text: str) -> str:
        """Run the guide's block that holds this text, in our namespace instead of `spark`; what it prints."""
        commands = printed.block(GUIDE, text)
        ours = re.sub(r"(-n|namespace) spark\b", rf"\1 {self.where}", commands)
        assert ours != commands
        return self._shell.run(ours).stdout

    def token(self) -> str:
        """The token in the secret."""
        shown = kube.kubectl("get", "secret", "spark-token", "-n", self.where, "-o", "jsonpath={.data.token}")
        return base64.b64decode(shown).decode()

    def log(self) -> list[str]:
        """What the server's pod has logged."""
        return kube.kubectl("logs", "deployment/spark", "-n", self.where).splitlines()

    @contextmanager
    def forwarded(self, port: str) -> Iterator[str]:
        """The address on this machine at which a port of the service can be reached."""
        command = [*kube.kubectl_command(), "port-forward", "service/spark", f":{port}", "-n", self.where]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
            try:
                assert forwarding.stdout is not None
                told = re.search(r"127\.0\.0\.1:\d+", forwarding.stdout.readline())
                assert told
                yield told[0]
            finally:
                forwarding.terminate()

    def spark(self, server: str, *words: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line against it."""
        env = {**environment(self._home), "SPARK_SERVER": server, **({"SPARK_TOKEN": token} if token else {})}
        return subprocess.run([*SPARK, *words], env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def deployed(image_is_there: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """What the guide says under "Apply" is done, in a namespace that enforces the Pod Security Standard `restricted`."""
    del image_is_there
    home = tmp_path_factory.mktemp("deploy")
    where = f"spark-e2e-{secrets.token_hex(4)}"
    server = Deployed(where, home)
    with disk(where, "spark-data", home / "disk"):
        try:
            server.as_printed("create namespace")
            kube.kubectl("label", "namespace", where, "pod-security.kubernetes.io/enforce=restricted")
            server.as_printed("apply -f deploy/kubernetes.yaml")
            yield server
            assert [line for line in server.log() if '"level": "error"' in line or "Traceback" in line] == []
        finally:
            kube.kubectl("delete", "namespace", where, "--wait=false")


def test_a_job_runs_in_the_cluster_that_the_server_is_in(deployed: Deployed) -> None:
    with deployed.forwarded("http") as address:
        words = ("run", *RESTRICTED, "--", "sh", "-c", "echo Hello World; exit 3")
        done = deployed.spark(f"http://{address}", *words, token=deployed.token())
    assert (done.returncode, done.stdout) == (3, "Hello World\n"), done.stderr


def test_without_the_token_nothing_is_told(deployed: Deployed) -> None:
    with deployed.forwarded("http") as address:
        done = deployed.spark(f"http://{address}", "list")
        wrong = deployed.spark(f"http://{address}", "list", token="x" * 43)
    assert (done.returncode, done.stdout) == (77, "")
    assert (wrong.returncode, wrong.stdout) == (77, "")


def test_the_account_has_all_that_is_needed(deployed: Deployed) -> None:
    """The role of the file holds the permissions in its namespace; nodes are in none, and good to have."""
    shown = deployed.as_printed("-- spark doctor").splitlines()
    assert [line for line in shown if line.startswith("MISSING")] == []
    assert [line.split(":")[0] for line in shown if line.startswith("- ")] == ["-       may list nodes"]


def test_jobs_and_logs_survive_the_pod(deployed: Deployed) -> None:
    before = deployed.as_printed("exec deployment/spark -- spark list").splitlines()
    kube.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=spark", "-n", deployed.where)
    kube.kubectl("rollout", "status", "deployment/spark", "-n", deployed.where, "--timeout=120s")
    with deployed.forwarded("http") as address:
        listed = deployed.spark(f"http://{address}", "list", "-o", "json", token=deployed.token())
        logs = deployed.spark(f"http://{address}", "logs", "@latest", token=deployed.token())
    jobs = json.loads(listed.stdout)["jobs"]
    assert [job["exit_code"] for job in jobs] == [3]
    assert jobs[0]["id"] in before[1]
    assert logs.stdout == "Hello World\n"


def test_grpc_is_served_on_the_port_that_the_service_names(deployed: Deployed) -> None:
    with deployed.forwarded("grpc") as address:
        words = ("run", "-q", *RESTRICTED, "--", "echo", "over gRPC")
        done = deployed.spark(f"grpc://{address}", *words, token=deployed.token())
        refused = deployed.spark(f"grpc://{address}", "list")
    assert (done.returncode, done.stdout) == (0, "over gRPC\n"), done.stderr
    assert refused.returncode == 77
