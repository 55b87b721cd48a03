"""Looks at everything that a server with these settings needs, and says what is right and what is missing."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from spark_jobs.app.choose import kubernetes_config, sink_at
from spark_jobs.app.core import utc_now
from spark_jobs.cluster.kubernetes import AccessCheck, KubernetesCluster
from spark_jobs.config import Settings
from spark_jobs.domain.errors import ClusterError, CredentialsError, SettingError, SinkUnavailable
from spark_jobs.sinks.address import SinkAddress


class CheckLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at; ``ok`` is null where it is good to have and not needed."""

    ok: bool | None
    what: str
    detail: str = ""


def doctor(settings: Settings) -> list[CheckLine]:
    """Look at the data folder, the log sink, the credentials, the cluster and each permission. Changes nothing, but for
    a small object that is put into the sink and taken away again."""
    lines = [_data_dir(settings)]
    if settings.log_sink is not None:
        lines.append(asyncio.run(_log_sink(settings.log_sink)))
    if settings.cluster == "local":
        return [*lines, CheckLine(ok=True, what="cluster", detail="local: jobs run as processes of this machine")]
    return [*lines, *asyncio.run(_kubernetes(settings))]


def _data_dir(settings: Settings) -> CheckLine:
    folder = settings.data_dir
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return CheckLine(ok=True, what="data folder", detail=str(folder))
    return CheckLine(ok=False, what="data folder", detail=f"{existing} can't be written to; choose another --data-dir")


async def _log_sink(address: SinkAddress) -> CheckLine:
    """Whether logs can be put there. That they can be taken away again is good to have: only this check does."""
    name = f"doctor-{secrets.token_hex(8)}"
    try:
        sink = sink_at(address)
        await sink.put(name, _at_once(b"spark doctor was here\n"))
    except (SettingError, SinkUnavailable) as error:
        return CheckLine(ok=False, what="log sink", detail=error.message)
    try:
        await sink.delete(name)
    except SinkUnavailable as error:
        left = f"{sink.address(name)} stays there, since it can't be deleted ({error.message})"
        return CheckLine(ok=None, what="log sink", detail=f"can be written to; {left}")
    return CheckLine(ok=True, what="log sink", detail=address.url)


async def _at_once(data: bytes) -> AsyncIterator[bytes]:
    yield data


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
