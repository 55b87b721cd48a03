"""The types on the wire as JSON schemas, where they differ from the domain's own: what goes in is freer than what comes
out, lists show less, and every key of an answer is always there."""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

import msgspec

from spark_jobs.api.wire import Problem

Plain: TypeAlias = dict[str, Any]

_LIMITS = ("timeout", "start_timeout", "queue_timeout")
_DURATIONS = (*_LIMITS, "termination_grace", "backoff")
_ALWAYS_WHOLE = ("Job", "Attempt", "LogSummary", "JobSpec", "QueueView", "Readiness", "Waiting")
JOB_ID: Plain = {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
_DURATION: Plain = {
    "oneOf": [
        {"type": "number", "exclusiveMinimum": 0, "description": "Seconds."},
        {"type": "string", "description": "Such as `90s`, `5m`, `1h30m`, `2d`, `500ms`; `none` for no limit."},
        {"type": "null"},
    ]
}
_QUANTITY: Plain = {"type": ["string", "number", "null"], "description": "A quantity as in Kubernetes."}


def complete_schemas(schemas: Plain) -> Plain:
    """The schemas, completed; the names in routes' ``about(body=…)`` are among them."""
    known = copy.deepcopy(schemas)
    for name in _ALWAYS_WHOLE:
        known[name]["required"] = list(known[name]["properties"])
    known["JobSpecInput"] = _input(known["JobSpec"])
    known["JobBatchInput"] = _batch_input()
    known["ListedJobSpec"] = _without(known["JobSpec"], "env")
    known["ListedJob"] = _without(known["Job"], "attempts")
    known["ListedJob"]["properties"]["spec"] = _ref("ListedJobSpec")
    known["JobList"]["properties"]["jobs"]["items"] = _ref("ListedJob")
    [_], generated = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    known.update(generated)
    return dict(sorted(known.items()))


def _ref(name: str) -> Plain:
    return {"$ref": f"#/components/schemas/{name}"}


def _without(schema: Plain, name: str) -> Plain:
    less = copy.deepcopy(schema)
    del less["properties"][name]
    less["required"].remove(name)
    return less


def _input(spec: Plain) -> Plain:
    """What may be submitted: the image alone is needed, durations and quantities have several spellings."""
    free = copy.deepcopy(spec)
    free["required"] = ["image"]
    free["additionalProperties"] = False
    fields = free["properties"]
    fields["image"] = {"type": "string", "minLength": 1}
    fields["id"] = {"oneOf": [JOB_ID, {"type": "null"}]}
    fields.update(dict.fromkeys(_DURATIONS, _DURATION))
    fields.update(dict.fromkeys(("cpu", "memory", "gpu"), _QUANTITY))
    for name, schema in fields.items():
        # Null is the same as leaving a field out.
        if schema.get("type") in ("array", "object"):
            fields[name] = {"oneOf": [schema, {"type": "null"}]}
    return {**free, "title": "JobSpecInput", "description": "A job to run; null is the same as leaving a field out."}


def _batch_input() -> Plain:
    jobs = {"type": "array", "items": _ref("JobSpecInput"), "minItems": 1, "maxItems": 1000}
    return {
        "type": "object",
        "title": "JobBatchInput",
        "properties": {"jobs": jobs},
        "required": ["jobs"],
        "additionalProperties": False,
    }
