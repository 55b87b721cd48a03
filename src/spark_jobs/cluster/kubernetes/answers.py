"""What the API's answers mean: pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from spark_jobs.cluster.base import CreateRefused, CreateUnknown
from spark_jobs.cluster.objects import is_quota, refusal_of
from spark_jobs.domain.errors import ClusterError, ClusterForbidden, ClusterUnavailable
from spark_jobs.domain.reasons import Reason

_LONGEST_TEXT = 2000
_QUOTA_RETRY = 5.0
_CONFLICT_RETRY = 1.0
_LONGEST_RETRY_AFTER = 300.0
_AWAY = frozenset({429, 502, 503, 504})
_NEVER = frozenset({400, 405, 413, 415, 422})


class StatusDetails(msgspec.Struct, frozen=True):
    """What an error is about."""

    name: str | None = None
    kind: str | None = None


class Status(msgspec.Struct, frozen=True):
    """Kubernetes' own error object."""

    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: StatusDetails | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer, whole. ``retry_after`` is in seconds."""

    code: int
    body: bytes
    what: str
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.code < 300

    @property
    def status(self) -> Status:
        """The error object in the body; for a body that is none, its text."""
        try:
            status = _status.decode(self.body)
        except msgspec.DecodeError:
            status = Status()
        if status.message:
            return status
        text = self.body.decode(errors="replace").strip()
        return Status(message=text[:_LONGEST_TEXT] or "no explanation", reason=status.reason, code=self.code)

    @property
    def message(self) -> str:
        """The cluster's own words."""
        return (self.status.message or "")[:_LONGEST_TEXT]

    def error(self) -> ClusterError:
        """The error of our tree for an answer that is no success."""
        if self.code == 401:
            # It is the same for every request, and passes when they are renewed: as if the cluster were away.
            return ClusterUnavailable(
                f"the cluster does not accept the credentials ({self.what}: {self.message}); "
                "renew them, or name others with --kubeconfig or --context"
            )
        if self.code == 403:
            return ClusterForbidden(
                f"the cluster refuses to {self.what}: {self.message}; `spark doctor` lists the permissions that are needed"
            )
        return ClusterUnavailable(
            f"the cluster answered {self.code} to {self.what}: {self.message}", retry_after=self.retry_after
        )


_status = msgspec.json.Decoder(Status)


def decode_status(data: bytes | msgspec.Raw) -> Status:
    """A Status object as it stands in an answer or a watch; raises msgspec.DecodeError."""
    return _status.decode(data)


def create_failure(answer: Answer) -> CreateRefused | CreateUnknown:
    """What an answer to a create means that is neither success nor "exists already"."""
    message = answer.message
    if answer.code == 404:
        return CreateRefused(reason=Reason.NAMESPACE_NOT_FOUND, message=message)
    if answer.code == 403:
        return _forbidden(answer)
    if answer.code in _NEVER or _refused_for_good(message):
        return CreateRefused(reason=Reason.ADMISSION_DENIED, message=message)
    if answer.code == 409:
        return CreateUnknown(message=message, retry_after=answer.retry_after or _CONFLICT_RETRY, everywhere=False)
    # A refused account (401) is the same for every job: they wait until somebody renews it.
    everywhere = answer.code in _AWAY or answer.code == 401
    return CreateUnknown(
        message=f"the cluster answered {answer.code}: {message}",
        reason=Reason.FORBIDDEN if answer.code == 401 else None,
        retry_after=answer.retry_after,
        everywhere=everywhere,
    )


def _forbidden(answer: Answer) -> CreateRefused | CreateUnknown:
    """403 is the answer of access rules, of quotas, of a namespace that goes away, and of admission."""
    message = answer.message
    if is_quota(message):
        # A quota on Jobs (not on pods) passes when others end, so it is waited for like one on pods.
        wait = answer.retry_after or _QUOTA_RETRY
        return CreateUnknown(message=message, reason=Reason.QUOTA_EXCEEDED, retry_after=wait, everywhere=False)
    if "because it is being terminated" in message:
        return CreateRefused(reason=Reason.NAMESPACE_NOT_FOUND, message=message)
    if "cannot create resource" in message:
        return CreateRefused(reason=Reason.FORBIDDEN, message=message)
    return CreateRefused(reason=refusal_of(message).reason, message=message)


def _refused_for_good(message: str) -> bool:
    """What a webhook denies, and what etcd can't hold, comes with any code; the same would be said the next time."""
    denied = "admission webhook" in message and "denied the request" in message
    return denied or "request is too large" in message


def retry_after(value: str | None, now: datetime) -> float | None:
    """The header in seconds, or null; it holds a number or a date."""
    if value is None:
        return None
    if value.strip().isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER)
    date = http_date(value)
    return None if date is None else min(max(0.0, (date - now).total_seconds()), _LONGEST_RETRY_AFTER)


def http_date(value: str | None) -> datetime | None:
    """A date of HTTP, or null if it is none."""
    try:
        date = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
