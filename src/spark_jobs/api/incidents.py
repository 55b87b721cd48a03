"""Errors that should not happen: logged with their traceback and counted; the caller learns the id alone."""

from __future__ import annotations

import logging
import secrets

from spark_jobs.api.wire import ERRORS, Problem, internal_problem, problem
from spark_jobs.domain.errors import SparkError
from spark_jobs.metrics import Metrics

_log = logging.getLogger(__name__)


def note_incident(metrics: Metrics, what: str, error: Exception) -> Problem:
    """Log and count an error that came out of ``what`` (a method and its route); what to tell the caller."""
    metrics.unexpected_error("api")
    incident = secrets.token_hex(6)
    _log.error("incident %s: %s failed", incident, what, exc_info=error)
    return internal_problem(incident)


def told(metrics: Metrics, what: str, error: Exception) -> Problem:
    """What to tell the caller of an error that came out of ``what``; one that should not happen is noted."""
    if isinstance(error, SparkError) and error.code in ERRORS and error.code != "internal":
        return problem(error)
    return note_incident(metrics, what, error)
