"""A JobSpec as plain objects: for JSON, for comparing two submissions, and without its secrets."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from spark_jobs.domain.parse_env import MASK, is_secret_name
from spark_jobs.domain.quantities import canonical_quantity
from spark_jobs.domain.spec import JobSpec

_DURATIONS = ("timeout", "start_timeout", "queue_timeout", "termination_grace", "backoff")
_QUANTITIES = ("cpu", "memory", "gpu")
EMPTY_MEANS_SOMETHING = ("retry_on",)
_ENCODER = msgspec.json.Encoder(order="sorted")


def spec_to_plain(spec: JobSpec) -> dict[str, Any]:
    """Every field, null where it was left out, ready for JSON; :func:`parse_spec` makes the same spec of it again."""
    plain: dict[str, Any] = msgspec.to_builtins(spec)
    for name in _DURATIONS:
        value = plain[name]
        if isinstance(value, float) and value.is_integer():
            plain[name] = int(value)
    return plain


def canonical(spec: JobSpec) -> bytes:
    """One byte string for each meaning: sorted keys, nothing that was left out, seconds, plain quantities."""
    plain = {
        name: value
        for name, value in spec_to_plain(spec).items()
        if value is not None and (value not in ([], {}) or name in EMPTY_MEANS_SOMETHING)
    }
    for name in _QUANTITIES:
        if name in plain:
            plain[name] = canonical_quantity(plain[name])
    for amounts in plain.get("resources", {}).values():
        amounts.update({name: canonical_quantity(amount) for name, amount in amounts.items()})
    for volume in plain.get("volumes", ()):
        if volume.get("empty_dir", {}).get("size"):
            volume["empty_dir"]["size"] = canonical_quantity(volume["empty_dir"]["size"])
    return _ENCODER.encode(plain)


def digest(spec: JobSpec) -> str:
    """SHA-256 of the spec as submitted, in hex: equal for equal meaning, before the installation's defaults."""
    return hashlib.sha256(canonical(spec)).hexdigest()


def mask(spec: JobSpec) -> JobSpec:
    """The spec to show: values of variables whose name says that they are secret become ``***``."""
    hidden = {name: MASK for name, value in spec.env.items() if isinstance(value, str) and is_secret_name(name)}
    return msgspec.structs.replace(spec, env={**spec.env, **hidden}) if hidden else spec
