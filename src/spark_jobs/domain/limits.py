"""What an installation lets a job ask for: ``[job_limits]``. A refusal names the limit."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from spark_jobs.domain.errors import InvalidSpec
from spark_jobs.domain.fields import Place, Reader, duration, list_of, members, named
from spark_jobs.domain.names import dns_label_problem, subdomain_problem
from spark_jobs.domain.parse_resources import RESOURCES
from spark_jobs.domain.quantities import duration_text, parse_quantity
from spark_jobs.domain.spec import NO_LIMIT, JobSpec


class JobLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Null is no limit. ``max_timeout`` is in seconds; ``max_cpu`` and ``max_memory`` are quantities.

    A job that leaves out namespace or service account uses the installation's own and is not refused for that.
    """

    namespaces: list[str] | None = None
    service_accounts: list[str] | None = None
    max_timeout: float | None = None
    max_cpu: str | None = None
    max_memory: str | None = None


_READERS: dict[str, Reader] = {
    "namespaces": list_of(named(dns_label_problem)),
    "service_accounts": list_of(named(subdomain_problem)),
    "max_timeout": duration(),
    "max_cpu": RESOURCES["cpu"],
    "max_memory": RESOURCES["memory"],
}


def parse_limits(plain: object, *, pointer: str = "#") -> JobLimits:
    """Limits from plain objects; raises InvalidSpec with every fault."""
    place = Place(pointer, [])
    found = members(plain, place, _READERS, {})
    if found is None or place.faults:
        raise InvalidSpec(place.faults)
    return JobLimits(**found)


def check_limits(spec: JobSpec, limits: JobLimits, *, pointer: str = "#") -> None:
    """Return if a filled spec keeps to the limits.

    Raises:
        InvalidSpec: it does not; the faults name the limits and what they allow.
    """
    place = Place(pointer, [])
    _check_member(spec.namespace, limits.namespaces, "namespaces", place.at("namespace"))
    _check_member(spec.service_account, limits.service_accounts, "service_accounts", place.at("service_account"))
    _check_timeout(spec, limits.max_timeout, place.at("timeout"))
    for resource, most in (("cpu", limits.max_cpu), ("memory", limits.max_memory)):
        for where, amount in _amounts(spec, resource, place):
            if most is not None and parse_quantity(amount) > parse_quantity(most):
                where.fault("limit", f"{amount} is above this installation's `max_{resource}` of {most}")
    if place.faults:
        raise InvalidSpec(place.faults)


def _check_member(value: str | None, allowed: list[str] | None, limit: str, place: Place) -> None:
    if value is not None and allowed is not None and value not in allowed:
        which = ", ".join(allowed) or "none"
        place.fault("limit", f"`{value}` is not among this installation's `{limit}`; allowed: {which}")


def _check_timeout(spec: JobSpec, most: float | None, place: Place) -> None:
    if most is None or spec.timeout is None:
        return
    if spec.timeout == NO_LIMIT:
        place.fault("limit", f'"none" is not allowed: this installation\'s `max_timeout` is {duration_text(most)}')
    elif float(spec.timeout) > most:
        asked = duration_text(float(spec.timeout))
        place.fault("limit", f"{asked} is above this installation's `max_timeout` of {duration_text(most)}")


def _amounts(spec: JobSpec, resource: str, place: Place) -> Iterator[tuple[Place, str]]:
    short: str | None = spec.cpu if resource == "cpu" else spec.memory
    if short is not None:
        yield place.at(resource), short
    if spec.resources is not None:
        for kind, amounts in (("requests", spec.resources.requests), ("limits", spec.resources.limits)):
            if resource in amounts:
                yield place.at("resources").at(kind).at(resource), amounts[resource]
