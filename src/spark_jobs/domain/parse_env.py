"""Reading ``env`` and ``env_from``, and which environment variables are secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spark_jobs.domain import names
from spark_jobs.domain.fields import Place, Reader, list_of, map_of, members, named, shown, text
from spark_jobs.domain.spec import EnvFrom, KeyRef

MASK = "***"
TOO_LONG = "is longer than 128 KiB, which no program can be given; put it in a config map and mount it"
LONGEST_ARGUMENT = 128 * 1024 - 1  # what Linux takes for one argument or one NAME=value, less its closing NUL

_SECRET_NAME = re.compile("pass|secret|token|api_?key|private|credential|dsn", re.IGNORECASE)
_MOST_VARIABLES = 5000  # each one also costs room in what the API server notes about the object
_FIELD = re.compile(
    r"metadata\.(name|namespace|uid)|spec\.(nodeName|serviceAccountName)|status\.(hostIP|hostIPs|podIP|podIPs)"
)
_LABEL_FIELD = re.compile(r"metadata\.(?:labels|annotations)\['([^']+)'\]")
_REF_FORMS = '{"secret": NAME, "key": KEY}, {"config_map": NAME, "key": KEY} or {"field": "metadata.name"}'


def is_secret_name(name: str) -> bool:
    """True for a variable whose name says that its value is a secret: it is shown as ``***``."""
    return _SECRET_NAME.search(name) is not None


def _field_problem(path: str) -> str | None:
    label = _LABEL_FIELD.fullmatch(path)
    if _FIELD.fullmatch(path) or (label and names.qualified_name_problem(label.group(1)) is None):
        return None
    return "is no field of a pod that Kubernetes gives to a container; write one such as metadata.name or status.podIP"


_REF: dict[str, Reader] = {
    "secret": named(names.subdomain_problem),
    "config_map": named(names.subdomain_problem),
    "key": named(names.file_key_problem),
    "field": named(_field_problem),
}
_FROM: dict[str, Reader] = {key: _REF[key] for key in ("secret", "config_map")}


def _key_ref(value: object, place: Place) -> KeyRef | None:
    found = members(value, place, _REF, {})
    if found is None:
        return None
    sources = [name for name in ("secret", "config_map", "field") if name in found]
    if len(sources) != 1:
        place.fault("conflict" if sources else "required", f"needs exactly one source: {_REF_FORMS}")
    elif sources[0] == "field" and "key" in found:
        place.at("key").fault("conflict", "`key` goes with `secret` or `config_map`, not with `field`")
    elif sources[0] != "field" and "key" not in found:
        place.at("key").fault("required", f"say which `key` of the {sources[0].replace('_', ' ')} to take")
    return KeyRef(**found)


def _variable(name: str, value: object, place: Place) -> str | KeyRef | None:
    if isinstance(value, Mapping):
        return _key_ref(value, place)
    if is_secret_name(name) and not isinstance(value, str):
        place.fault("wrong_type", f"must be text in quotes, or {_REF_FORMS}")
        return None
    word = text(value, place)
    if word == MASK:
        place.fault("invalid_value", "`***` stands for a hidden value; write the value itself, or refer to a secret")
    elif word is not None and len(name) + 1 + len(word.encode()) > LONGEST_ARGUMENT:
        place.fault("too_long", TOO_LONG)
    return word


def _name(name: str, place: Place) -> bool:
    problem = names.env_name_problem(name)
    if problem:
        place.fault("invalid_value", f"the name `{shown(name)}` {problem}")
    return problem is None


def _env_from(value: object, place: Place) -> EnvFrom | None:
    found: dict[str, Any] | None = members(value, place, _FROM, {})
    if found is None:
        return None
    if len(found) != 1:
        code = "conflict" if found else "required"
        place.fault(code, 'needs exactly one of {"secret": NAME} and {"config_map": NAME}')
    return EnvFrom(**found)


ENV: dict[str, Reader] = {"env": map_of(_name, _variable, most=_MOST_VARIABLES), "env_from": list_of(_env_from)}
