"""What Spark's account must be allowed to do: the one table behind the check of `spark doctor` and the printed RBAC objects."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from spark_jobs.cluster.kubernetes.limiter import Priority
from spark_jobs.cluster.kubernetes.transport import Call, Transport
from spark_jobs.domain.errors import ClusterUnavailable

_RBAC = "rbac.authorization.k8s.io"


class Permission(msgspec.Struct, frozen=True):
    """Verbs on a resource, and why. ``needed``: nothing works without; else something is only not shown."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    namespaced: bool = True
    needed: bool = True


PERMISSIONS = (
    Permission("batch", "jobs", ("create",), "to start a job"),
    Permission("batch", "jobs", ("get", "list", "watch"), "to see what became of it"),
    Permission("batch", "jobs", ("delete",), "to stop it, and to clean up"),
    Permission("", "pods", ("list", "watch"), "to see how its container fares"),
    Permission("", "pods", ("patch",), "to let its pod start, and to stop a container without losing its log"),
    Permission(
        "", "pods", ("delete",), "to stop a container that has not started, or whose Job somebody deleted alone"
    ),
    Permission("", "pods/log", ("get",), "to read its log"),
    Permission(
        "", "events", ("list",), "to say why a pod can't be made or started (quota, policy, a volume)", needed=False
    ),
    Permission("", "nodes", ("list",), "to notice a node that stopped answering", namespaced=False, needed=False),
)


class AccessCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster's answer for one verb. ``namespace`` is null for what is not in one."""

    verb: str
    resource: str
    namespace: str | None
    allowed: bool
    needed: bool
    why: str
    problem: str | None = None


class _ReviewStatus(msgspec.Struct, frozen=True, rename="camel"):
    allowed: bool = False
    reason: str | None = None
    evaluation_error: str | None = None


class _Review(msgspec.Struct, frozen=True):
    status: _ReviewStatus = _ReviewStatus()


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    git_version: str = "unknown"


async def check_access(transport: Transport, namespaces: tuple[str, ...]) -> list[AccessCheck]:
    """Ask the cluster about every permission in every namespace.

    Raises:
        ClusterUnavailable, ClusterForbidden: it does not answer such questions.
    """
    questions = [
        (permission, verb, namespace)
        for permission in PERMISSIONS
        for verb in permission.verbs
        for namespace in (namespaces if permission.namespaced else (None,))
    ]
    return list(await asyncio.gather(*(_ask(transport, *question) for question in questions)))


async def server_version(transport: Transport) -> str:
    """The cluster's version, such as ``v1.34.4``.

    Raises:
        ClusterUnavailable, ClusterForbidden: no answer.
    """
    call = Call(verb="get", path="/version", what="get the version", priority=Priority.WATCH)
    answer = await transport.call(call)
    if not answer.ok:
        raise answer.error()
    try:
        return msgspec.json.decode(answer.body, type=_Version).git_version
    except msgspec.DecodeError as error:
        raise ClusterUnavailable("what answers is no Kubernetes API server: check the server's address") from error


async def _ask(transport: Transport, permission: Permission, verb: str, namespace: str | None) -> AccessCheck:
    resource, _, subresource = permission.resource.partition("/")
    attributes = {"group": permission.group, "resource": resource, "subresource": subresource, "verb": verb}
    if namespace is not None:
        attributes["namespace"] = namespace
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    call = Call(
        verb="create",
        path="/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        what="review its own access",
        priority=Priority.WATCH,
        body=msgspec.json.encode(review),
    )
    answer = await transport.call(call)
    if not answer.ok:
        raise answer.error()
    try:
        status = msgspec.json.decode(answer.body, type=_Review).status
    except msgspec.DecodeError as error:
        raise ClusterUnavailable(f"the answer to {answer.what} can't be read: {error}") from error
    return AccessCheck(
        verb=verb,
        resource=permission.resource,
        namespace=namespace,
        allowed=status.allowed,
        needed=permission.needed,
        why=permission.why,
        problem=None if status.allowed else status.evaluation_error or status.reason or "no rule allows it",
    )


def rbac_manifest(namespaces: tuple[str, ...], *, account: str = "spark-jobs") -> dict[str, Any]:
    """A List with a service account in the first namespace and what it must be allowed to do: roles, and their bindings."""
    home = namespaces[0]
    subject = [{"kind": "ServiceAccount", "name": account, "namespace": home}]
    items: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": home}}
    ]
    for namespace in namespaces:
        items += _role("Role", {"name": account, "namespace": namespace}, subject, namespaced=True)
    items += _role("ClusterRole", {"name": f"{account}-{home}"}, subject, namespaced=False)
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _role(
    kind: str, metadata: dict[str, str], subjects: list[dict[str, str]], *, namespaced: bool
) -> list[dict[str, Any]]:
    verbs: dict[tuple[str, str], list[str]] = {}
    for permission in PERMISSIONS:
        if permission.namespaced == namespaced:
            verbs.setdefault((permission.group, permission.resource), []).extend(permission.verbs)
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": words} for (group, resource), words in verbs.items()
    ]
    role = {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": metadata["name"]},
        "subjects": subjects,
    }
    return [role, binding]
