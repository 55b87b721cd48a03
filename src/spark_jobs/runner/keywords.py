"""From the keywords of a Runner to settings: the rows of the one table, without what only a server needs."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

from spark_jobs.config import TABLE, Settings, load
from spark_jobs.config.table import CLUSTER, JOBS, KEEPING
from spark_jobs.domain.errors import SettingError, SparkError
from spark_jobs.domain.nearest import did_you_mean

KNOWN = frozenset(name for name, setting in TABLE.items() if setting.row.group in {CLUSTER, JOBS, KEEPING})
CLUSTERS = ("kubernetes", "local", "fake")
_NEED_A_FOLDER = ("keep_objects", "keep_failed_objects", "retain_jobs", "retain_logs")
_FLAG = re.compile(r"--([a-z][a-z-]*)")

_E = TypeVar("_E", bound=SparkError)


class Keywords(TypedDict, total=False):
    """The settings that a Runner takes besides those of its signature; what they mean is in the reference of settings."""

    context: str
    namespace: str | Sequence[str]
    instance: str
    kube_qps: float
    kube_burst: int
    start_timeout: float | str
    image_grace: float | str
    retain_jobs: float | str
    retain_logs: float | str
    max_log_bytes: int | str
    log_cap: int | str
    keep_objects: float | str
    keep_failed_objects: float | str


def settings_from(given: Mapping[str, object]) -> Settings:
    """Settings from keywords alone: a library does not read ``SPARK_*``. Without a ``data_dir`` its value means nothing.

    Raises:
        SettingError: a name is unknown or not a library's, or a value is wrong.
    """
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name in TABLE and name not in KNOWN:
            raise SettingError(f"`{name}` is a setting of the server; a Runner has no use for it", setting=name)
        if name not in KNOWN:
            raise SettingError(f"a Runner has no setting `{name}`{did_you_mean(name, KNOWN)}", setting=name)
    for name in _NEED_A_FOLDER:
        if name in given and "data_dir" not in given:
            text = f"{name}: without a data_dir nothing is kept beyond the Runner's end; name a folder with data_dir"
            raise SettingError(text, setting=name)
    home = {name: os.environ[name] for name in ("HOME",) if name in os.environ}
    try:
        return load({"data_dir": Path(tempfile.gettempdir()), **given}, home)
    except SettingError as error:
        raise in_python(error) from None


def check_cluster(cluster: object) -> None:
    """Return if the word names a cluster; what is no word is looked at later. Raises SettingError."""
    if isinstance(cluster, str) and cluster not in CLUSTERS:
        text = f"cluster: write one of {', '.join(CLUSTERS)}{did_you_mean(cluster, CLUSTERS)}"
        raise SettingError(text, setting="cluster")


def in_python(error: _E) -> _E:
    """The error with settings called by their keywords instead of their flags."""
    error.message = _FLAG.sub(lambda match: _keyword(match) or match[0], error.message)
    error.args = (error.message,)
    return error


def _keyword(match: re.Match[str]) -> str | None:
    name = match[1].replace("-", "_")
    return name if name in TABLE else None
