"""Specs, jobs, events and the queue as messages of the gRPC interface, and back. Server and client share it.

A message has the names of the JSON it stands for, so most of it is turned over field by field; what differs is below.
Errors of a spec keep the JSON pointers of REST (``#/env/PORT``).
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, MutableSequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.domain.spec import NO_LIMIT, EmptyDir, JobSpec, KeyRef
from spark_jobs.domain.state import JobState

if TYPE_CHECKING:
    from spark_jobs.service import QueueView

_LIMITS = ("timeout", "start_timeout", "queue_timeout")
_STATE = "JOB_STATE_"
_UNSPECIFIED = 0

_T = TypeVar("_T")


def spec_plain(message: pb.JobSpec) -> dict[str, object]:
    """The spec as plain objects, as JSON would give them: what :func:`spark_jobs.domain.parse.parse_spec` takes."""
    plain = _plain(message)
    # A list that is left out and an empty one are the same in a message; both mean the image's own words.
    return {**plain, "command": plain["command"] or None, "args": plain["args"] or None}


def spec_message(spec: JobSpec) -> pb.JobSpec:
    """The spec as a message; what is null in it is unset."""
    fields = _fields(spec)
    fields |= {name: _limit_message(getattr(spec, name)) for name in _LIMITS}
    fields["env"] = {name: _env_message(value) for name, value in spec.env.items()}
    fields["retry_on"] = None if spec.retry_on is None else pb.RetryOn(reasons=spec.retry_on)
    return pb.JobSpec(**fields)


def job_message(job: Job) -> pb.Job:
    """The whole job."""
    return pb.Job(**_fields(job))


def listed_message(job: Job) -> pb.Job:
    """A job as lists and events show it: no attempts, no env, no position."""
    spec = msgspec.structs.replace(job.spec, env={})
    return job_message(msgspec.structs.replace(job, attempts=[], position=None, spec=spec))


def job_of(message: pb.Job) -> Job:
    """The job that a server sent. Raises msgspec.ValidationError for what is no job of this version."""
    return msgspec.convert(_plain(message), Job)


def event_message(event: JobEvent) -> pb.JobEvent:
    """The event, with the job as lists show it."""
    fields = _fields(event) | {"job": listed_message(event.job)}
    # `from` is no name that Python takes as an argument.
    return pb.JobEvent(**{"from": fields.pop("source"), "to": fields.pop("target"), **fields})


def event_of(message: pb.JobEvent) -> JobEvent:
    """The event that a server sent. Raises msgspec.ValidationError for what is no event of this version."""
    return msgspec.convert(_plain(message), JobEvent)


def queue_message(view: QueueView) -> pb.Queue:
    """The queue and what waits in it."""
    return pb.Queue(**_fields(view))


def queue_of(message: pb.Queue, kind: type[_T]) -> _T:
    """The queue as the client shows it (``QueueStatus``), which knows the same names."""
    return msgspec.convert(_plain(message), kind)


def found_message(found: LogMatch | SearchProgress) -> pb.SearchLogsResponse:
    """What a search found, or how far it is."""
    return pb.SearchLogsResponse(**{"match" if isinstance(found, LogMatch) else "progress": _out(found)})


def found_of(message: pb.SearchLogsResponse) -> LogMatch | SearchProgress | None:
    """What a server found; null for what this version does not know. Raises msgspec.ValidationError as :func:`event_of`."""
    match message.WhichOneof("item"):
        case "match":
            return msgspec.convert(_plain(message.match), LogMatch)
        case "progress":
            return msgspec.convert(_plain(message.progress), SearchProgress)
    return None


def state_message(state: JobState) -> int:
    """The state's number."""
    return pb.JobState.Value(f"{_STATE}{state}")


def state_of(value: int, pointer: str = "#/state") -> JobState:
    """The state of this number.

    Raises:
        InvalidSpec: there is none, which is said of the field at ``pointer``.
    """
    if value == _UNSPECIFIED or value not in pb.JobState.values():
        known = ", ".join(f"{state_message(state)} ({state})" for state in JobState)
        raise InvalidSpec([Fault(pointer, f"there is no state {value}; known: {known}", "unknown_state")])
    return JobState(pb.JobState.Name(value).removeprefix(_STATE))


def _plain(message: Message) -> dict[str, Any]:
    """Every field by name: null where it is unset and a message tells that from its default."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:
    if field.has_presence and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if field.enum_type is not None:
        return None if value == _UNSPECIFIED else state_of(value, f"#/{field.name}")
    if isinstance(value, MutableMapping):
        return {key: _item(value[key]) for key in value}
    if isinstance(value, MutableSequence):
        return [_item(each) for each in value]
    return _item(value)


def _item(value: Any) -> Any:
    if not isinstance(value, Message):
        return value
    reader: Callable[[Any], Any] = _READERS.get(value.__class__, _plain)
    return reader(value)


def _time(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=UTC)


def _limit(limit: pb.Limit) -> object:
    """Seconds, "none", or null where nothing is set; `none: false` stays false, which no limit can be."""
    if limit.WhichOneof("limit") == "none":
        return NO_LIMIT if limit.none else False
    return limit.seconds if limit.HasField("seconds") else None


def _env_value(value: pb.EnvValue) -> object:
    source = value.WhichOneof("source")
    if source in ("secret", "config_map"):
        ref: pb.EnvValue.KeyRef = getattr(value, source)
        return {source: ref.name, "key": ref.key or None}
    if source == "field":
        return {"field": value.field}
    return value.value if source == "value" else None


def _volume(volume: pb.Volume) -> object:
    return {**_plain(volume), "mount": volume.mount or None}


def _toleration(toleration: pb.Toleration) -> object:
    plain = _plain(toleration)
    return {"tolerationSeconds": plain.pop("toleration_seconds"), **plain}


_READERS: dict[type[Message], Callable[[Any], Any]] = {
    Timestamp: _time,
    pb.JobSpec: spec_plain,
    pb.Limit: _limit,
    pb.EnvValue: _env_value,
    pb.RetryOn: lambda retry_on: list(retry_on.reasons),
    pb.Volume: _volume,
    pb.Toleration: _toleration,
}


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    """The fields of a struct as those of the message with the same names; null ones stay unset."""
    return {name: _out(getattr(struct, name)) for name in struct.__struct_fields__}


def _out(value: Any) -> Any:
    match value:
        case JobState():
            return state_message(value)
        case datetime():
            time = Timestamp()
            time.FromDatetime(value)
            return time
        case JobSpec():
            return spec_message(value)
        case EmptyDir():
            return pb.Volume.EmptyDir(**_fields(value))
        case msgspec.Struct():
            # Parts of specs, jobs and the queue are called the same here and there.
            return getattr(pb, type(value).__name__)(**_fields(value))
        case list() | tuple():
            return [_out(each) for each in value]
    return value


def _limit_message(limit: float | str | None) -> pb.Limit | None:
    if limit is None:
        return None
    return pb.Limit(none=True) if limit == NO_LIMIT else pb.Limit(seconds=float(limit))


def _env_message(value: str | KeyRef) -> pb.EnvValue:
    if isinstance(value, str):
        return pb.EnvValue(value=value)
    if value.field is not None:
        return pb.EnvValue(field=value.field)
    if value.secret is not None:
        return pb.EnvValue(secret=pb.EnvValue.KeyRef(name=value.secret, key=value.key))
    return pb.EnvValue(config_map=pb.EnvValue.KeyRef(name=value.config_map, key=value.key))
