"""From the status that a gRPC call ended with to the error to raise: in a Spark server's words by its ``code``, else by
what gRPC itself says."""

from __future__ import annotations

from typing import NamedTuple

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # has no types

from spark_jobs.client.link import NeverSent, WrongDoor
from spark_jobs.client.problems import LONGEST_RETRY_AFTER, Problem, error_of
from spark_jobs.domain.errors import (
    BadRequest,
    BodyTooLarge,
    Fault,
    PermissionDenied,
    ServerUnreachable,
    SparkError,
    StoreUnavailable,
    Unauthenticated,
)

DOMAIN = "spark-jobs"
_DETAILS = "grpc-status-details-bin"
_NOT_CONNECTED = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")
_FAULTS_OF_THE_SERVER = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)

# What gRPC's core says somewhere in its account of a connection that did not come about, and what that means.
_WRONG_DOOR = (
    ("WRONG_VERSION_NUMBER", "there is no TLS at that address: write grpc://"),
    ("http1.x server", "HTTP/1.1 is spoken there: write http:// if that is the port for REST"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted here: name the file of its CA in SSL_CERT_FILE"),
    ("Hostname Verification Check failed", "its certificate is for another host name"),
    ("Socket closed", "it hangs up at once: write grpcs:// if it wants TLS"),
    ("Connection reset", "it hangs up at once: write grpcs:// if it wants TLS"),
)
_NOBODY = (
    ("Connection refused", "connection refused"),
    ("errors resolving", "there is no host of that name"),
    ("timed out", "no answer in time"),
    ("Endpoint closing", "no answer in time"),
)


class _Told(NamedTuple):
    """What the details of a status hold."""

    problem: Problem
    retry_after: float


def error_from(error: grpc.aio.AioRpcError, *, url: str) -> SparkError:
    """The error that this end of a call to the server at ``url`` stands for."""
    told = _told(error)
    if told is not None:
        return error_of(told.problem, _by_code(error.code()), told.retry_after)
    return _without_details(error.code(), error.details() or "", url)


def _told(error: grpc.aio.AioRpcError) -> _Told | None:
    """The words of a Spark server; null where they are not."""
    raw = (error.trailing_metadata() or grpc.aio.Metadata()).get(_DETAILS)
    if not isinstance(raw, bytes):
        return None
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    try:
        for detail in status_pb2.Status.FromString(raw).details:
            for kind in (info, bad, retry):
                if detail.Is(kind.DESCRIPTOR):
                    detail.Unpack(kind)
    except DecodeError:
        return None
    if info.domain != DOMAIN:
        return None
    free = info.metadata.get("free", "")
    problem = Problem(
        code=info.reason,
        detail=error.details(),
        errors=[Fault(each.field, each.description, each.reason) for each in bad.field_violations],
        free=int(free) if free.isdecimal() else None,
    )
    delay = retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else 1.0
    return _Told(problem, min(max(delay, 0.0), LONGEST_RETRY_AFTER))


def _by_code(code: grpc.StatusCode) -> type[SparkError]:
    if code in _FAULTS_OF_THE_SERVER:
        return SparkError
    return StoreUnavailable if code is grpc.StatusCode.UNAVAILABLE else BadRequest


def _without_details(code: grpc.StatusCode, details: str, url: str) -> SparkError:
    """Not the words of a Spark server: gRPC itself, a proxy in between, or another program at this address."""
    match code:
        case grpc.StatusCode.UNAVAILABLE if details.startswith(_NOT_CONNECTED):
            return _never_sent(details, url)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return ServerUnreachable(f"no Spark server answers at {url} (no answer in time)")
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return ServerUnreachable(f"no Spark server answers at {url} (the connection was lost: {details})")
        case grpc.StatusCode.UNIMPLEMENTED:
            return ServerUnreachable(f"what answers at {url} is no Spark server, or one of another version")
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" in details:
            return BodyTooLarge(f"a message is larger than {url} and this program let through: {details}")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return StoreUnavailable(f"{url} answered {code.name}: try again later")
    known: dict[grpc.StatusCode, type[SparkError]] = {
        grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
        grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    }
    refusal = known.get(code, ServerUnreachable)
    return refusal(f"{url} answered {code.name} and not in the words of a Spark server: is the address right?")


def _never_sent(details: str, url: str) -> NeverSent:
    for kind, table in ((WrongDoor, _WRONG_DOOR), (NeverSent, _NOBODY)):
        for part, why in table:
            if part in details:
                return kind(f"no Spark server answers at {url} ({why})")
    return NeverSent(f"no Spark server answers at {url} ({details.rpartition('last error: ')[2]})")
