"""Finds out where the API server is and how to log in: kubeconfig files merged as `kubectl` does, or the pod's own account."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from spark_jobs.cluster.kubernetes.config import KubernetesConfig
from spark_jobs.domain.errors import CredentialsError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "in-cluster"  # in place of a path: the pod's own account, even where there is a kubeconfig
_WAY_OUT = "name a kubeconfig with --kubeconfig, or use `spark dev`, which needs no cluster"

Section = dict[str, Any]


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster and an account in it. Certificates are PEM, or the path of a file with them; ``exec_plugin`` is the
    kubeconfig's section, with ``folder`` for its relative paths; ``files``: where all of this was read from."""

    server: str
    namespace: str
    ca: bytes | Path | None = None
    insecure: bool = False
    server_name: str | None = None
    proxy: str | None = None
    certificate: bytes | Path | None = None
    key: bytes | Path | None = None
    token: str | None = None
    token_file: Path | None = None
    basic: tuple[str, str] | None = None
    impersonate: tuple[tuple[str, str], ...] = ()
    exec_plugin: Section | None = None
    folder: Path = Path()
    files: tuple[Path, ...] = ()
    origin: str = "the pod's service account"


def find_login(
    config: KubernetesConfig, *, environ: Mapping[str, str] | None = None, account: Path = SERVICE_ACCOUNT
) -> Login:
    """The login that the settings, else the environment, else the pod's account give.

    Raises:
        CredentialsError: there is none, or what is written there can't be used.
    """
    environ = os.environ if environ is None else environ
    if config.kubeconfig == IN_CLUSTER:
        if (own := _in_cluster(environ, account)) is None:
            raise CredentialsError(f"this is not inside a cluster, so there is no pod's own account; {_WAY_OUT}")
        return own
    paths, explicit = _paths(config, environ)
    files = [(path, _read(path)) for path in paths if explicit or path.is_file()]
    if not any(content.get("contexts") for _, content in files):
        if not explicit and (login := _in_cluster(environ, account)) is not None:
            return login
        where = ", ".join(str(path) for path in paths)
        raise CredentialsError(f"no kubeconfig with a context found ({where}) and not inside a cluster; {_WAY_OUT}")
    return _from_files(files, config.context)


def _paths(config: KubernetesConfig, environ: Mapping[str, str]) -> tuple[list[Path], bool]:
    if config.kubeconfig is not None:
        return [Path(config.kubeconfig).expanduser()], True
    named = [Path(part) for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return named or [Path(environ.get("HOME") or Path.home()) / ".kube" / "config"], False


def _read(path: Path) -> Section:
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CredentialsError(f"the kubeconfig {path} can't be read ({error.strerror}); {_WAY_OUT}") from error
    except (YAMLError, ValueError) as error:
        # The parser's own text quotes the file, which holds keys.
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line = f" (line {mark.line + 1})" if mark else ""
        raise CredentialsError(f"the kubeconfig {path} is not valid YAML{line}; {_WAY_OUT}") from None
    if not isinstance(content, dict):
        raise CredentialsError(f"the kubeconfig {path} is empty or no mapping; {_WAY_OUT}")
    return content


def _from_files(files: list[tuple[Path, Section]], context_name: str | None) -> Login:
    origin = ", ".join(str(path) for path, _ in files)
    name = context_name or next(
        (str(content["current-context"]) for _, content in files if content.get("current-context")), None
    )
    if name is None:
        raise CredentialsError(f"{origin} has no current context: name one with --context ({_known(files)})")
    _, context = _named(files, "contexts", "context", name)
    if context is None:
        raise CredentialsError(f"{origin} has no context {name!r}: name another with --context ({_known(files)})")
    folder, cluster = _named(files, "clusters", "cluster", str(context.get("cluster")))
    if cluster is None or not cluster.get("server"):
        raise CredentialsError(f"context {name!r} in {origin} names a cluster without a server; {_WAY_OUT}")
    user_folder, user = _named(files, "users", "user", str(context.get("user")))
    if user is None and context.get("user"):
        raise CredentialsError(
            f"context {name!r} in {origin} names user {context['user']!r}, who is not there; {_WAY_OUT}"
        )
    user = user or {}
    if user.get("auth-provider"):
        raise CredentialsError(
            f"user {context['user']!r} in {origin} has an auth-provider, which Kubernetes gave up: use exec"
        )
    return Login(
        server=str(cluster["server"]).rstrip("/"),
        namespace=str(context.get("namespace") or "default"),
        ca=_pem(cluster, "certificate-authority", folder),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=_text(cluster.get("tls-server-name")),
        proxy=_text(cluster.get("proxy-url")),
        certificate=_pem(user, "client-certificate", user_folder),
        key=_pem(user, "client-key", user_folder),
        token=_text(user.get("token")),
        token_file=user_folder / str(user["tokenFile"]) if user.get("tokenFile") else None,
        basic=(str(user["username"]), str(user.get("password") or "")) if user.get("username") else None,
        impersonate=_impersonation(user),
        exec_plugin=user.get("exec"),
        folder=user_folder,
        files=tuple(path for path, _ in files),
        origin=f"context {name!r} in {origin}",
    )


def _named(files: list[tuple[Path, Section]], section: str, key: str, name: str) -> tuple[Path, Section | None]:
    """The entry of that name in the first file that has one, and the folder of the file."""
    for path, content in files:
        for entry in content.get(section) or []:
            if isinstance(entry, dict) and str(entry.get("name")) == name and isinstance(entry.get(key), dict):
                return path.absolute().parent, entry[key]
    return Path(), None


def _known(files: list[tuple[Path, Section]]) -> str:
    names = [str(entry.get("name")) for _, content in files for entry in content.get("contexts") or []]
    return "there are: " + ", ".join(dict.fromkeys(names))


def _text(value: object) -> str | None:
    return str(value) if value else None


def _pem(section: Section, key: str, folder: Path) -> bytes | Path | None:
    if data := section.get(f"{key}-data"):
        try:
            return base64.b64decode(str(data), validate=False)
        except binascii.Error:
            raise CredentialsError(f"{key}-data in the kubeconfig is not base64; {_WAY_OUT}") from None
    return folder / str(section[key]) if section.get(key) else None


def _impersonation(user: Section) -> tuple[tuple[str, str], ...]:
    named = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    named += [("Impersonate-Group", group) for group in user.get("as-groups") or []]
    return tuple((header, str(value)) for header, value in named if value)


def _in_cluster(environ: Mapping[str, str], account: Path) -> Login | None:
    host, token = environ.get("KUBERNETES_SERVICE_HOST"), account / "token"
    if not host or not token.is_file():
        return None
    namespace = account / "namespace"
    host = f"[{host}]" if ":" in host else host
    return Login(
        server=f"https://{host}:{environ.get('KUBERNETES_SERVICE_PORT') or 443}",
        namespace=namespace.read_text(encoding="utf-8").strip() if namespace.is_file() else "default",
        ca=account / "ca.crt",
        token_file=token,
    )
