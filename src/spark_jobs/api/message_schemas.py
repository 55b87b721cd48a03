"""The messages of the first Spark as JSON schemas, made from their descriptors, and the status that its errors are."""

from __future__ import annotations

from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor

from spark_jobs.api.proto import spark_service_pb2 as pb
from spark_jobs.api.status import CODES

Plain: TypeAlias = dict[str, Any]

STATUS = "Status"
_TYPES: dict[int, Plain] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
}
_STATUS: Plain = {
    "type": "object",
    "title": STATUS,
    "description": "An error as `google.rpc.Status` in JSON: the code of gRPC, what happened, and details by `@type`.",
    "properties": {
        "code": {"type": "integer", "enum": [code.number for code in CODES.values()]},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {"type": "object", "properties": {"@type": {"type": "string"}}}},
    },
    "required": ["code", "message", "details"],
}


def message_schemas() -> dict[str, Plain]:
    """Each message by its name, and the status. Fields that are not set are left out, so none is required."""
    found = {name: _message(message) for name, message in pb.DESCRIPTOR.message_types_by_name.items()}
    return {**found, STATUS: _STATUS}


def _message(message: Any) -> Plain:
    return {
        "type": "object",
        "title": message.name,
        "properties": {field.name: _field(field) for field in message.fields},
    }


def _field(field: Any) -> Plain:
    schema = _TYPES[field.type]
    return {"type": "array", "items": schema} if field.is_repeated else dict(schema)
