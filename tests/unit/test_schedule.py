"""When a job gets another attempt by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from spark_jobs.domain.attempt import Outcome
from spark_jobs.domain.schedule import next_attempt_at
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import Cause, JobState
from tests.engine.records import record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILED = Outcome(state=JobState.FAILED, cause=Cause.CONTAINER_ENDED, reason="NonZeroExit", exit_code=75)


LOST = Outcome(state=JobState.FAILED, cause=Cause.LOST, reason="Evicted")


def wait(
    spec: JobSpec, attempts: int = 1, outcome: Outcome = FAILED, jitter: float = 1.0, **more: object
) -> float | None:
    of = msgspec.structs.replace(record(), spec=spec, attempt=attempts, **more)
    at = next_attempt_at(of, outcome, NOW, jitter=jitter)
    return None if at is None else (at - NOW) / timedelta(seconds=1)


def spec(**fields: object) -> JobSpec:
    return JobSpec(image="busybox:1", **fields)  # type: ignore[arg-type]  # the tests give what the fields take


def test_without_retries_a_program_is_never_started_twice() -> None:
    assert wait(spec()) is None


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.CANCELLED, JobState.TIMED_OUT])
def test_only_a_failure_is_tried_again(state: JobState) -> None:
    assert wait(spec(retries=3), outcome=Outcome(state=state, cause=Cause.CONTAINER_ENDED)) is None


def test_the_wait_doubles_up_to_an_hour_and_is_spread_over_its_last_half() -> None:
    assert [wait(spec(retries=99, backoff=10), attempts) for attempts in (1, 2, 3, 20)] == [10, 20, 40, 3600]
    assert wait(spec(retries=1, backoff=10), jitter=0.0) == 5
    assert wait(spec(retries=1, backoff=0)) == 0
    assert wait(spec(retries=1)) == 10


def test_retries_are_bounded() -> None:
    assert wait(spec(retries=2), attempts=2) is not None
    assert wait(spec(retries=2), attempts=3) is None


def test_failures_of_the_program_and_losses_to_the_cluster_are_counted_apart() -> None:
    twice = spec(retries=2, backoff=10)
    assert wait(twice, attempts=3, losses=1) == 20, "the second failure of the program, after one loss"
    assert wait(twice, attempts=3, losses=0) is None
    assert wait(twice, attempts=3, losses=1, outcome=LOST) == 20, "the second loss, after one failure"
    assert wait(twice, attempts=5, losses=2, outcome=LOST) is None
    assert wait(twice, attempts=5, losses=2) is None
    assert wait(spec(), outcome=LOST) is None, "without retries a program is never started twice"


def test_there_is_never_a_second_container_while_the_first_may_run() -> None:
    alive = Outcome(state=JobState.FAILED, cause=Cause.LOST, reason="NodeLost", may_still_run=True)
    assert wait(spec(retries=9), outcome=alive) is None
    gone = Outcome(state=JobState.FAILED, cause=Cause.LOST, reason="Lost")
    assert wait(spec(retries=9, backoff=1), outcome=gone, running_at=NOW) == 30, "it may take its whole grace to end"
    assert wait(spec(retries=9, backoff=1), outcome=gone, running_at=NOW, finished_at=NOW) == 1


def test_a_cancelled_job_gets_no_other_attempt() -> None:
    assert wait(spec(retries=9), cancel_requested_at=NOW) is None


def test_retry_on_lists_what_is_worth_another_try() -> None:
    assert wait(spec(retries=1, retry_on=["Evicted"])) is None
    assert wait(spec(retries=1, retry_on=["NonZeroExit"])) is not None
    assert wait(spec(retries=1, retry_on=["exit:75"])) is not None
    assert wait(spec(retries=1, retry_on=["exit:7"])) is None
