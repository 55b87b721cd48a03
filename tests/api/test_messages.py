"""Specs, jobs and events as messages of the gRPC interface: round trips, and what a message can say that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.api import messages
from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.client.views import QueueStatus
from spark_jobs.domain.errors import InvalidSpec
from spark_jobs.domain.job import Activity, Attempt, Job, JobEvent, LogState, LogSummary
from spark_jobs.domain.parse import parse_spec
from spark_jobs.domain.plain import digest, mask
from spark_jobs.domain.search import FoundLine, LogMatch, SearchProgress
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from spark_jobs.service import QueueView
from tests import specs

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
MAYBE_TIME = st.none() | TIMES
MAYBE_TEXT = st.none() | specs.TEXTS
CODES = st.none() | st.integers(0, 255)
SPECS = specs.VALID.map(parse_spec)
STATES = st.sampled_from(JobState)
SUMMARIES = st.builds(
    LogSummary,
    bytes=st.integers(0, 2**63 - 1),
    lines=st.integers(0, 2**63 - 1),
    state=st.sampled_from(LogState),
    complete=st.booleans(),
    problem=MAYBE_TEXT,
)
ATTEMPTS = st.builds(
    Attempt,
    attempt=st.integers(1, 1000),
    state=STATES,
    reason=MAYBE_TEXT,
    exit_code=CODES,
    result=MAYBE_TEXT,
    cluster=specs.NAMES,
    namespace=MAYBE_TEXT,
    pod=MAYBE_TEXT,
    claimed_at=MAYBE_TIME,
    finished_at=MAYBE_TIME,
    log=SUMMARIES,
)
JOBS = st.builds(
    Job,
    id=specs.NAMES,
    state=STATES,
    reason=MAYBE_TEXT,
    message=MAYBE_TEXT,
    exit_code=CODES,
    activity=st.none() | st.sampled_from(Activity),
    position=st.none() | st.integers(1, 10**9),
    estimated_start_at=MAYBE_TIME,
    not_before=MAYBE_TIME,
    created_at=TIMES,
    started_at=MAYBE_TIME,
    spec=SPECS.map(lambda spec: _same_lists(mask(spec))),
    attempts=st.lists(ATTEMPTS, max_size=2),
)

POSITIONS = st.integers(0, 2**63 - 1)
LINES = st.builds(
    FoundLine,
    line=POSITIONS,
    offset=POSITIONS,
    time=MAYBE_TEXT,
    text=MAYBE_TEXT,
    bytes=st.none() | st.binary(max_size=9),
    cut=st.booleans(),
)
FOUND = st.builds(
    LogMatch,
    job_id=specs.NAMES,
    attempt=st.integers(1, 1000),
    found=LINES,
    name=MAYBE_TEXT,
    before=st.lists(LINES, max_size=2),
    after=st.lists(LINES, max_size=2),
) | st.builds(
    SearchProgress,
    logs=POSITIONS,
    bytes=POSITIONS,
    matches=POSITIONS,
    complete=st.booleans(),
    problems=st.lists(specs.TEXTS, max_size=2),
)


def _same_lists(spec: JobSpec) -> JobSpec:
    """A message can't tell an empty command from none; they mean the same, and have the same digest."""
    return msgspec.structs.replace(spec, command=spec.command or None, args=spec.args or None)


def faults(message: pb.JobSpec) -> dict[str, str]:
    """Pointers and codes of what is wrong with a spec."""
    with pytest.raises(InvalidSpec) as raised:
        parse_spec(messages.spec_plain(message))
    return {fault.pointer: fault.code for fault in raised.value.faults}


@given(SPECS)
def test_a_spec_survives(spec: JobSpec) -> None:
    sent = pb.JobSpec.FromString(messages.spec_message(spec).SerializeToString())
    again = parse_spec(messages.spec_plain(sent))
    assert again == _same_lists(spec)
    assert digest(again) == digest(spec)


@given(JOBS)
def test_a_job_survives_with_its_masked_values(job: Job) -> None:
    sent = pb.Job.FromString(messages.job_message(job).SerializeToString())
    assert messages.job_of(sent) == job


