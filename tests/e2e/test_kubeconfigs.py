"""Ten kubeconfigs, read by us and by `kubectl`: both must see the same cluster and the same user."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spark_jobs.cluster.kubernetes.config import KubernetesConfig
from spark_jobs.cluster.kubernetes.kubeconfig import Login, find_login
from tests.e2e.kube import kubectl_command

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

CA, CERT, KEY = b"a certificate authority\n", b"a certificate\n", b"a key\n"


def encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def config(context: str = "c", *, cluster: dict[str, Any], user: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A kubeconfig with one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context, **more}}],
        "clusters": [{"name": context, "cluster": {"server": "https://api.test:6443", **cluster}}],
        "users": [{"name": context, "user": user}],
    }


EXEC = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "login",
    "args": ["now"],
    "interactiveMode": "Never",
}
DATA = {"certificate-authority-data": encoded(CA)}
IMPERSONATED = {"token": "t", "as": "jane", "as-groups": ["devs"], "as-uid": "7"}

CASES: dict[str, tuple[list[dict[str, Any]], str | None]] = {
    "token": ([config(cluster=DATA, user={"token": "t"})], None),
    "namespace": ([config(cluster={}, user={"token": "t"}, namespace="lab")], None),
    "certificates in data": (
        [config(cluster=DATA, user={"client-certificate-data": encoded(CERT), "client-key-data": encoded(KEY)})],
        None,
    ),
    "certificates in files beside it": (
        [config(cluster={"certificate-authority": "ca"}, user={"client-certificate": "cert", "client-key": "key"})],
        None,
    ),
    "insecure": ([config(cluster={"insecure-skip-tls-verify": True}, user={"token": "t"})], None),
    "server name and proxy": (
        [config(cluster={"tls-server-name": "k8s", "proxy-url": "http://proxy.test:3128"}, user={"token": "t"})],
        None,
    ),
    "password": ([config(cluster={}, user={"username": "u", "password": "p"})], None),
    "exec plugin": ([config(cluster=DATA, user={"exec": EXEC})], None),
    "impersonation": ([config(cluster={}, user=IMPERSONATED)], None),
    "two files, the second one's context": (
        [
            config("one", cluster={}, user={"token": "first"}),
            config("two", cluster={"server": "https://second.test"}, user={"token": "second"}, namespace="b"),
        ],
        "two",
    ),
}


def of_kubectl(paths: str, context: str | None) -> dict[str, Any]:
    """What kubectl makes of it."""
    words = [*kubectl_command(), "--kubeconfig=", *(["--context", context] if context else [])]
    command = [*words, "config", "view", "--raw", "--minify", "--flatten", "-o", "json"]
    env = {**os.environ, "KUBECONFIG": paths}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    [cluster], [user], [inside] = shown["clusters"], shown["users"], shown["contexts"]
    return {"cluster": cluster["cluster"], "user": user["user"], "namespace": inside["context"].get("namespace")}


def _bytes(pem: bytes | Path | None) -> str | None:
    data = pem.read_bytes() if isinstance(pem, Path) else pem
    return None if data is None else encoded(data)


def of_ours(login: Login) -> dict[str, Any]:
    """What we make of it, in kubectl's words."""
    username, password = login.basic or (None, None)
    headers: dict[str, list[str]] = {}
    for name, value in login.impersonate:
        headers.setdefault(name.lower(), []).append(value)
    cluster = {
        "server": login.server,
        "certificate-authority-data": _bytes(login.ca),
        "insecure-skip-tls-verify": login.insecure or None,
        "tls-server-name": login.server_name,
        "proxy-url": login.proxy,
    }
    user = {
        "token": login.token,
        "client-certificate-data": _bytes(login.certificate),
        "client-key-data": _bytes(login.key),
        "username": username,
        "password": password,
        "as": next(iter(headers.get("impersonate-user", [])), None),
        "as-uid": next(iter(headers.get("impersonate-uid", [])), None),
        "as-groups": headers.get("impersonate-group"),
        "exec": msgspec.to_builtins(login.exec_plugin),
    }
    return {"cluster": _given(cluster), "user": _given(user), "namespace": login.namespace}


def _given(section: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value is not None}


@pytest.mark.parametrize("name", CASES)
def test_both_see_the_same(name: str, tmp_path: Path) -> None:
    contents, context = CASES[name]
    for file, data in (("ca", CA), ("cert", CERT), ("key", KEY)):
        (tmp_path / file).write_bytes(data)
    paths = []
    for index, content in enumerate(contents):
        path = tmp_path / f"config-{index}"
        path.write_text(json.dumps(content))
        paths.append(str(path))
    listed = os.pathsep.join(paths)
    theirs = of_kubectl(listed, context)
    theirs["namespace"] = theirs["namespace"] or "default"
    if "exec" in theirs["user"]:
        theirs["user"]["exec"] = {key: value for key, value in theirs["user"]["exec"].items() if key in EXEC}
    login = find_login(KubernetesConfig(context=context), environ={"KUBECONFIG": listed, "HOME": str(tmp_path)})
    assert of_ours(login) == theirs
