"""The labels and annotations by which objects in Kubernetes are recognised as ours."""

from __future__ import annotations

import re

from spark_jobs.cluster.base import AttemptRef

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "spark-jobs"
INSTANCE = "spark-jobs.dev/instance"
JOB = "spark-jobs.dev/job"
ATTEMPT = "spark-jobs.dev/attempt"

CLAIM = "spark-jobs.dev/claim"
JOB_ID = "spark-jobs.dev/job-id"
JOB_NAME = "spark-jobs.dev/job-name"
LABELS = "spark-jobs.dev/labels"

CONTAINER = "main"
GATE = "spark-jobs.dev/release"

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
_KEY = re.compile(rf"(?:(?P<prefix>{_PREFIX})/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_LONGEST_PREFIX = 253
# The Job controller writes these itself and refuses a Job that has them with other values.
_CONTROLLERS_OWN = frozenset({"controller-uid", "job-name"})


def selector(instance: str) -> str:
    """The label selector of everything that belongs to an installation."""
    return f"{MANAGED_BY}={MANAGER},{INSTANCE}={instance}"


def attempt_selector(instance: str, ref: AttemptRef) -> str:
    """The label selector of one attempt's objects."""
    return f"{selector(instance)},{JOB}={ref.job_id},{ATTEMPT}={ref.attempt}"


def own_labels(instance: str, ref: AttemptRef) -> dict[str, str]:
    """The labels that every object of an attempt carries."""
    return {MANAGED_BY: MANAGER, INSTANCE: instance, JOB: ref.job_id, ATTEMPT: str(ref.attempt)}


def kubernetes_labels(labels: dict[str, str]) -> dict[str, str]:
    """Those of a user's labels that Kubernetes takes as labels, unchanged."""
    return {key: value for key, value in labels.items() if _is_valid(key, value)}


def _is_valid(key: str, value: str) -> bool:
    match = _KEY.fullmatch(key)
    if match is None or key in _CONTROLLERS_OWN or len(match["prefix"] or "") > _LONGEST_PREFIX:
        return False
    return _VALUE.fullmatch(value) is not None
