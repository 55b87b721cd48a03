"""`spark doctor` says exactly what is right and what is missing: on a real cluster, on none, and under a lesser account."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.server import SPARK, environment, on_kubernetes

pytestmark = pytest.mark.needs("kubernetes", "kubectl")


def doctor(home: Path, *flags: str) -> tuple[int, list[str]]:
    """Its exit code and its lines."""
    words = [*SPARK, "doctor", "--data-dir", str(home / "data"), *flags]
    done = subprocess.run(words, env=environment(home), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def kubeconfig(where: Path, namespace: str, **change: str) -> Path:
    """A copy of the test cluster's kubeconfig with another server or another token."""
    shown = json.loads(kube.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    [cluster], [user], [context] = shown["clusters"], shown["users"], shown["contexts"]
    cluster["cluster"]["server"] = change.get("server", cluster["cluster"]["server"])
    user["user"] = {"token": change["token"]} if "token" in change else user["user"]
    context["context"]["namespace"] = namespace
    path = where / "kubeconfig"
    path.write_text(json.dumps(shown))
    return path


def test_on_a_cluster_where_all_is_well(tmp_path: Path) -> None:
    with kube.namespace() as where:
        code, lines = doctor(tmp_path, *on_kubernetes(where))
    assert code == 0
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert any(f"may get pods/log in {where}" in line for line in lines)


def test_on_no_cluster(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "default", server="https://127.0.0.1:1")
    code, lines = doctor(tmp_path, "--cluster", "kubernetes", "--kubeconfig", str(path))
    assert code == 1
    [line] = [line for line in lines if not line.startswith("ok ")]
    assert "cluster" in line
    assert "127.0.0.1:1" in line


def test_without_a_kubeconfig(tmp_path: Path) -> None:
    code, lines = doctor(tmp_path, "--cluster", "kubernetes", "--kubeconfig", str(tmp_path / "none"))
    assert code == 1
    [line] = [line for line in lines if not line.startswith("ok ")]
    assert "credentials" in line
    assert "--kubeconfig" in line


def test_under_an_account_that_may_not_read_logs(tmp_path: Path) -> None:
    """The printed objects are what kubectl takes; with one rule taken out, exactly that is missing."""
    with kube.namespace() as where:
        words = [*SPARK, "doctor", *on_kubernetes(where), "--print-rbac"]
        printed = subprocess.run(words, env=environment(tmp_path), capture_output=True, text=True, check=True).stdout
        assert "&id" not in printed
        kube.kubectl("apply", "-f", "-", given=printed)
        try:
            token = kube.kubectl("create", "token", "spark-jobs", "-n", where).strip()
            path = kubeconfig(tmp_path, where, token=token)
            flags = ("--cluster", "kubernetes", "--kubeconfig", str(path))
            code, lines = doctor(tmp_path, *flags)
            assert (code, [line for line in lines if not line.startswith("ok ")]) == (0, [])
            role = json.loads(kube.kubectl("get", "role", "spark-jobs", "-n", where, "-o", "json"))
            role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["pods/log"]]
            kube.kubectl("replace", "-f", "-", given=json.dumps(role))
            code, lines = doctor(tmp_path, *flags)
            assert code == 1
            [line] = [line for line in lines if not line.startswith("ok ")]
            assert f"may get pods/log in {where}" in line
        finally:
            names = f"clusterrole/spark-jobs-{where}", f"clusterrolebinding/spark-jobs-{where}"
            kube.kubectl("delete", "--ignore-not-found", *names)
