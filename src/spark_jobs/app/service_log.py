"""The service's own log: one event a line on stderr, as text for people or JSON for machines."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from spark_jobs import journal

# The guard has told it by then, with the cause.
_BROKE_OFF = "ASGI callable returned without completing response."


def configure(log_format: str) -> None:
    """Send everything that is logged, by us or by a library, to stderr in one format (``text`` or ``json``)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[journal.unfold, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_last(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True  # paths hold job ids, and metrics count requests
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.getMessage() != _BROKE_OFF)


def _last(log_format: str) -> list[Processor]:
    if log_format == "json":
        # No local variables in tracebacks: they can hold an environment variable's value.
        plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [structlog.processors.ExceptionRenderer(plain), structlog.processors.JSONRenderer()]
    colors = sys.stderr.isatty()
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
