"""Logging in to Kubernetes: which kubeconfig counts, what is sent, and errors that name the way out."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spark_jobs.cluster.kubernetes.config import KubernetesConfig
from spark_jobs.cluster.kubernetes.credentials import Credentials
from spark_jobs.cluster.kubernetes.kubeconfig import find_login
from spark_jobs.cluster.kubernetes.proxies import proxy_for
from spark_jobs.domain.errors import CredentialsError

URL = "http://api.example:8080"


def write(path: Path, user: dict[str, Any], *, name: str = "test", **cluster: Any) -> str:
    """A kubeconfig with one context; JSON is YAML."""
    content = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
        "clusters": [{"name": name, "cluster": {"server": f"{URL}/{name}", **cluster}}],
        "users": [{"name": name, "user": user}],
    }
    path.write_bytes(msgspec.json.encode(content))
    return str(path)


def config(path: str | None = None, context: str | None = None) -> KubernetesConfig:
    return KubernetesConfig(kubeconfig=path, context=context)


async def authorization(path: str) -> str | None:
    return (await Credentials(find_login(config(path))).headers()).get("Authorization")


async def test_a_token_a_token_file_and_a_password_are_sent(tmp_path: Path) -> None:
    path = tmp_path / "config"
    (tmp_path / "token").write_text("from-file\n")
    assert await authorization(write(path, {"token": "plain"})) == "Bearer plain"
    assert await authorization(write(path, {"tokenFile": "token"})) == "Bearer from-file"
    pair = base64.b64encode(b"me:secret").decode()
    assert await authorization(write(path, {"username": "me", "password": "secret"})) == f"Basic {pair}"


async def test_a_refused_token_file_is_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    credentials = Credentials(find_login(config(write(tmp_path / "config", {"tokenFile": str(token)}))))
    assert not credentials.refused(credentials.generation), "nothing has changed: no use in asking again"
    before = credentials.generation
    token.write_text("new")
    assert credentials.refused(before)
    assert (await credentials.headers())["Authorization"] == "Bearer new"
    token.write_text("")
    assert credentials.refused(before), "it was renewed since"
    assert not credentials.refused(credentials.generation)
    assert (await credentials.headers())["Authorization"] == "Bearer new", "a file that is just being written"


def test_the_files_of_kubeconfig_are_merged_and_the_first_one_counts(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1", {"token": "a"}, name="one"), write(tmp_path / "2", {"token": "b"}, name="two")
    environ = {"KUBECONFIG": f"{first}:{tmp_path / 'missing'}:{second}"}
    login = find_login(config(), environ=environ)
    assert (login.server, login.token, login.namespace) == (f"{URL}/one", "a", "ns-one")
    assert find_login(config(context="two"), environ=environ).token == "b"


def test_a_pod_uses_its_own_account(tmp_path: Path) -> None:
    for name, text in (("token", "t"), ("namespace", "lab"), ("ca.crt", "")):
        (tmp_path / name).write_text(text)
    environ = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    login = find_login(config(), environ=environ, account=tmp_path)
    assert (login.server, login.namespace, login.token_file) == ("https://[fd00::1]:6443", "lab", tmp_path / "token")


def test_errors_name_the_setting_and_show_no_secret(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("users:\n- token: top-secret\n  - : [\n")
    good = write(tmp_path / "good", {"token": "top-secret"})
    cases = [
        (config(str(tmp_path / "missing")), "--kubeconfig.*spark dev"),
        (config(str(broken)), "not valid YAML.*--kubeconfig"),
        (config(good, "other"), "--context.*there are: test"),
        (config(), "--kubeconfig.*spark dev"),
    ]
    for case, expected in cases:
        with pytest.raises(CredentialsError, match=expected) as caught:
            find_login(case, environ={"HOME": str(tmp_path)}, account=tmp_path / "no-account")
        assert "top-secret" not in caught.value.message


async def test_an_exec_plugin_gets_the_cluster_and_runs_again_when_refused(tmp_path: Path) -> None:
    program = tmp_path / "plugin"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "assert sys.stdin.read() == '' and info['spec']['cluster']['server']\n"
        "open(os.environ['RUNS'], 'a').write('.')\n"
        "print(json.dumps({'status': {'token': 'run-%d' % os.path.getsize(os.environ['RUNS'])}}))\n"
    )
    program.chmod(0o700)
    plugin = {
        "command": "./plugin",
        "provideClusterInfo": True,
        "env": [{"name": "RUNS", "value": str(tmp_path / "runs")}],
    }
    credentials = Credentials(find_login(config(write(tmp_path / "config", {"exec": plugin}))))
    for _ in range(2):
        assert (await credentials.headers())["Authorization"] == "Bearer run-1"
    first = credentials.generation
    assert credentials.refused(first)
    assert (await credentials.headers())["Authorization"] == "Bearer run-2"
    assert credentials.refused(first), "one of many requests that were refused together: it has been renewed already"
    assert not credentials.refused(credentials.generation), "that it is refused again, at once, is not the plugin's age"
    assert (await credentials.headers())["Authorization"] == "Bearer run-2"


async def test_an_exec_plugin_that_fails_says_why(tmp_path: Path) -> None:
    plugin = {"command": sys.executable, "args": ["-c", "import sys; sys.exit('please log in')"]}
    credentials = Credentials(find_login(config(write(tmp_path / "config", {"exec": plugin}))))
    with pytest.raises(CredentialsError, match="please log in"):
        await credentials.headers()


def test_an_exec_plugin_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "config", {"exec": {"command": "no-such-plugin", "installHint": "get it"}})
    with pytest.raises(CredentialsError, match=r"no-such-plugin.*get it"):
        Credentials(find_login(config(path)))


@pytest.mark.parametrize(
    ("server", "exceptions", "expected"),
    [
        ("https://api.example", "", "http://proxy:3128"),
        ("https://api.example", ".example", None),
        ("https://10.96.0.1", "10.0.0.0/8", None),
        ("https://127.0.0.1:6443", "", None),
        ("https://localhost:6443", "", None),
    ],
)
def test_the_environments_proxy_is_taken_except_where_it_is_not_to_be(
    server: str, exceptions: str, expected: str | None
) -> None:
    assert proxy_for(server, None, {"HTTPS_PROXY": "proxy:3128", "NO_PROXY": exceptions}) == expected
    assert proxy_for(server, "http://named:1", {}) == "http://named:1"
