"""Reading where and as whom a job runs: namespace, node, priority class, user, security profile."""

from __future__ import annotations

from spark_jobs.domain import names
from spark_jobs.domain.fields import Place, Reader, boolean, choice, list_of, map_of, members, named, shown, text, whole
from spark_jobs.domain.parse_volumes import absolute_problem
from spark_jobs.domain.spec import Toleration

_LARGEST_ID = 2**31 - 1
_LONGEST_TOLERATION = 2**31 - 1


def _value(value: object, place: Place) -> str | None:
    word = text(value, place)
    problem = None if word is None else names.label_value_problem(word)
    if problem:
        place.fault("invalid_value", problem)
    return word


def _selector_key(key: str, place: Place) -> bool:
    problem = names.qualified_name_problem(key)
    if problem:
        place.fault("invalid_value", f"the label `{shown(key)}` {problem}")
    return problem is None


def _selector_value(_key: str, value: object, place: Place) -> str | None:
    return _value(value, place)


_TOLERATION: dict[str, Reader] = {
    "key": named(names.qualified_name_problem),
    "operator": choice("Exists", "Equal"),
    "value": _value,
    "effect": choice("NoSchedule", "PreferNoSchedule", "NoExecute"),
    "tolerationSeconds": whole(0, _LONGEST_TOLERATION),
}


def _toleration(value: object, place: Place) -> Toleration | None:
    found = members(value, place, _TOLERATION, {})
    if found is None:
        return None
    exists = found.get("operator") == "Exists"
    if "key" not in found and not exists:
        place.at("key").fault("required", 'is needed unless `operator` is "Exists"')
    if exists and found.get("value"):
        place.at("value").fault("conflict", 'must be left out where `operator` is "Exists"')
    if "tolerationSeconds" in found and found.get("effect") != "NoExecute":
        place.at("tolerationSeconds").fault("conflict", 'goes with `effect` "NoExecute" only')
    return Toleration(toleration_seconds=found.pop("tolerationSeconds", None), **found)


PLACEMENT: dict[str, Reader] = {
    "namespace": named(names.dns_label_problem),
    "service_account": named(names.subdomain_problem),
    "node_selector": map_of(_selector_key, _selector_value),
    "tolerations": list_of(_toleration),
    "runtime_class": named(names.subdomain_problem),
    "priority_class": named(names.subdomain_problem),
    "image_pull_policy": choice("Always", "IfNotPresent", "Never"),
    "image_pull_secrets": list_of(named(names.subdomain_problem)),
    "working_dir": named(absolute_problem),
    "run_as_user": whole(0, _LARGEST_ID),
    "run_as_group": whole(0, _LARGEST_ID),
    "fs_group": whole(0, _LARGEST_ID),
    "read_only_root": boolean,
    "security_profile": choice("none", "baseline", "restricted"),
}
