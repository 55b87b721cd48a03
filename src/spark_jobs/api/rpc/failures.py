"""Errors as gRPC has them: a code, a message, and a `google.rpc.Status` with details."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # has no types

from spark_jobs.api.status import code_of, status_plain, violation
from spark_jobs.api.wire import Problem
from spark_jobs.domain.errors import Fault

DETAILS = "grpc-status-details-bin"

# A client takes 8 KiB of trailing metadata by default, and what is larger hides the error itself. Both are sent twice,
# with escapes or in base64.
_MOST_TEXT = 1000  # bytes
_MOST_FAULTS = 2000  # bytes, all together

_POOL = error_details_pb2.DESCRIPTOR.pool  # knows the details by the names in their types
_BY_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


class Failure(NamedTuple):
    """How a call ends that did not succeed."""

    code: grpc.StatusCode
    message: str
    metadata: tuple[tuple[str, bytes], ...]


def failure(problem: Problem, retry_after: float | None = None) -> Failure:
    """The problem as the end of a call; ``retry_after`` is in seconds. What is too long for a header is cut."""
    plain = status_plain(problem, retry_after)
    plain["message"] = _cut(plain["message"])
    for detail in plain["details"]:
        if "fieldViolations" in detail:
            detail["fieldViolations"] = list(_first(problem.errors))
    status: Any = json_format.ParseDict(plain, status_pb2.Status(), descriptor_pool=_POOL)
    return Failure(
        _BY_NUMBER[code_of(problem).number], plain["message"], ((DETAILS, bytes(status.SerializeToString())),)
    )


def _cut(text: str) -> str:
    raw = text.encode()
    return text if len(raw) <= _MOST_TEXT else raw[:_MOST_TEXT].decode(errors="ignore") + "…"


def _first(faults: list[Fault]) -> Iterable[dict[str, str]]:
    """As many faults as there is room for, then how many more there are."""
    room = _MOST_FAULTS
    for number, fault in enumerate(faults):
        room -= len(f"{fault.pointer}{fault.detail}{fault.code}".encode()) + 12
        if room < 0:
            text = f"{len(faults) - number} more faults are not listed"
            yield violation(Fault("#", text, "too_many_faults"))
            return
        yield violation(fault)
