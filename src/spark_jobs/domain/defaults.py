"""What an installation puts where a job leaves something out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from spark_jobs.domain.parse import parse_spec
from spark_jobs.domain.parse_resources import SHORT
from spark_jobs.domain.plain import EMPTY_MEANS_SOMETHING, spec_to_plain
from spark_jobs.domain.spec import DEFAULT_GRACE, NO_LIMIT, JobSpec

_MERGED = ("labels", "env", "node_selector")


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """The installation's defaults, in seconds where they are times.

    ``job`` holds further fields of a spec by name, as :func:`spark_jobs.domain.parse.parse_defaults` gives them; they
    come before the others here.
    """

    timeout: float | Literal["none"] = 300.0
    start_timeout: float | Literal["none"] = 600.0
    queue_timeout: float | Literal["none"] = NO_LIMIT
    termination_grace: float = DEFAULT_GRACE
    namespace: str | None = None
    job: Mapping[str, Any] = {}


def fill(spec: JobSpec, defaults: Defaults, *, pointer: str = "#") -> JobSpec:
    """The spec that runs: the job's own words, then ``[job_defaults]``, then the installation's times. Maps merge.

    For each resource the job's word counts whole: one that says anything about ``memory`` gets no default for it.

    Raises:
        InvalidSpec: the job and the defaults do not go together (user 0 and a "restricted" default profile, say).
    """
    filled = {
        "timeout": defaults.timeout,
        "start_timeout": defaults.start_timeout,
        "queue_timeout": defaults.queue_timeout,
        "termination_grace": defaults.termination_grace,
        "namespace": defaults.namespace,
        "retries": 0,
        "priority": 0,
        "security_profile": "none",
        **_plain(defaults.job),
    }
    _drop_stated_resources(filled, spec)
    for name, value in spec_to_plain(spec).items():
        if name in _MERGED:
            filled[name] = {**filled.get(name, {}), **value}
        elif name == "resources":
            filled[name] = _merged_resources(filled.get(name), value)
        elif value is not None and (value != [] or name in EMPTY_MEANS_SOMETHING):
            filled[name] = value
    return parse_spec(filled, pointer=pointer)


def _plain(job: Mapping[str, Any]) -> dict[str, Any]:
    return {name: msgspec.to_builtins(value) for name, value in job.items()}


def _drop_stated_resources(filled: dict[str, Any], spec: JobSpec) -> None:
    own = spec.resources
    stated = {resource for field, resource in SHORT.items() if getattr(spec, field) is not None}
    stated |= {*own.requests, *own.limits} if own else set()
    for field, resource in SHORT.items():
        if resource in stated:
            filled.pop(field, None)
    for amounts in (filled.get("resources") or {}).values():
        for resource in stated & set(amounts):
            del amounts[resource]


def _merged_resources(default: dict[str, Any] | None, own: dict[str, Any] | None) -> dict[str, Any] | None:
    if default is None or own is None:
        return default if own is None else own
    return {kind: {**default.get(kind, {}), **own.get(kind, {})} for kind in ("requests", "limits")}
