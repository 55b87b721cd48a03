"""An attempt whose container does not run yet: what it waits for, and when waiting is of no use any more. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from spark_jobs.cluster.base import Observation, Waiting
from spark_jobs.domain.attempt import AttemptChanges, AttemptRecord, Phase, StopCause
from spark_jobs.domain.job import Activity, PodEvent
from spark_jobs.domain.reasons import NOT_READ_YET, Reason
from spark_jobs.domain.spec import limit_seconds
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.engine.steps import Memo, Note, Step, Stop, Wait, earliest, seconds

# The kubelet's words for a pull that fails. It shows two or three of them in turn, so the end is called by one.
_IMAGE = frozenset(
    {
        Reason.ERR_IMAGE_PULL,
        Reason.IMAGE_PULL_BACK_OFF,
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    }
)
_NO_IMAGE = frozenset({Reason.INVALID_IMAGE_NAME, Reason.ERR_IMAGE_NEVER_PULL})
_HOPELESS = _NO_IMAGE | {Reason.CREATE_CONTAINER_CONFIG_ERROR, Reason.CREATE_CONTAINER_ERROR, Reason.START_ERROR}
_BENIGN = frozenset({"ContainerCreating", "PodInitializing", None})
_REFUSED_BY_NODE = frozenset({Reason.CREATE_CONTAINER_CONFIG_ERROR, Reason.CREATE_CONTAINER_ERROR})
# A node with much to do, or one that was just started, fails like this, and succeeds the next time.
_PASSING = (
    *("context deadline exceeded", "is reserved for", "connection refused", "unavailable", "timed out"),
    *("i/o timeout", "handshake timeout", *NOT_READ_YET),
)
_ONLY_IN_EVENTS = {
    "FailedMount": Reason.FAILED_MOUNT,
    "FailedAttachVolume": Reason.FAILED_MOUNT,
    "FailedMapVolume": Reason.FAILED_MOUNT,
    "FailedCreatePodSandBox": Reason.FAILED_SANDBOX,
}
_GONE_ON = frozenset({"Pulling", "Pulled", "Created", "Started"})
_SHOWN_AFTER = seconds(0.5)
_ASKED_BEFORE = seconds(1)  # the limit, so that it does not have to wait for the answer
_MAY_BE_SAID = seconds(2)  # after the create
_OVERDUE_AT_MOST = seconds(2)


class _For(NamedTuple):
    """What is waited for: the activity, the reason by one of our words and the cluster's sentence. ``patience``: seconds
    for which to bear with it, null where it may pass at any time."""

    activity: Activity
    reason: str | None = None
    message: str | None = None
    patience: float | None = None


def wait(record: AttemptRecord, seen: Observation, memo: Memo, now: datetime, rules: EngineSettings) -> Step:
    """Say what it waits for, and end what waits in vain.

    While the view is not current nothing is concluded: it may be running, and no limit counts against it.
    """
    if not seen.current:
        return Wait()
    what = _what_for(record, seen, memo, rules)
    if memo.waiting != (what.activity, what.reason):
        memo.waiting, memo.waiting_since = (what.activity, what.reason), now
    memo.trouble_since = (memo.trouble_since or now) if what.patience is not None else None
    start_limit = _start_limit(record, memo)
    if start_limit is not None and now >= start_limit:
        answer_by = _answer_by(what, seen, memo, now)
        return _too_long(record, what) if answer_by is None or now >= answer_by else Wait(answer_by)
    give_up = None
    if what.patience is not None and memo.trouble_since is not None:
        give_up = memo.trouble_since + seconds(what.patience)
        if now >= give_up:
            return Stop(cause=StopCause.CANNOT_START, reason=_final(what.reason), message=what.message)
    name, node = (seen.pod.name, seen.pod.node) if seen.pod else (record.pod, record.node)
    if (record.activity, record.reason, record.pod, record.node) == (what.activity, what.reason, name, node):
        return Wait(earliest(start_limit, give_up))
    # A wait is written down once it lasts: most are over before anybody could read of them.
    assert memo.waiting_since is not None
    shown_at = memo.waiting_since + _SHOWN_AFTER
    if now < shown_at:
        return Wait(earliest(shown_at, start_limit, give_up))
    changes = AttemptChanges(activity=what.activity, reason=what.reason, message=what.message, pod=name, node=node)
    return Note(msgspec.structs.replace(changes, placed_at=memo.placed_at or record.placed_at))


def not_created(record: AttemptRecord, memo: Memo, now: datetime) -> Step:
    """Its create is still to be answered: the start limit counts where the cluster answers, and refuses."""
    start_limit = _start_limit(record, memo)
    if start_limit is None or not memo.refused:
        return Wait()
    if now < start_limit:
        return Wait(start_limit)
    return _too_long(record, _For(record.activity, record.reason, record.message))


def should_ask(record: AttemptRecord, memo: Memo, now: datetime) -> bool:
    """Whether the cluster has to be asked once more why it does not start: it is about to be given up without a cause."""
    if memo.asked_why or record.phase is not Phase.CREATED or record.reason is not None:
        return False
    start_limit = _start_limit(record, memo)
    if start_limit is None or record.cancel_requested_at is not None:
        return False
    return now >= max(start_limit - _ASKED_BEFORE, (memo.made_at or record.claimed_at) + _MAY_BE_SAID)


def _answer_by(what: _For, seen: Observation, memo: Memo, now: datetime) -> datetime | None:
    """Until when the end at the start limit waits for the cluster's last word on the cause; null where there is none to
    be had: it is known, or the pod is held by ourselves."""
    if what.reason is not None or memo.asked_why or (seen.pod is not None and seen.pod.held):
        return None
    memo.overdue_since = memo.overdue_since or now
    return memo.overdue_since + _OVERDUE_AT_MOST


def _too_long(record: AttemptRecord, what: _For) -> Stop:
    text = f"the container did not start within {limit_seconds(record.spec.start_timeout):g} s"
    return Stop(
        cause=StopCause.START_LIMIT,
        reason=_final(what.reason) or Reason.START_TIMEOUT,
        message=what.message or f"{text}{_last_word(record, what)}",
    )


def _last_word(record: AttemptRecord, what: _For) -> str:
    """What is known of a wait that the cluster gave no reason for."""
    if record.events and record.events[-1].message:
        return f"; the last event of its pod is {record.events[-1].reason}: {record.events[-1].message}"
    return "; the cluster made no pod for it" if what.activity is Activity.SCHEDULING and record.pod is None else ""


def _what_for(record: AttemptRecord, seen: Observation, memo: Memo, rules: EngineSettings) -> _For:
    pod = seen.pod
    if pod is None:
        refusal = seen.refusal
        return _For(Activity.SCHEDULING, refusal.reason, refusal.message) if refusal else _For(Activity.SCHEDULING)
    if memo.held_back is not None and pod.held:
        return _For(Activity.SCHEDULING, Reason.FORBIDDEN, memo.held_back)
    if not pod.scheduled:
        return _For(Activity.SCHEDULING, Reason.UNSCHEDULABLE if pod.unschedulable else None, pod.unschedulable)
    if isinstance(pod.container, Waiting) and pod.container.reason not in _BENIGN:
        return _not_startable(pod.container.reason, pod.container.message, rules)
    if (trouble := _trouble(record.events)) is not None:
        return _For(Activity.CREATING, _ONLY_IN_EVENTS[trouble.reason or ""], trouble.message)
    return _For(Activity.PULLING)


def _not_startable(word: str | None, text: str | None, rules: EngineSettings) -> _For:
    """The node says why it can't start the container; a word of its that is not one of ours goes into the message."""
    if word in (Reason.ERR_IMAGE_PULL, Reason.IMAGE_PULL_BACK_OFF):
        return _For(Activity.PULLING, word, text, rules.image_grace)
    if word in _HOPELESS:
        passes = word in _REFUSED_BY_NODE and any(each in (text or "") for each in _PASSING)
        doing = Activity.PULLING if word in _NO_IMAGE else Activity.CREATING
        return _For(doing, word, text, rules.image_grace if passes else rules.soon)
    text = f"{word}: {text}" if text else word
    if word in _IMAGE:
        return _For(Activity.PULLING, Reason.ERR_IMAGE_PULL, text, rules.image_grace)
    return _For(Activity.CREATING, Reason.CREATE_CONTAINER_ERROR, text)


def _trouble(events: list[PodEvent]) -> PodEvent | None:
    """The event that says what the container's status does not: a volume or a network that is not there, unless a later
    one shows that the node has gone on."""
    for event in reversed(events):
        if event.reason in _GONE_ON:
            return None
        if event.type == "Warning" and event.reason in _ONLY_IN_EVENTS:
            return event
    return None


def _final(reason: str | None) -> str | None:
    return Reason.IMAGE_PULL_BACK_OFF if reason in _IMAGE else reason


def _start_limit(record: AttemptRecord, memo: Memo) -> datetime | None:
    """When it must have started. How long the cluster did not answer to its create does not count against it."""
    limit = limit_seconds(record.spec.start_timeout)
    return None if limit is None else (memo.made_at or record.claimed_at) + seconds(limit)
