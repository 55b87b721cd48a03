"""From what a server answers to the error to raise: in a Spark server's words by its ``code``, else by HTTP status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from spark_jobs.domain.errors import (
    BadRequest,
    Fault,
    InvalidSpec,
    NotFound,
    PermissionDenied,
    QueueFull,
    ServerUnreachable,
    SparkError,
    StoreUnavailable,
    TryAgain,
    Unauthenticated,
)
from spark_jobs.domain.job import JobFailed

LONGEST_RETRY_AFTER = 3600.0


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What a Spark server says of an error: a problem document's members, as far as the client uses them."""

    code: str | None = None
    title: str | None = None
    detail: str | None = None
    errors: list[Fault] = []
    free: int | None = None


def _family(root: type[SparkError]) -> Iterator[type[SparkError]]:
    yield root
    for child in root.__subclasses__():
        yield from _family(child)


_BY_CODE = {kind.code: kind for kind in _family(SparkError) if "code" in vars(kind) if not issubclass(kind, JobFailed)}


def error_of(problem: Problem, kind_else: type[SparkError], wait: float) -> SparkError:
    """The error that a Spark server tells of; ``kind_else`` is its class where this version does not know the code, and
    ``wait`` the seconds after which to try again."""
    kind = _BY_CODE.get(problem.code or "") or kind_else
    message = problem.detail or problem.title or f"the server answered {problem.code}"
    if issubclass(kind, InvalidSpec):
        return InvalidSpec(problem.errors or [Fault("#", message, kind.code)])
    if issubclass(kind, QueueFull):
        return QueueFull(message, free=problem.free or 0, retry_after=wait)
    if issubclass(kind, TryAgain):
        return kind(message, retry_after=wait)
    if problem.errors:
        message = "; ".join([message, *(f"{fault.pointer}: {fault.detail}" for fault in problem.errors)])
    return kind(message)


def error_from(status: int, headers: Mapping[str, str], body: bytes, *, url: str) -> SparkError:
    """The error that this HTTP answer of the server at ``url`` stands for."""
    problem = _decode(headers, body)
    if problem is None:
        return _without_problem(status, headers, url)
    return error_of(problem, _by_status(status), retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait by the ``Retry-After`` header; 1 where it says nothing that can be used."""
    try:
        return min(max(float(headers.get("retry-after", "1")), 0.0), LONGEST_RETRY_AFTER)
    except ValueError:
        return 1.0


def _decode(headers: Mapping[str, str], body: bytes) -> Problem | None:
    if not headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        return msgspec.json.decode(body, type=Problem)
    except msgspec.MsgspecError:
        return None


def _by_status(status: int) -> type[SparkError]:
    if status == 503:
        return StoreUnavailable
    return BadRequest if 400 <= status < 500 else SparkError


def _without_problem(status: int, headers: Mapping[str, str], url: str) -> SparkError:
    """Not the words of a Spark server: a proxy in between, or another program at this address."""
    if status in {429, 503}:
        return StoreUnavailable(f"{url} answered {status}: try again later", retry_after=retry_after(headers))
    if status in {502, 504}:
        return ServerUnreachable(f"{url} answered {status}: the server behind it can't be reached")
    known: dict[int, type[SparkError]] = {401: Unauthenticated, 403: PermissionDenied, 404: NotFound}
    kind = known.get(status, ServerUnreachable)
    return kind(f"{url} answered {status} and not in the words of a Spark server: is the address right?")
