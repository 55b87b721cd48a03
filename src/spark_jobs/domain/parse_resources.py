"""Reading ``cpu``, ``memory``, ``gpu`` and ``resources``, and what Kubernetes asks of requests and limits together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spark_jobs.domain.fields import Place, Reader, map_of, members, shown, text
from spark_jobs.domain.names import qualified_name_problem
from spark_jobs.domain.quantities import parse_bytes, parse_quantity
from spark_jobs.domain.spec import Resources

GPU = "nvidia.com/gpu"
SHORT = {"cpu": "cpu", "memory": "memory", "gpu": GPU}
_PAGES = "hugepages-"
_PLAIN = ("cpu", "memory", "ephemeral-storage")


def is_bytes(resource: str) -> bool:
    """True for a resource that is counted in bytes."""
    return resource in ("memory", "ephemeral-storage") or resource.startswith(_PAGES)


def is_extended(resource: str) -> bool:
    """True for a resource that can't be shared out in parts or overcommitted: devices such as GPUs, and huge pages."""
    return resource not in _PLAIN


def _quantity(resource: str, value: object, place: Place, *, positive: bool) -> str | None:
    # Kubernetes itself takes bare numbers as quantities.
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63:
        value = repr(value)
    word = text(value, place)
    if word is None:
        return None
    try:
        amount = parse_bytes(word) if is_bytes(resource) else parse_quantity(word)
    except ValueError as error:
        place.fault("invalid_value", str(error))
        return None
    if positive and amount == 0:
        place.fault("invalid_value", "must be more than 0; leave it out for none")
    elif "/" in resource and amount != int(amount):
        place.fault("invalid_value", f"{shown(resource)} comes in whole numbers only")
    elif (page := _page_size(resource)) and (amount == 0 or amount % page):
        place.fault("invalid_value", f"must be a multiple of one page, {resource.removeprefix(_PAGES)}")
    return word


def _page_size(resource: str) -> int | None:
    """Bytes in one huge page of this resource; null for another kind of resource, 0 for a name that gives no size."""
    if not resource.startswith(_PAGES):
        return None
    try:
        return parse_bytes(resource.removeprefix(_PAGES))
    except ValueError:
        return 0


def size(value: object, place: Place) -> str | None:
    """A number of bytes above 0, as a quantity."""
    return _quantity("memory", value, place, positive=True)


def _short(resource: str) -> Reader:
    def read(value: object, place: Place) -> str | None:
        return _quantity(resource, value, place, positive=resource in _PLAIN)

    return read


def _resource_name(name: str, place: Place) -> bool:
    problem = qualified_name_problem(name)
    if problem is None and (_page_size(name) == 0 or name.startswith("requests.")):
        problem = "is no name of a resource; huge pages are written as hugepages-2Mi"
    if problem is None and "/" not in name and name not in _PLAIN and _page_size(name) is None:
        problem = f"is no resource that Kubernetes knows; write {', '.join(_PLAIN)}, or a full name such as {GPU}"
    if problem:
        place.fault("invalid_value", f"`{shown(name)}` {problem}")
    return problem is None


def _request(name: str, value: object, place: Place) -> str | None:
    return _quantity(name, value, place, positive=False)


def _limit(name: str, value: object, place: Place) -> str | None:
    return _quantity(name, value, place, positive=name in _PLAIN)


_RESOURCES: dict[str, Reader] = {
    "requests": map_of(_resource_name, _request),
    "limits": map_of(_resource_name, _limit),
}


def _resources(value: object, place: Place) -> Resources | None:
    found = members(value, place, _RESOURCES, {})
    if found is None:
        return None
    return Resources(**{name: one for name, one in found.items() if one is not None})


RESOURCES: dict[str, Reader] = {
    **{field: _short(resource) for field, resource in SHORT.items()},
    "resources": _resources,
}


def check_resources(found: Mapping[str, Any], place: Place) -> None:
    """Report what does not go together: a resource given twice, a request above its limit, a device without a limit."""
    resources: Resources | None = found.get("resources")
    if resources is None:
        return
    for field, resource in SHORT.items():
        if found.get(field) is not None and (resource in resources.requests or resource in resources.limits):
            place.at(field).fault("conflict", f"{resource} is given here and in `resources`; keep one of them")
    pages = [name for name in resources.limits if name.startswith(_PAGES)]
    named = {
        *resources.requests,
        *resources.limits,
        *(each for each in ("cpu", "memory") if found.get(each) is not None),
    }
    if pages and not named & {"cpu", "memory"}:
        place.at("resources").at("limits").at(pages[0]).fault("required", "huge pages need `cpu` or `memory` besides")
    requests = place.at("resources").at("requests")
    for name, wanted in resources.requests.items():
        _check_request(name, wanted, resources.limits, requests.at(name))


def _check_request(name: str, wanted: str | None, limits: Mapping[str, str | None], place: Place) -> None:
    limit = limits.get(name)
    if limit is None or wanted is None:
        # A null is a value that could not be read, and has its own fault.
        if name not in limits and is_extended(name):
            place.fault("required", f"{shown(name)} needs a limit of the same amount, too")
    elif is_extended(name) and parse_quantity(wanted) != parse_quantity(limit):
        place.fault("conflict", f"the request for {shown(name)} must equal its limit")
    elif parse_quantity(wanted) > parse_quantity(limit):
        place.fault("conflict", f"the request for {shown(name)} ({wanted}) is above its limit ({limit})")
