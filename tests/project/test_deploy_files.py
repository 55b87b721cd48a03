"""The files in deploy/ against what they repeat: permissions, settings, ports, the version, the checkout's files."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

import spark_jobs
from dev import image
from spark_jobs.cluster.kubernetes.access import rbac_manifest
from spark_jobs.config import load
from spark_jobs.config.table import TABLE
from tests.project.repository import ROOT, read

MANIFEST = "deploy/kubernetes.yaml"
DOCKERFILE = "deploy/Dockerfile"

Object = dict[str, Any]


@pytest.fixture(scope="module")
def objects() -> dict[str, Object]:
    """The objects of the manifest by kind."""
    documents = list(YAML(typ="safe").load_all(read(MANIFEST)))
    found = {document["kind"]: document for document in documents}
    assert len(found) == len(documents)
    return found


@pytest.fixture(scope="module")
def container(objects: dict[str, Object]) -> Object:
    [only] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_the_account_gets_what_doctor_prints(objects: dict[str, Object]) -> None:
    """All that is in a namespace; the namespace itself is the user's to give."""
    printed = {item["kind"]: item for item in rbac_manifest(("any",))["items"]}
    for kind in ("ServiceAccount", "Role", "RoleBinding"):
        assert objects[kind] == without_namespace(printed[kind])


def without_namespace(part: Any) -> Any:
    """A part of an object without any namespace in it."""
    if isinstance(part, dict):
        return {key: without_namespace(value) for key, value in part.items() if key != "namespace"}
    return [without_namespace(each) for each in part] if isinstance(part, list) else part


def test_no_object_names_a_namespace_and_none_is_a_secret(objects: dict[str, Object]) -> None:
    assert "namespace:" not in read(MANIFEST)
    assert "Secret" not in objects


def test_the_settings_are_ours_and_the_ports_agree(objects: dict[str, Object], container: Object) -> None:
    environ = {each["name"]: each["value"] for each in container["env"]}
    known = {name for setting in TABLE.values() for name in setting.environment}
    assert {name for name in environ if name.startswith("SPARK_")} <= known
    command, *flags = container["args"]
    assert (command, flags) == ("server", ["--host", "0.0.0.0"])
    settings = load({"host": flags[1]}, environ)
    assert settings.warnings == ()
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": settings.port, "grpc": settings.grpc_port}
    assert {port["name"]: port["port"] for port in objects["Service"]["spec"]["ports"]} == ports
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert [str(settings.data_dir.parent), str(settings.token_file and settings.token_file.parent)] == mounts[:2]


def test_the_service_finds_the_server_and_no_job(objects: dict[str, Object]) -> None:
    selector = objects["Service"]["spec"]["selector"]
    assert selector == objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert [key.partition("/")[0] for key in selector] == ["app.kubernetes.io"], "a label that no job may carry"


@pytest.mark.parametrize("name", [MANIFEST, DOCKERFILE, "docs/guides/in-kubernetes.md"])
def test_the_image_is_of_this_version(name: str) -> None:
    assert set(re.findall(r"spark-jobs:([\w.]+)", read(name))) == {spark_jobs.__version__}


def test_the_image_holds_what_the_checkout_has() -> None:
    """What is copied is there, and no other file is sent to the builder."""
    copied = [line.split()[1:-1] for line in read(DOCKERFILE).splitlines() if re.match(r"COPY (?!--from)", line)]
    sources = {source for each in copied for source in each}
    assert [source for source in sources if not (ROOT / source).exists()] == []
    sent = {line[1:] for line in read(f"{DOCKERFILE}.dockerignore").splitlines() if line.startswith("!")}
    assert sent == sources


def test_the_image_of_the_tests_starts_as_the_dockerfile_says() -> None:
    told = dict(
        line.split(" ", 1) for line in read(DOCKERFILE).splitlines() if re.match(r"(USER|ENTRYPOINT|CMD) ", line)
    )
    loads = YAML(typ="safe").load
    assert tuple(loads(told["ENTRYPOINT"])) == image.START.entrypoint
    assert tuple(loads(told["CMD"])) == image.START.command
    assert told["USER"] == image.START.user