@given(JOBS, st.none() | STATES)
def test_an_event_survives_and_shows_no_env(job: Job, source: JobState | None) -> None:
    event = JobEvent(
        seq=7, time=job.created_at, job_id=job.id, attempt=None, source=source, target=job.state, reason=None, job=job
    )
    again = messages.event_of(pb.JobEvent.FromString(messages.event_message(event).SerializeToString()))
    assert (again.source, again.target, again.seq, again.attempt) == (source, job.state, 7, None)
    assert again.job == messages.job_of(messages.listed_message(job))
    assert (again.job.spec.env, again.job.attempts, again.job.position) == ({}, [], None)


@given(FOUND)
def test_what_a_search_finds_survives_as_a_message_and_as_json(found: LogMatch | SearchProgress) -> None:
    sent = pb.SearchLogsResponse.FromString(messages.found_message(found).SerializeToString())
    assert messages.found_of(sent) == found
    assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
    assert messages.found_of(pb.SearchLogsResponse()) is None


def test_every_field_has_its_message_field() -> None:
    of_jobs = ((JobSpec, pb.JobSpec), (Job, pb.Job), (Attempt, pb.Attempt), (LogSummary, pb.LogSummary))
    of_searches = ((FoundLine, pb.FoundLine), (LogMatch, pb.LogMatch), (SearchProgress, pb.SearchProgress))
    for struct, message in (*of_jobs, *of_searches):
        assert set(struct.__struct_fields__) == set(message.DESCRIPTOR.fields_by_name)


def test_the_queue_survives() -> None:
    view = QueueView(
        depth=0, backoff=1, capacity=100, running=2, slots=5, oldest_wait=1.5, paused=True, limiter_wait=0.25
    )
    status = messages.queue_of(messages.queue_message(view), QueueStatus)
    assert {name: getattr(status, name) for name in view.__struct_fields__} == msgspec.structs.asdict(view)


def test_what_a_message_can_say_wrong_is_named_as_in_rest() -> None:
    message = pb.JobSpec(
        env={"PORT": pb.EnvValue(), "KEY": pb.EnvValue(secret=pb.EnvValue.KeyRef(name="a"))},
        env_from=[pb.EnvFrom()],
        volumes=[pb.Volume(pvc="data"), pb.Volume(mount="/a", pvc="a", sub_path="../b")],
        timeout=pb.Limit(seconds=-5),
        start_timeout=pb.Limit(none=False),
        queue_timeout=pb.Limit(seconds=float("nan")),
        retries=-1,
        tolerations=[pb.Toleration(operator="Exists", effect="NoExecute", toleration_seconds=-1)],
        run_as_user=2**40,
    )
    assert faults(message) == {
        "#/image": "required",
        "#/env/PORT": "wrong_type",
        "#/env/KEY/key": "required",
        "#/env_from/0": "required",
        "#/volumes/0/mount": "required",
        "#/volumes/1/sub_path": "invalid_value",
        "#/timeout": "invalid_value",
        "#/start_timeout": "wrong_type",
        "#/queue_timeout": "invalid_value",
        "#/retries": "out_of_range",
        "#/tolerations/0/tolerationSeconds": "out_of_range",
        "#/run_as_user": "out_of_range",
    }


def test_an_unset_limit_is_left_to_the_installation() -> None:
    plain: dict[str, Any] = messages.spec_plain(pb.JobSpec(image="a", timeout=pb.Limit()))
    assert parse_spec(plain).timeout is None


@pytest.mark.parametrize("number", [0, 8, -1])
def test_an_unknown_state_names_its_field(number: int) -> None:
    with pytest.raises(InvalidSpec) as raised:
        messages.state_of(number, "#/states/1")
    [fault] = raised.value.faults
    assert (fault.pointer, fault.code) == ("#/states/1", "unknown_state")
    assert "(TIMED_OUT)" in fault.detail


@given(STATES)
def test_every_state_has_a_number(state: JobState) -> None:
    assert messages.state_of(messages.state_message(state)) is state
