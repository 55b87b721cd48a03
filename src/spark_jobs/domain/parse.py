"""From plain objects (decoded JSON or YAML) to a JobSpec: every fault at once, each with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spark_jobs.domain import names
from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.fields import Place, Reader, duration, got, list_of, map_of, members, named, shown, text, whole
from spark_jobs.domain.nearest import nearest
from spark_jobs.domain.parse_env import ENV, LONGEST_ARGUMENT, TOO_LONG
from spark_jobs.domain.parse_placement import PLACEMENT
from spark_jobs.domain.parse_resources import RESOURCES, check_resources
from spark_jobs.domain.parse_volumes import VOLUMES
from spark_jobs.domain.plain import canonical
from spark_jobs.domain.reasons import NEVER_RETRIED, Reason
from spark_jobs.domain.spec import JobSpec

LARGEST_SPEC = 1024 * 1024
MOST_FAULTS = 1000
_NOTED = 60  # bytes that the API server notes about each variable besides its name

_LONGEST_NAME = 253
_LONGEST_LABEL_KEY = names.SUBDOMAIN_LENGTH + 1 + names.LABEL_LENGTH
_LONGEST_LABEL = 4096
_LONGEST_IMAGE = 4096
_MOST_LABEL_CHARACTERS = 32 * 1024  # all labels go into one annotation, and Kubernetes takes 256 KiB of those

_NO_TERMINAL = "a job has no terminal and no input; look into a running one with `kubectl exec -it POD -- sh`"
_REFUSED = {
    **dict.fromkeys(("tty", "stdin", "interactive", "stdin_once", "stdinOnce"), _NO_TERMINAL),
    "privileged": "privileged containers are not supported; see `security_profile`",
    "cmd": "unknown field `cmd`; did you mean `command`?",
    "entrypoint": "unknown field `entrypoint`; did you mean `command`?",
    "environment": "unknown field `environment`; did you mean `env`?",
}
_NO_DEFAULTS = {"id": "each job has its own id", "image": "each job names its own image"}
_EXIT = re.compile("exit:[0-9]{1,3}")


def _image(value: object, place: Place) -> str | None:
    word = text(value, place)
    if word is None:
        return None
    if not word.strip():
        place.fault("required", "must name an image, such as busybox:1")
    elif word != word.strip() or len(word) > _LONGEST_IMAGE:
        place.fault(
            "invalid_value", f"must not begin or end with a blank, and have at most {_LONGEST_IMAGE} characters"
        )
    return word


def _word(value: object, place: Place) -> str | None:
    word = text(value, place)
    if word is not None and len(word) > LONGEST_ARGUMENT // 4 and len(word.encode()) > LONGEST_ARGUMENT:
        place.fault("too_long", TOO_LONG)
    return word


def _words(value: object, place: Place) -> list[str | None] | None:
    if isinstance(value, str):
        place.fault(
            "wrong_type", 'got text, write a list of words; a shell line is ["sh", "-c", "…"] (it is never split)'
        )
        return None
    words: list[str | None] | None = list_of(_word, most=100_000)(value, place)
    return words


def _command(value: object, place: Place) -> list[str | None] | None:
    words = _words(value, place)
    if words and words[0] == "":
        place.at(0).fault("invalid_value", "must name a program")
    return words


def _name(value: object, place: Place) -> str | None:
    word = text(value, place)
    if word is not None and not 0 < len(word) <= _LONGEST_NAME:
        place.fault("invalid_value", f"must have 1 to {_LONGEST_NAME} characters; has {len(word)}")
    return word


def _label_key(key: str, place: Place) -> bool:
    if text(key, place) is None:
        return False
    if domain := names.reserved_domain(key):
        place.fault("not_allowed", f"labels of {domain} are reserved; choose another prefix, or none")
    elif not 0 < len(key) <= _LONGEST_LABEL_KEY or not key.isprintable() or set(key) & {"=", ",", " "}:
        rule = f"must have 1 to {_LONGEST_LABEL_KEY} characters without `=`, `,` and blanks"
        place.fault("invalid_value", f"the label `{shown(key)}` {rule}")
    else:
        return True
    return False


def _label_value(_key: str, value: object, place: Place) -> str | None:
    word = text(value, place)
    if word is not None and len(word) > _LONGEST_LABEL:
        place.fault("too_long", f"has {len(word)} characters; at most {_LONGEST_LABEL} are allowed")
    return word


def _labels(value: object, place: Place) -> dict[str, Any] | None:
    labels: dict[str, Any] | None = map_of(_label_key, _label_value)(value, place)
    if labels and sum(len(key) + len(one or "") for key, one in labels.items()) > _MOST_LABEL_CHARACTERS:
        place.fault("too_long", f"all labels together have more than {_MOST_LABEL_CHARACTERS} characters")
    return labels


def _retry_on(value: object, place: Place) -> str | None:
    word = text(value, place)
    if word is None:
        return None
    reasons = [reason for reason in Reason if reason not in NEVER_RETRIED]
    if word in NEVER_RETRIED:
        place.fault("invalid_value", f"{word} never leads to another attempt")
    elif _EXIT.fullmatch(word):
        if not 1 <= int(word[5:]) <= 255:
            place.fault("out_of_range", "an exit code to retry on is from 1 to 255, such as exit:75")
    elif word not in reasons:
        meant = nearest(word, reasons)
        hint = f"; did you mean `{meant}`?" if meant else f"; reasons are {', '.join(reasons)}"
        place.fault("invalid_value", f"`{shown(word)}` is no reason and no exit code such as exit:75{hint}")
    return word


READERS: dict[str, Reader] = {
    "image": _image,
    "command": _command,
    "args": _words,
    "id": named(names.job_id_problem),
    "name": _name,
    "labels": _labels,
    **ENV,
    **VOLUMES,
    **RESOURCES,
    "timeout": duration(none=True),
    "start_timeout": duration(none=True),
    "queue_timeout": duration(none=True),
    "termination_grace": duration(),
    "retries": whole(0, 1000),
    "backoff": duration(zero=True),
    "retry_on": list_of(_retry_on),
    "priority": whole(-1000, 1000),
    **PLACEMENT,
}


def parse_spec(plain: object, *, pointer: str = "#") -> JobSpec:
    """The spec that plain objects describe; null members count as left out.

    Args:
        plain: what a JSON or YAML decoder gives.
        pointer: the JSON pointer of the spec in its document, which the faults' pointers begin with.

    Raises:
        InvalidSpec: with every fault at once.
    """
    place = Place(pointer, [])
    found = _found(plain, place, READERS, _REFUSED)
    if found is not None and (plain.get("image") if isinstance(plain, Mapping) else None) is None:
        place.at("image").fault("required", "say which image to run, such as busybox:1")
    spec = JobSpec(**found) if found is not None and not place.faults else None
    if spec is not None and _size(spec) > LARGEST_SPEC:
        place.fault("too_long", "the whole spec is larger than 1 MiB; put data into a config map or a volume")
    if spec is None or place.faults:
        raise InvalidSpec(_bounded(place))
    return spec


def parse_defaults(plain: object, *, pointer: str = "#") -> dict[str, Any]:
    """Fields of a spec that stand in for those a job leaves out, by name; raises InvalidSpec as :func:`parse_spec`."""
    place = Place(pointer, [])
    readers = {name: reader for name, reader in READERS.items() if name not in _NO_DEFAULTS}
    found = _found(plain, place, readers, _REFUSED | _NO_DEFAULTS)
    if found is None or place.faults:
        raise InvalidSpec(_bounded(place))
    return found


def _found(
    plain: object, place: Place, readers: Mapping[str, Reader], refused: Mapping[str, str]
) -> dict[str, Any] | None:
    if not isinstance(plain, Mapping):
        place.fault("wrong_type", f'{got(plain)}, must be an object such as {{"image": "busybox:1"}}')
        return None
    found = members(plain, place, readers, refused)
    if found is not None:
        check_resources(found, place)
        if found.get("security_profile") == "restricted" and found.get("run_as_user") == 0:
            place.at("run_as_user").fault("conflict", 'user 0 can\'t run under `security_profile` "restricted"')
    return found


def _size(spec: JobSpec) -> int:
    """About what Kubernetes stores of it: each `$` is doubled, labels are there twice, and every variable's name once
    more in the API server's own notes on who set which field."""
    encoded = canonical(spec)
    labels = sum(len(key.encode()) + len(value.encode()) for key, value in spec.labels.items())
    return len(encoded) + encoded.count(b"$") + labels + sum(len(name) + _NOTED for name in spec.env)


def _bounded(place: Place) -> list[Fault]:
    more = len(place.faults) - MOST_FAULTS
    if more <= 0:
        return place.faults
    last = Fault(pointer=place.pointer, detail=f"{more} more faults are not listed", code="too_many_faults")
    return [*place.faults[:MOST_FAULTS], last]
