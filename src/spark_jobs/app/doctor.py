"""Looks at everything that a server with these settings needs, and says what is right and what is missing."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec

from spark_jobs.app.choose import kubernetes_config
from spark_jobs.app.core import utc_now
from spark_jobs.cluster.kubernetes import AccessCheck, KubernetesCluster
from spark_jobs.config import Settings
from spark_jobs.domain.errors import ClusterError, CredentialsError


class CheckLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at; ``ok`` is null where it is good to have and not needed."""

    ok: bool | None
    what: str
    detail: str = ""


def doctor(settings: Settings) -> list[CheckLine]:
    """Look at the data folder, the credentials, the cluster and each permission; changes nothing."""
    lines = [_data_dir(settings)]
    if settings.cluster == "local":
        return [*lines, CheckLine(ok=True, what="cluster", detail="local: jobs run as processes of this machine")]
    return [*lines, *asyncio.run(_kubernetes(settings))]


def _data_dir(settings: Settings) -> CheckLine:
    folder = settings.data_dir
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return CheckLine(ok=True, what="data folder", detail=str(folder))
    return CheckLine(ok=False, what="data folder", detail=f"{existing} can't be written to; choose another --data-dir")


async def _kubernetes(settings: Settings) -> list[CheckLine]:
    """Credentials, then the cluster, then each permission: what can't be asked is not guessed."""
    cluster = KubernetesCluster(kubernetes_config(settings), clock=utc_now)
    try:
        namespaces = cluster.namespaces
    except CredentialsError as error:
        return [CheckLine(ok=False, what="credentials", detail=error.message)]
    lines = [CheckLine(ok=True, what="credentials", detail=f"namespaces: {', '.join(namespaces)}")]
    try:
        lines.append(CheckLine(ok=True, what="cluster", detail=f"Kubernetes {await cluster.server_version()}"))
        lines += [_permission(check) for check in await cluster.check_access()]
    except ClusterError as error:
        lines.append(CheckLine(ok=False, what="cluster", detail=error.message))
    finally:
        await cluster.stop()
    return lines


def _permission(check: AccessCheck) -> CheckLine:
    where = f" in {check.namespace}" if check.namespace else ""
    ok = check.allowed or (False if check.needed else None)
    lack = "needed" if check.needed else "good to have"
    detail = check.why if check.allowed else f"missing: {lack} {check.why}"
    if check.problem:
        detail += f" ({check.problem})"
    return CheckLine(ok=ok, what=f"may {check.verb} {check.resource}{where}", detail=detail)


def rbac(settings: Settings) -> dict[str, Any]:
    """The Kubernetes objects that give a service account what Spark needs, as one List. Raises CredentialsError."""
    return KubernetesCluster(kubernetes_config(settings), clock=utc_now).rbac_manifest()
