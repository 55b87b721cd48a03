"""The routes of the first Spark, for its clients: its gRPC service in JSON, as grpc-gateway would have it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from litestar import Response, get, post

from spark_jobs.api.body import decode, read_body
from spark_jobs.api.original import Original
from spark_jobs.api.proto import spark_service_pb2 as pb
from spark_jobs.api.routing import ApiRequest, about, backend_of, json_response
from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.fields import got

_REFUSALS = ("invalid_json", "body_too_large", "unsupported_media_type")
_FAILED_FIELD = re.compile(r"Failed to parse (\w+)(?:\[\d+\])? field")
_KINDS: Mapping[int, str] = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_INT32: f"a whole number from {-(2**31)} to {2**31 - 1}",
}

_M = TypeVar("_M", bound=Message)


@post(
    "/v1/queue_job",
    status_code=200,
    opt=about(*_REFUSALS, "id_conflict", "queue_full", "draining", messages=("QueueJobRequest", "QueueJobResponse")),
)
async def queue_job(request: ApiRequest) -> Response[bytes]:
    """Put a job into the queue. For clients of the first Spark; others use `POST /v1/jobs`."""
    return await _answered(request, pb.QueueJobRequest(), _original(request).queue_job)


@post(
    "/v1/get_job_logs",
    status_code=200,
    opt=about(*_REFUSALS, "job_not_found", messages=("GetJobLogsRequest", "GetJobLogsResponse")),
)
async def get_job_logs(request: ApiRequest) -> Response[bytes]:
    """The end of a job's log, at most 3.5 MiB. For clients of the first Spark; others use `GET /v1/jobs/{job_id}/logs`."""
    return await _answered(request, pb.GetJobLogsRequest(), _original(request).get_job_logs)


@post(
    "/v1/get_job_status",
    status_code=200,
    opt=about(*_REFUSALS, "job_not_found", messages=("GetJobStatusRequest", "GetJobStatusResponse")),
)
async def get_job_status(request: ApiRequest) -> Response[bytes]:
    """Where a job is. For clients of the first Spark; others use `GET /v1/jobs/{job_id}`."""
    return await _answered(request, pb.GetJobStatusRequest(), _original(request).get_job_status)


@get("/v1/ping", opt=about(messages=(None, "PingResponse")))
async def ping(request: ApiRequest) -> Response[bytes]:
    """Whether the server answers, and which version it is."""
    return json_response(_plain(await _original(request).ping(pb.PingRequest())))


ROUTES = (queue_job, get_job_logs, get_job_status, ping)


def _original(request: ApiRequest) -> Original:
    backend = backend_of(request)
    return Original(backend.service, backend.settings.version)


async def _answered(request: ApiRequest, empty: _M, method: Callable[[_M], Awaitable[Message]]) -> Response[bytes]:
    """The answer of the method to the request's body. Raises InvalidJson, InvalidSpec, BodyTooLarge, and its own."""
    raw = await read_body(request, backend_of(request).settings.spec_bytes)
    # No body at all is a message that says nothing.
    _fill(empty, decode(raw) if raw.strip() else {})
    return json_response(_plain(await method(empty)))


def _fill(message: Message, body: object) -> None:
    """Fill the message with the members of the body; those that it does not know are ignored. Raises InvalidSpec."""
    if not isinstance(body, dict):
        text = f"{got(body)}, must be an object, a {message.DESCRIPTOR.name}"
        raise InvalidSpec([Fault("#", text, "wrong_type")])
    try:
        json_format.ParseDict(body, message, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        # Its text may hold the value, which may be a secret.
        raise InvalidSpec([_type_fault(message, _FAILED_FIELD.search(str(error)))]) from None


def _type_fault(message: Message, found: re.Match[str] | None) -> Fault:
    """The field that does not fit, and what it takes."""
    names = {written: field for field in message.DESCRIPTOR.fields for written in (field.name, field.camelcase_name)}
    field = names.get(found.group(1)) if found else None
    if field is None:
        return Fault("#", f"is no {message.DESCRIPTOR.name}", "wrong_type")
    kind = "a list of texts" if field.is_repeated else _KINDS[field.type]
    return Fault(f"#/{field.name}", f"must be {kind}", "wrong_type")


def _plain(message: Message) -> object:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
