"""That the checks of a chaos run see each kind of fault: one healthy run, and one thing wrong at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from spark_jobs.cluster import marks
from spark_jobs.domain.job import Attempt, Job, JobEvent, LogState, LogSummary
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState
from tests.chaos import checks, faults, jobs
from tests.chaos.checks import Seen, violations
from tests.chaos.jobs import SUCCEEDED, Planned
from tests.e2e import kube

AT = datetime(2026, 1, 1, tzinfo=UTC)
IDS = ("a", "b")
LOG = b"begin\n1\nend\n"
Break = Callable[[Seen], Seen]


def thing(job_id: str, version: int, *, pod: bool, phase: str = "Running", **more: Any) -> kube.Object:
    labels = {
        "spark-jobs.dev/job": job_id,
        "spark-jobs.dev/attempt": "1",
        "batch.kubernetes.io/job-name": f"o-{job_id}",
    }
    name = f"p-{job_id}" if pod else f"o-{job_id}"
    metadata = {"name": name, "uid": name, "resourceVersion": str(version), "labels": labels}
    if not pod:
        return {"metadata": {**metadata, **more}}
    statuses = [{"restartCount": 0, "state": {"running": {}} if phase == "Running" else {"terminated": {}}}]
    return {"metadata": {**metadata, **more}, "spec": {}, "status": {"phase": phase, "containerStatuses": statuses}}


def job(job_id: str, **changes: Any) -> Job:
    attempt = Attempt(
        attempt=1,
        state=JobState.SUCCEEDED,
        cluster="kubernetes",
        kubernetes_job=f"o-{job_id}",
        pod=f"p-{job_id}",
        log=LogSummary(state=LogState.COMPLETE, complete=True),
    )
    made = Job(
        id=job_id, state=JobState.SUCCEEDED, exit_code=0, created_at=AT, spec=JobSpec(image="i"), attempts=[attempt]
    )
    return msgspec.structs.replace(made, **changes)


def event(seq: int, job_id: str, source: JobState | None, target: JobState) -> JobEvent:
    return JobEvent(
        seq=seq, time=AT, job_id=job_id, attempt=1, source=source, target=target, reason=None, job=job(job_id)
    )


def healthy() -> Seen:
    """Two jobs, one after the other, in one slot."""
    planned = [
        Planned(kind="succeeds", spec={"id": each}, ends=(SUCCEEDED,), lines=("begin", "1", "end")) for each in IDS
    ]
    told, pods, objects = [], [], []
    for number, each in enumerate(IDS):
        base = 10 * number
        chain = (JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.SUCCEEDED)
        told += [event(base + i, each, chain[i - 1] if i else None, state) for i, state in enumerate(chain)]
        pods += [
            (0.0, "ADDED", thing(each, base + 2, pod=True)),
            (1.0, "MODIFIED", thing(each, base + 5, pod=True, phase="Succeeded")),
        ]
        objects += [(0.0, "ADDED", thing(each, base + 1, pod=False))]
    return Seen(
        planned=planned,
        jobs={each: job(each) for each in IDS},
        logs={(each, 1): LOG for each in IDS},
        told=told,
        pods=pods,
        objects=objects,
        left=[],
        deleted=set(),
        slots=1,
        errors=[],
    )


def but(**changes: Any) -> Break:
    return lambda seen: msgspec.structs.replace(seen, **changes)


def with_job(**changes: Any) -> Break:
    return lambda seen: msgspec.structs.replace(seen, jobs={**seen.jobs, "b": job("b", **changes)})


def with_pod(at: int, pod: kube.Object, kind: str = "ADDED") -> Break:
    return lambda seen: msgspec.structs.replace(seen, pods=[*seen.pods[:at], (0.0, kind, pod), *seen.pods[at:]])


def with_log(text: bytes, state: LogState = LogState.COMPLETE, problem: str | None = None) -> Break:
    def change(seen: Seen) -> Seen:
        attempt = msgspec.structs.replace(job("b").attempts[0], log=LogSummary(state=state, problem=problem))
        changed = with_job(attempts=[attempt])(seen)
        return msgspec.structs.replace(changed, logs={**seen.logs, ("b", 1): text})

    return change


RESTARTED = thing("b", 17, pod=True, phase="Succeeded")
RESTARTED["status"]["containerStatuses"][0] |= {"restartCount": 1, "lastState": {"terminated": {"exitCode": 0}}}
NEVER_RAN = {"exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z"}
SECOND_ATTEMPT = [job("b").attempts[0], msgspec.structs.replace(job("b").attempts[0], attempt=2)]


def test_a_healthy_run_violates_nothing() -> None:
    assert violations(healthy()) == []


@pytest.mark.parametrize(
    ("rule", "damage"),
    [
        (checks.LOST, but(jobs={"a": job("a"), "b": None})),
        (checks.LOST, with_job(state=JobState.RUNNING)),
        (checks.TWICE, with_pod(4, thing("b", 18, pod=True, phase="Succeeded", uid="another"))),
        (checks.TWICE, with_pod(4, RESTARTED, "MODIFIED")),
        (checks.TWICE, with_job(attempts=SECOND_ATTEMPT)),
        (checks.TWICE, with_log(b"begin\n1\nbegin\n1\nend\n", LogState.INCOMPLETE)),
        (checks.TWICE, but(objects=[*healthy().objects, (0.0, "ADDED", thing("b", 19, pod=False, name="another"))])),
        (checks.WRONG_END, with_job(exit_code=1)),
        (checks.WRONG_END, with_job(state=JobState.FAILED, reason="Lost", exit_code=None)),
        (checks.LEFT, but(left=["p-b"])),
        (checks.OVER, with_pod(1, thing("b", 12, pod=True))),
        (checks.CHANGED, but(told=[*healthy().told, event(99, "b", JobState.SUCCEEDED, JobState.FAILED)])),
        (checks.CHANGED, but(told=healthy().told[:-1])),
        (checks.CHANGED, but(told=[*healthy().told[:-1], event(1, "b", JobState.RUNNING, JobState.SUCCEEDED)])),
        (checks.ORDER, but(objects=[*healthy().objects[1:], (0.0, "ADDED", thing("a", 12, pod=False))])),
        (checks.LOG, with_log(b"begin\n1\n")),
        (checks.LOG, with_log(b"begin\n1\n1\nend\n", LogState.UNVERIFIED)),
        (checks.LOG, with_log(LOG, LogState.COLLECTING)),
        (checks.LOG, with_log(LOG, LogState.INCOMPLETE, 'after byte 12: 404: pods "p-b" not found')),
        (checks.ERROR, but(errors=["Traceback"])),
        (checks.SLOW, but(slowest=1.2)),
    ],
)
def test_what_is_wrong_is_seen(rule: str, damage: Break) -> None:
    found = violations(damage(healthy()))
    assert rule in {violation.rule for violation in found}
    assert f"{rule:24}   {sum(each.rule == rule for each in found)}" in checks.table(healthy(), found, {"relay cut": 1})


def test_a_log_that_admits_a_gap_may_have_one() -> None:
    assert violations(with_log(b"begin\nend\n", LogState.INCOMPLETE)(healthy())) == []
    assert violations(with_log(b"begin\n1\ne", LogState.INCOMPLETE)(healthy())) == []


@pytest.mark.parametrize(
    ("cancelled", "started", "rules"),
    [(5, None, []), (5, 5, []), (5, 7, []), (7, 5, [checks.LOG]), (None, 5, [checks.LOG])],
)
def test_a_log_may_go_with_the_pod_of_what_was_cancelled_before_it_ran(
    cancelled: int | None, started: int | None, rules: list[str]
) -> None:
    def at(seconds: int | None) -> datetime | None:
        return None if seconds is None else AT + timedelta(seconds=seconds)

    summary = LogSummary(state=LogState.INCOMPLETE, problem="after byte 0: the pod is gone")
    attempt = msgspec.structs.replace(job("b").attempts[0], log=summary, started_at=at(started))
    seen = with_job(attempts=[attempt], cancel_requested_at=at(cancelled))(healthy())
    assert [
        each.rule for each in violations(msgspec.structs.replace(seen, logs={("a", 1): LOG, ("b", 1): b""}))
    ] == rules


def test_a_job_whose_pod_somebody_deleted_may_have_failed_by_that_and_by_nothing_else() -> None:
    attempts = [msgspec.structs.replace(job("b").attempts[0], log=LogSummary(state=LogState.INCOMPLETE))]
    lost = with_job(state=JobState.FAILED, reason="Lost", exit_code=None, attempts=attempts)(healthy())
    lost = msgspec.structs.replace(
        lost, told=[*lost.told[:-1], event(99, "b", JobState.RUNNING, JobState.FAILED)], deleted={"p-b"}
    )
    assert violations(lost) == []
    other = with_job(state=JobState.FAILED, reason="Evicted", attempts=attempts)(lost)
    assert [each.rule for each in violations(other)] == [checks.WRONG_END]


def test_a_start_that_the_kubelets_end_cut_short_is_told_from_one_that_failed() -> None:
    def failed(reason: str) -> list[str]:
        changed = with_job(state=JobState.FAILED, reason=reason, exit_code=None)(healthy())
        told = [*changed.told[:-1], event(99, "b", JobState.RUNNING, JobState.FAILED)]
        seen = msgspec.structs.replace(changed, told=told, logs={**changed.logs, ("b", 1): b""})
        return [each.rule for each in violations(seen)]

    assert failed("StartInterrupted") == []
    assert failed("StartError") == [checks.WRONG_END]


@pytest.mark.parametrize("before", [{"waiting": {}}, {"terminated": NEVER_RAN}, {}])
def test_a_container_that_was_made_twice_and_began_once_is_no_second_run(before: kube.Object) -> None:
    made_again = thing("b", 17, pod=True, phase="Succeeded")
    made_again["status"]["containerStatuses"][0] |= {"restartCount": 1, "lastState": before}
    assert violations(with_pod(4, made_again, "MODIFIED")(healthy())) == []


def test_a_spare_pod_that_was_never_let_go_is_no_second_run() -> None:
    waits = thing("b", 13, pod=True, phase="Pending", uid="another", name="spare")
    waits["spec"]["schedulingGates"] = [{"name": marks.GATE}]
    waits["status"]["containerStatuses"] = []
    gone = with_pod(4, waits, "DELETED")(with_pod(3, waits)(healthy()))
    assert violations(gone) == []


def test_what_a_list_found_has_no_place_in_the_order() -> None:
    objects = [*healthy().objects[1:], (0.0, "FOUND", thing("a", 12, pod=False))]
    assert violations(but(objects=objects)(healthy())) == []


def test_a_seed_makes_the_same_run_again_and_every_kind_of_job_and_fault_is_in_it() -> None:
    def planned(seed: int) -> tuple[list[Planned], list[faults.Fault]]:
        rng = random.Random(seed)
        return jobs.plan(rng, 20, 24), faults.plan(rng, 30)

    assert planned(7) == planned(7)
    assert planned(7) != planned(8)
    made, broken = planned(7)
    assert len({each.kind for each in made}) == 12
    assert {each.kind for each in broken} == set(faults.LONGEST)
    assert [each.at for each in made] == sorted(each.at for each in made)
