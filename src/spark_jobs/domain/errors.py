"""Every error that Spark raises on purpose, in one tree.

::

    SparkError
    ├── BadRequest
    │   ├── InvalidJson             invalid_json
    │   ├── InvalidPageToken        invalid_page_token
    │   ├── InvalidSpec             invalid_spec            (.faults)
    │   ├── BodyTooLarge            body_too_large
    │   ├── RangeNotSatisfiable     range_not_satisfiable   (.size, bytes)
    │   └── UnsupportedMediaType    unsupported_media_type
    ├── AccessRefused
    │   ├── Unauthenticated         unauthenticated
    │   ├── PermissionDenied        permission_denied
    │   ├── ForbiddenOrigin         forbidden_origin
    │   └── UnknownHost             unknown_host
    ├── NotFound
    │   ├── JobNotFound             job_not_found
    │   └── AttemptNotFound         attempt_not_found
    ├── Conflict
    │   ├── IdConflict              id_conflict
    │   ├── IdempotencyConflict     idempotency_conflict
    │   ├── NotCancellable          not_cancellable
    │   ├── NotRetryable            not_retryable
    │   └── NotDeletable            not_deletable
    ├── EventsGone                  events_gone
    ├── TryAgain                    (.retry_after, seconds)
    │   ├── QueueFull               queue_full              (.free)
    │   ├── StoreUnavailable        store_unavailable
    │   ├── TooManySearches         too_many_searches
    │   └── Draining                draining
    ├── SettingError                invalid_setting         (.setting)
    │   └── MissingExtra            missing_extra           (an ImportError, too)
    ├── DataDirError
    │   ├── DataDirInUse            data_dir_in_use
    │   ├── DataDirNewer            data_dir_newer
    │   ├── DataDirForeign          data_dir_foreign
    │   ├── DataDirDamaged          data_dir_damaged
    │   └── DataDirNotWritable      data_dir_not_writable
    ├── ClusterError
    │   ├── CredentialsError        cluster_credentials
    │   ├── ClusterUnavailable      cluster_unavailable     (.retry_after, seconds)
    │   └── ClusterForbidden        cluster_forbidden
    ├── LogUnavailable              log_unavailable
    ├── SinkUnavailable             sink_unavailable
    ├── IllegalTransition           illegal_transition
    ├── ServerUnreachable           server_unreachable
    ├── RunnerError
    │   ├── RunnerMisused           runner_misused          (a RuntimeError, too)
    │   └── RunnerFailed            runner_failed
    └── JobFailed                   job_failed              (.job; these three stand beside Job)
        ├── JobTimedOut             job_timed_out
        └── JobCancelled            job_cancelled

``code`` is stable: clients may compare it. The message says what happened and what to do about it, and never holds the
value of an environment variable or a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where (a JSON pointer such as ``#/env/PORT``), what, and a stable code."""

    pointer: str
    detail: str
    code: str


class SparkError(Exception):
    """The root of the tree. ``code`` is the stable name of the kind of error."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(SparkError):
    """The request itself is wrong; sending it again will not help."""


class InvalidJson(BadRequest):
    """The body is not JSON."""

    code = "invalid_json"


class InvalidPageToken(BadRequest):
    """The page token was not made by this server for these filters."""

    code = "invalid_page_token"


class InvalidSpec(BadRequest):
    """The job as described can't be accepted; ``faults`` lists everything that is wrong with it, at once."""

    code = "invalid_spec"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = tuple(faults)


class BodyTooLarge(BadRequest):
    """The body is larger than the documented bound."""

    code = "body_too_large"


class RangeNotSatisfiable(BadRequest):
    """None of the bytes asked for is there; ``size`` is how many there are."""

    code = "range_not_satisfiable"

    def __init__(self, message: str, *, size: int = 0) -> None:
        super().__init__(message)
        self.size = size


class UnsupportedMediaType(BadRequest):
    """The body is not sent as ``application/json``."""

    code = "unsupported_media_type"


class AccessRefused(SparkError):
    """The caller may not do this."""


class Unauthenticated(AccessRefused):
    """The token is missing or wrong."""

    code = "unauthenticated"


class PermissionDenied(AccessRefused):
    """The caller is known and may not do this."""

    code = "permission_denied"


class ForbiddenOrigin(AccessRefused):
    """The request comes from a web page of another origin."""

    code = "forbidden_origin"


