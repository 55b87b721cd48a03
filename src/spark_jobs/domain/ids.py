"""Making ids and names. The source of randomness is an argument, so that tests can choose it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeAlias

from spark_jobs.domain.names import job_id_problem

Choose: TypeAlias = Callable[[str], str]
"""Picks one character of a text."""

ID_PREFIX = "spark-job-"
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_ID_LENGTH = 15
_NAME_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"  # base32
_NAME_LENGTH = 12
_HEX = "0123456789abcdef"
_CLAIM_LENGTH = 32  # 128 bits


def is_job_id(text: str) -> bool:
    """True for text that can be a job's id. Whatever is built from an id (a path, an address) asks this first."""
    return job_id_problem(text) is None


def new_job_id(choose: Choose = secrets.choice) -> str:
    """An id for a job that was given none."""
    return ID_PREFIX + _random(_ID_LETTERS, _ID_LENGTH, choose)


def new_kubernetes_name(attempt: int, choose: Choose = secrets.choice) -> str:
    """The name of an attempt's Kubernetes Job; never made from the user's id, which others may have used, too."""
    return f"spark-{_random(_NAME_LETTERS, _NAME_LENGTH, choose)}-{attempt}"


def new_claim(choose: Choose = secrets.choice) -> str:
    """The mark by which an attempt's objects are known to be ours: 128 random bits in hex."""
    return _random(_HEX, _CLAIM_LENGTH, choose)


def _random(letters: str, length: int, choose: Choose) -> str:
    return "".join(choose(letters) for _ in range(length))
