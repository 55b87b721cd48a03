"""JobSpec: what a user asks for. :mod:`spark_jobs.domain.parse` makes one from plain objects and finds every fault."""

from __future__ import annotations

from typing import Literal

import msgspec

NO_LIMIT: Literal["none"] = "none"


class KeyRef(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where an environment variable's value comes from; exactly one of secret, config_map (both with key) or field."""

    secret: str | None = None
    config_map: str | None = None
    key: str | None = None
    field: str | None = None


class EnvFrom(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """All keys of a secret or of a config map as environment variables."""

    secret: str | None = None
    config_map: str | None = None


class EmptyDir(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Scratch space that lives as long as the pod; ``medium`` "Memory" puts it in RAM; ``size`` is a quantity."""

    medium: str | None = None
    size: str | None = None


class Volume(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Something mounted at ``mount``; exactly one of pvc, secret, config_map, empty_dir."""

    mount: str
    pvc: str | None = None
    secret: str | None = None
    config_map: str | None = None
    empty_dir: EmptyDir | None = None
    read_only: bool = False
    sub_path: str | None = None


class Resources(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Requests and limits by resource name; values are Kubernetes quantities."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class Toleration(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="camel"):
    """As in Kubernetes, with its own field names."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One container to run, and how. Durations are seconds; ``"none"`` is no limit.

    Null is "left out": :func:`spark_jobs.domain.defaults.fill` puts the installation's value there, so that a job can
    still ask for 0 retries or for profile "none" where the installation's default is another. Readers of a spec that
    may not have been filled write ``spec.priority or 0``, ``spec.retries or 0``.
    """

    image: str
    command: list[str] | None = None
    args: list[str] | None = None
    id: str | None = None
    name: str | None = None
    labels: dict[str, str] = {}
    env: dict[str, str | KeyRef] = {}
    env_from: list[EnvFrom] = []
    volumes: list[Volume] = []
    cpu: str | None = None
    memory: str | None = None
    gpu: str | None = None
    resources: Resources | None = None
    timeout: float | Literal["none"] | None = None
    start_timeout: float | Literal["none"] | None = None
    queue_timeout: float | Literal["none"] | None = None
    termination_grace: float | None = None
    retries: int | None = None
    backoff: float | None = None
    retry_on: list[str] | None = None
    priority: int | None = None
    namespace: str | None = None
    service_account: str | None = None
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    runtime_class: str | None = None
    priority_class: str | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: list[str] = []
    working_dir: str | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None
    read_only_root: bool | None = None
    security_profile: Literal["none", "baseline", "restricted"] | None = None


DEFAULT_GRACE = 30.0
"""Seconds: Kubernetes' own grace, for a spec that names none."""


def grace_seconds(spec: JobSpec) -> float:
    """How long a container may take to end once it was asked to, in seconds."""
    return DEFAULT_GRACE if spec.termination_grace is None else spec.termination_grace


def limit_seconds(value: float | Literal["none"] | None, default: float | None = None) -> float | None:
    """A limit as seconds: null where there is none; ``default`` where the spec leaves it to the installation."""
    if value is None:
        return default
    return None if value == NO_LIMIT else float(value)
