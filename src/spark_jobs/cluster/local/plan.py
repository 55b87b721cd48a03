"""What to run for a spec on this machine, or why that can't be done. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from spark_jobs.cluster.base import AttemptRef, CreateRefused
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.spec import JobSpec, KeyRef, grace_seconds

MARKER = "SPARK_TERMINATION_LOG"
"""The environment variable that tells the path for the result. It is different for every attempt and inherited, so it
also marks all processes of one."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A command with its environment, working folder and grace in seconds."""

    argv: tuple[str, ...]
    env: dict[str, str]
    folder: Path
    grace: float


def plan(
    ref: AttemptRef, spec: JobSpec, *, work: Path, termination_log: Path, environ: Mapping[str, str]
) -> Plan | CreateRefused:
    """What to run in the folder ``work``; of the server's own ``environ`` only PATH and LANG are handed on."""
    if not spec.command:
        text = "the local cluster does not use the image, so the job needs a `command`"
        return CreateRefused(reason=Reason.CREATE_CONTAINER_ERROR, message=text)
    if spec.volumes:
        text = f"the local cluster has no volumes ({spec.volumes[0].mount})"
        return CreateRefused(reason=Reason.CREATE_CONTAINER_CONFIG_ERROR, message=text)
    env = {
        "PATH": environ.get("PATH", os.defpath),
        "LANG": environ.get("LANG", "C.UTF-8"),
        "HOME": str(work),
    }
    for name, value in spec.env.items():
        known = _value(ref, value)
        if known is None:
            return _no_reference(f"the variable {name}")
        env[name] = known
    if spec.env_from:
        return _no_reference("`env_from`")
    env |= {"SPARK_JOB_ID": ref.job_id, "SPARK_JOB_ATTEMPT": str(ref.attempt), MARKER: str(termination_log)}
    return Plan(
        argv=(*spec.command, *(spec.args or ())),
        env=env,
        folder=Path(spec.working_dir) if spec.working_dir else work,
        grace=grace_seconds(spec),
    )


def _value(ref: AttemptRef, value: str | KeyRef) -> str | None:
    if isinstance(value, str):
        return value
    fields = {"metadata.name": pod_name(ref), "metadata.namespace": ref.namespace}
    return fields.get(value.field or "")


def pod_name(ref: AttemptRef) -> str:
    """What stands for the pod's name."""
    return f"{ref.name}-local"


def _no_reference(what: str) -> CreateRefused:
    text = f"{what} refers to what only Kubernetes has (a secret, a config map, a field); the local cluster has none"
    return CreateRefused(reason=Reason.CREATE_CONTAINER_CONFIG_ERROR, message=text)