class UnknownHost(AccessRefused):
    """The ``Host`` header names a host that this server does not answer for."""

    code = "unknown_host"


class NotFound(SparkError):
    """There is no such thing."""


class JobNotFound(NotFound):
    """There is no job with this id."""

    code = "job_not_found"


class AttemptNotFound(NotFound):
    """The job exists, this attempt of it does not."""

    code = "attempt_not_found"


class Conflict(SparkError):
    """The request does not fit the state of things."""


class IdConflict(Conflict):
    """Another job has this id already."""

    code = "id_conflict"


class IdempotencyConflict(Conflict):
    """The idempotency key was used with another body."""

    code = "idempotency_conflict"


class NotCancellable(Conflict):
    """The job is over."""

    code = "not_cancellable"


class NotRetryable(Conflict):
    """The job is not over yet."""

    code = "not_retryable"


class NotDeletable(Conflict):
    """The job is not over yet."""

    code = "not_deletable"


class EventsGone(SparkError):
    """Events after this sequence number are no longer kept; read the jobs and go on from now."""

    code = "events_gone"


class TryAgain(SparkError):
    """Not now. ``retry_after`` is the time in seconds after which it makes sense to ask again."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(TryAgain):
    """The queue has no room for this submission; ``free`` is the number of jobs that would still fit."""

    code = "queue_full"

    def __init__(self, message: str, *, free: int, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)
        self.free = free


class StoreUnavailable(TryAgain):
    """The store can't write now (disk full, or closed)."""

    code = "store_unavailable"


class TooManySearches(TryAgain):
    """So many searches through logs wait for their turn that this one is not taken."""

    code = "too_many_searches"


class Draining(TryAgain):
    """The server is about to stop and takes no new work."""

    code = "draining"


class SettingError(SparkError):
    """A setting is unknown, has a wrong value, or does not go together with another; ``setting`` is its name."""

    code = "invalid_setting"

    def __init__(self, message: str, *, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


class MissingExtra(SettingError, ImportError):
    """Something needs packages that are not installed; the message names the extra that has them."""

    code = "missing_extra"


class DataDirError(SparkError):
    """The data folder can't be used."""

    code = "data_dir"


class DataDirInUse(DataDirError):
    """Another process holds the data folder."""

    code = "data_dir_in_use"


class DataDirNewer(DataDirError):
    """The data folder was written by a newer version."""

    code = "data_dir_newer"


class DataDirForeign(DataDirError):
    """The database in the data folder is not one of Spark's."""

    code = "data_dir_foreign"


class DataDirDamaged(DataDirError):
    """The database in the data folder is damaged."""

    code = "data_dir_damaged"


class DataDirNotWritable(DataDirError):
    """The data folder can't be made or written."""

    code = "data_dir_not_writable"


class ClusterError(SparkError):
    """The cluster said no, or nothing."""

    code = "cluster"


class CredentialsError(ClusterError):
    """There are no usable credentials for the cluster: no kubeconfig, no such context, an exec plugin that fails."""

    code = "cluster_credentials"


class ClusterUnavailable(ClusterError):
    """No answer, or one that says "later". ``retry_after`` is in seconds and null where the cluster named no time."""

    code = "cluster_unavailable"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClusterForbidden(ClusterError):
    """The cluster refused the request (403): the message names the verb and the resource."""

    code = "cluster_forbidden"


class LogUnavailable(ClusterError):
    """The cluster has no log to give for this attempt now; ``gone``: and never will."""

    code = "log_unavailable"

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class SinkUnavailable(SparkError):
    """The place that finished logs are sent to can't take one now: away, full, or not allowed."""

    code = "sink_unavailable"


class IllegalTransition(SparkError):
    """The state table does not allow this change: a fault in Spark, never in the caller's request."""

    code = "illegal_transition"


class ServerUnreachable(SparkError):
    """No Spark server answers at this address."""

    code = "server_unreachable"


class RunnerError(SparkError):
    """A Runner can't do what it was asked to."""


class RunnerMisused(RunnerError, RuntimeError):
    """A Runner is used before its start, after its end, in another event loop or process, or a Task is used twice."""

    code = "runner_misused"


class RunnerFailed(RunnerError):
    """The engine inside the Runner broke down, which is a fault in Spark; ``__cause__`` tells more."""

    code = "runner_failed"
