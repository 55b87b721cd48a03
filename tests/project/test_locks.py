"""The lock files: hashed, without a word on where packages come from, and current."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from dev import lock
from tests.project.repository import ROOT, read

NAMES = sorted(lock.LOCKS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the locks are made from, with the locks."""
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    entries = re.split(r"\n(?=\S)", read(f"requirements/{name}.lock").strip())[1:]
    assert entries
    assert all(re.match(r"[\w.\-\[\],]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", NAMES)
def test_no_line_says_where_packages_come_from(name: str) -> None:
    assert re.findall(r"^--|://|--index|--find-links", read(f"requirements/{name}.lock"), re.MULTILINE) == []


def test_the_smaller_locks_hold_the_versions_that_are_tested() -> None:
    tested = set(re.findall(r"^[\w.\-]+==\S+", read("requirements/dev.lock"), re.MULTILINE))
    assert set(re.findall(r"^[\w.\-]+==\S+", read("requirements/server.lock"), re.MULTILINE)) <= tested
    assert set(re.findall(r"^[\w.\-]+==\S+", read("requirements/base.lock"), re.MULTILINE)) <= tested


def test_the_locks_are_current() -> None:
    assert lock.drift(ROOT) == []


def test_a_changed_dependency_is_drift_in_every_lock(copy: Path) -> None:
    text = (copy / "pyproject.toml").read_text().replace('"msgspec>=', '"one-more",\n    "msgspec>=', 1)
    (copy / "pyproject.toml").write_text(text)
    faults = lock.drift(copy)
    assert len(faults) == len(NAMES)
    assert all("other dependencies" in fault and "make lock" in fault for fault in faults)


def test_a_changed_setting_of_a_tool_is_no_drift(copy: Path) -> None:
    with (copy / "pyproject.toml").open("a") as file:
        file.write("\n[tool.other]\nkey = 1\n")
    assert lock.drift(copy) == []


def test_a_lock_edited_by_hand_and_a_missing_one_are_drift(copy: Path) -> None:
    with (copy / "requirements/base.lock").open("a") as file:
        file.write("extra==1.0 --hash=sha256:00\n")
    (copy / "requirements/server.lock").unlink()
    faults = sorted(lock.drift(copy))
    assert ["edited by hand" in faults[0], "is missing" in faults[1], len(faults)] == [True, True, 2]


def test_the_domain_contract_names_every_dependency() -> None:
    """The domain may import msgspec alone, so its contract in pyproject.toml must list all the others."""
    document = tomllib.loads(read("pyproject.toml"))
    project = document["project"]
    declared = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[><=;\[ ]", line)[0].lower().replace("-", "_") for line in declared} - {"msgspec"}
    contracts = {contract["id"]: contract for contract in document["tool"]["importlinter"]["contracts"]}
    imported = {
        "google_re2": "re2",
        "googleapis_common_protos": "google",
        "grpcio": "grpc",
        "grpcio_health_checking": "grpc_health",
        "grpcio_reflection": "grpc_reflection",
        "protobuf": "google",
        "ruamel.yaml": "ruamel",
    }
    assert {imported.get(name, name) for name in names} <= set(contracts["domain"]["forbidden_modules"])
