"""What `spark describe` says of an attempt."""

from __future__ import annotations

from datetime import UTC, datetime

from spark_jobs.cli.describe import description
from spark_jobs.domain.job import Attempt, Job, PodEvent, Timings
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def described(attempt: Attempt) -> list[str]:
    job = Job(id="train", state=JobState.STARTING, created_at=NOW, spec=JobSpec(image="busybox:1"), attempts=[attempt])
    return description(job, NOW).splitlines()


def test_the_stretches_of_an_attempt_that_are_over_are_told_in_their_order() -> None:
    lines = described(
        Attempt(attempt=1, state=JobState.STARTING, cluster="fake", timings=Timings(queued=2.04, starting=0.25))
    )
    [took] = [line for line in lines if line.startswith("  Took:")]
    assert took.split(":", 1)[1].strip() == "queued 2.0 s, starting 0.2 s"


def test_the_last_events_of_the_pod_are_shown_and_can_not_move_the_cursor() -> None:
    noted = PodEvent(time=NOW, type="Warning", reason="FailedMount", message="no\x1b[2J secret", count=5)
    lines = described(Attempt(attempt=1, state=JobState.STARTING, cluster="fake", events=[noted]))
    at = lines.index("  Last events of the pod:")
    assert lines[at + 1] == "    2026-01-02T03:04:05Z Warning FailedMount (seen 5 times): no\\x1b[2J secret"


def test_an_attempt_without_events_has_no_empty_heading() -> None:
    assert not any("events" in line for line in described(Attempt(attempt=1, state=JobState.STARTING, cluster="fake")))
