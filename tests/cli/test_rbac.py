"""`spark doctor --print-rbac` prints what `kubectl apply` takes."""

import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from tests.cli.process import PATIENCE
from tests.e2e.server import SPARK


def test_the_printed_rbac_is_one_list_with_a_role_for_each_namespace(tmp_path: Path) -> None:
    command = [*SPARK, "doctor", "--print-rbac", "--namespace", "jobs,tests", "--data-dir", str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    document = YAML(typ="safe", pure=True).load(printed)
    kinds = [(item["kind"], item["metadata"].get("namespace")) for item in document["items"]]
    assert document["kind"] == "List"
    assert kinds[:3] == [("ServiceAccount", "jobs"), ("Role", "jobs"), ("RoleBinding", "jobs")]
    assert ("Role", "tests") in kinds
    role = document["items"][1]
    assert {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]} in role["rules"]
