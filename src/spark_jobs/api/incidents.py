"""Errors that should not happen: logged with their traceback and counted; the caller learns the id alone."""

from __future__ import annotations

import logging
import secrets

from spark_jobs.api.wire import Problem, internal_problem
from spark_jobs.metrics import Metrics

_log = logging.getLogger(__name__)


def note_incident(metrics: Metrics, what: str, error: Exception) -> Problem:
    """Log and count an error that came out of ``what`` (a method and its route); what to tell the caller."""
    metrics.unexpected_error("api")
    incident = secrets.token_hex(6)
    _log.error("incident %s: %s failed", incident, what, exc_info=error)
    return internal_problem(incident)
