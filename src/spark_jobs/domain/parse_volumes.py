"""Reading ``volumes``."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from spark_jobs.domain import names
from spark_jobs.domain.fields import Place, Reader, boolean, choice, list_of, members, named
from spark_jobs.domain.parse_resources import size
from spark_jobs.domain.spec import EmptyDir, Volume

_NO_HOST_PATH = "the node's own folders can't be mounted (hostPath); use a `pvc`, or `empty_dir` for scratch space"
_REFUSED = dict.fromkeys(("hostPath", "host_path", "hostpath", "host"), _NO_HOST_PATH)
_SOURCES = ("pvc", "secret", "config_map", "empty_dir")


def _empty_dir(value: object, place: Place) -> EmptyDir | None:
    found = members(value, place, {"medium": choice("Memory"), "size": size}, {})
    return None if found is None else EmptyDir(**found)


def absolute_problem(path: str) -> str | None:
    """Why this can't be a folder in a container; null if it can."""
    return None if path.startswith("/") else "must be an absolute path, such as /data"


def _mount_problem(path: str) -> str | None:
    if ":" in path:
        return "must not hold a `:`"
    if posixpath.normpath(path).strip("/") == "":
        return "can't be the root of the container's files; mount it below, such as at /data"
    return absolute_problem(path)


def _sub_path_problem(path: str) -> str | None:
    if path.startswith("/") or ".." in path.split("/"):
        return "must be a path inside the volume: no leading `/`, no `..`"
    return None


_VOLUME: dict[str, Reader] = {
    "mount": named(_mount_problem),
    "pvc": named(names.subdomain_problem),
    "secret": named(names.subdomain_problem),
    "config_map": named(names.subdomain_problem),
    "empty_dir": _empty_dir,
    "read_only": boolean,
    "sub_path": named(_sub_path_problem),
}


def _volume(value: object, place: Place) -> Volume | None:
    found = members(value, place, _VOLUME, _REFUSED)
    if found is None:
        return None
    if "mount" not in found:
        place.at("mount").fault("required", "say where to mount it, such as /data")
    sources = [name for name in _SOURCES if name in found]
    refused = isinstance(value, dict) and any(name in _REFUSED for name in value)
    if len(sources) != 1 and not refused:
        place.fault("conflict" if sources else "required", f"needs exactly one of {', '.join(_SOURCES)}")
    return Volume(**{"mount": "", **found})


def _volumes(value: object, place: Place) -> list[Volume | None] | None:
    volumes: Sequence[Volume | None] | None = list_of(_volume, most=200)(value, place)
    if volumes is None:
        return None
    seen: set[str] = set()
    for number, volume in enumerate(volumes):
        if volume is None or not volume.mount:
            continue
        path = posixpath.normpath(volume.mount)
        if path in seen:
            place.at(number).at("mount").fault("conflict", "another volume is mounted at the same path")
        seen.add(path)
    return list(volumes)


VOLUMES: dict[str, Reader] = {"volumes": _volumes}
