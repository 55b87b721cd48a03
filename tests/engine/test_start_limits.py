"""An attempt that is about to be given up for its start limit: what it waited for is asked for once more before."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spark_jobs.cluster.base import AttemptRef, JobSeen, Observation, Refusal, Waiting
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.attempt import AttemptRecord, Phase, StopCause
from spark_jobs.domain.job import PodEvent
from spark_jobs.domain.state import JobState
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.engine.steps import Memo, Step, Stop, Wait
from spark_jobs.engine.waiting import should_ask, wait
from tests.engine.bench import bench
from tests.engine.records import after, pod, record, shows

PODLESS = shows(None)
LIMIT = 600.0
UNSAID = Stop(
    cause=StopCause.START_LIMIT,
    reason="StartTimeout",
    message="the container did not start within 600 s; the cluster made no pod for it",
)


def step(seen: Observation, at: float, memo: Memo | None = None) -> Step:
    return wait(record(), seen, memo or Memo(), after(at), EngineSettings())


def test_the_end_waits_for_the_last_answer_and_no_longer_than_two_seconds() -> None:
    memo = Memo()
    assert step(PODLESS, LIMIT, memo) == Wait(after(LIMIT + 2))
    assert step(PODLESS, LIMIT + 1, memo) == Wait(after(LIMIT + 2)), "asked again, it does not begin anew"
    assert step(PODLESS, LIMIT + 2, memo) == UNSAID


def test_after_a_restart_the_last_answer_is_waited_for_as_long() -> None:
    memo = Memo()
    assert step(PODLESS, LIMIT + 900, memo) == Wait(after(LIMIT + 902))
    assert step(PODLESS, LIMIT + 902, memo) == UNSAID


def test_an_answer_that_is_there_ends_it_at_its_limit() -> None:
    assert step(PODLESS, LIMIT, Memo(asked_why=True)) == UNSAID
    refused = Observation(current=True, job=JobSeen(uid="u1"), refusal=Refusal(reason="QuotaExceeded", message="used"))
    assert step(refused, LIMIT) == Stop(cause=StopCause.START_LIMIT, reason="QuotaExceeded", message="used")
    unplaced = pod(Waiting(), scheduled=False, unschedulable="0/1 nodes are available")
    assert isinstance(step(shows(unplaced), LIMIT), Stop)


def test_a_pod_that_is_held_by_us_is_not_let_go_after_its_limit() -> None:
    held = pod(Waiting(), held=True, scheduled=False, node=None)
    assert isinstance(step(shows(held), LIMIT), Stop)


@pytest.mark.parametrize(
    ("changes", "memo", "at", "asked"),
    [
        pytest.param({}, Memo(), LIMIT - 1.1, False, id="not yet"),
        pytest.param({}, Memo(), LIMIT - 1, True, id="a second before its limit"),
        pytest.param({}, Memo(), LIMIT + 900, True, id="long after it, as after a restart"),
        pytest.param({}, Memo(made_at=after(60)), LIMIT, False, id="its limit counts from the answer to the create"),
        pytest.param({}, Memo(asked_why=True), LIMIT, False, id="once"),
        pytest.param({"reason": "Unschedulable"}, Memo(), LIMIT, False, id="known"),
        pytest.param({"cancel_requested_at": after(5)}, Memo(), LIMIT, False, id="it ends anyway"),
        pytest.param({"phase": Phase.RUNNING}, Memo(), LIMIT, False, id="it runs"),
    ],
)
def test_the_cluster_is_asked_once_shortly_before_the_limit(
    changes: dict[str, object], memo: Memo, at: float, asked: bool
) -> None:
    assert should_ask(msgspec.structs.replace(record(), **changes), memo, after(at)) is asked


def short(seconds: float | str) -> AttemptRecord:
    return record(spec=msgspec.structs.replace(record().spec, start_timeout=seconds))


def test_with_a_short_limit_the_cluster_has_had_the_time_to_say_something() -> None:
    assert not should_ask(short(1.0), Memo(), after(1.9))
    assert should_ask(short(1.0), Memo(), after(2))
    assert not should_ask(short("none"), Memo(), after(6000))


async def test_a_pods_last_event_is_known_when_it_is_given_up(tmp_path: Path) -> None:
    """Before the third second nobody asks for events, unless the limit comes earlier."""
    noted = PodEvent(type="Warning", reason="FailedMount", message='secret "s" not found')
    cluster = FakeCluster(lambda _spec: Script(pending=None, events=(noted,)))
    async with bench(tmp_path, cluster) as on:
        job = await on.ends(await on.submit(start_timeout=2))
        assert (job.state, job.reason, job.message) == (JobState.FAILED, "FailedMount", noted.message)


class Podless(FakeCluster):
    """Makes no pods, and says why when it is looked at. ``looks``: whose look it was."""

    def __init__(self) -> None:
        super().__init__(lambda _spec: Script(pod_after=1000))
        self.looks: list[str] = []
        self._refusal: Refusal | None = None

    async def look(self, ref: AttemptRef) -> Observation:
        """As a cluster that has an event for every Job of the namespace."""
        self.looks.append(ref.claim)
        self._refusal = Refusal(reason="QuotaExceeded", message="exceeded quota")
        return await super().look(ref)

    def observe(self, ref: AttemptRef) -> Observation:
        """With what is known of the refusal."""
        seen = super().observe(ref)
        return seen if seen.job is None else msgspec.structs.replace(seen, refusal=self._refusal)


async def test_one_look_tells_of_all_that_are_about_to_be_given_up(tmp_path: Path) -> None:
    cluster = Podless()
    async with bench(tmp_path, cluster, slots=20) as on:
        ids = [await on.submit(start_timeout=2) for _ in range(10)]
        jobs = [await on.ends(job_id) for job_id in ids]
        assert {(job.state, job.reason, job.message) for job in jobs} == {
            (JobState.FAILED, "QuotaExceeded", "exceeded quota")
        }
        assert len(cluster.looks) <= 3, "bounded by time, not by jobs"
