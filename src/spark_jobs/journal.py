"""What Spark writes about itself, as opposed to the logs of jobs: to loggers of the standard library below `spark_jobs`.

Nothing appears anywhere unless the program sets up logging: the server does, a program that uses the library may.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

FIELDS = "spark_fields"
"""The attribute of a log record that holds its event and its fields apart, for those who write JSON."""

_OF_LOGGING = ("exc_info", "stack_info", "stacklevel")

# Without any handler the standard library would print warnings on the terminal of whoever imports this.
logging.getLogger("spark_jobs").addHandler(logging.NullHandler())


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and named fields; whatever the program sets up in structlog does not touch it."""
    bound: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _as_record],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return bound


def unfold(_logger: object, _method: str, record: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor for formatters: puts the event and the fields of a record of ours in the place of its text."""
    fields: Mapping[str, Any] = getattr(record["_record"], FIELDS, {})
    return {**record, **fields}


def _as_record(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of the standard library's logger."""
    settings = {name: event.pop(name) for name in _OF_LOGGING if name in event}
    fields = {name: value for name, value in event.items() if name != "event"}
    text = " ".join([str(event["event"]), *(f"{name}={value}" for name, value in fields.items())])
    return {"msg": text, "extra": {FIELDS: dict(event)}, **settings}
