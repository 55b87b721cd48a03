"""From Kubernetes objects to what is shown of an attempt."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import PodSeen, Running, Terminated, Waiting
from spark_jobs.cluster.objects import JobObject, ObjectList, PodObject, choose_pod, refusal_of, said_once
from tests.fakes.objects import attempt, ended_pod, job, pod, running_pod

REF = attempt()


def decode_pod(item: dict[str, Any]) -> PodObject:
    return msgspec.json.decode(json.dumps(item), type=PodObject)


def seen(item: dict[str, Any]) -> PodSeen:
    return decode_pod(item).seen()


def test_a_pod_that_waits_shows_the_clusters_own_word() -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    assert seen(pod(REF, waiting)).container == Waiting(reason="ErrImagePull", message="no such image")


def test_a_pod_without_any_status_waits() -> None:
    bare = seen({"metadata": {"name": "p", "uid": "u"}})
    assert bare == PodSeen(name="p", uid="u", over=False, container=Waiting())


def test_a_running_container_shows_since_when() -> None:
    shown = seen(running_pod(REF))
    assert shown.container == Running(started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert not shown.over


def test_an_end_keeps_code_message_and_times() -> None:
    end = {"exitCode": 3, "reason": "Error", "message": "result", "startedAt": "2026-01-02T03:04:05Z"}
    shown = seen(pod(REF, {"terminated": end}, phase="Failed"))
    assert shown.over
    assert shown.container == Terminated(
        exit_code=3, reason="Error", message="result", started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    )


def test_a_start_error_has_no_times_from_1970_and_is_no_signal() -> None:
    end = {
        "exitCode": 128,
        "reason": "StartError",
        "startedAt": "1970-01-01T00:00:00Z",
        "finishedAt": "2026-01-02T03:04:05Z",
    }
    container = seen(pod(REF, {"terminated": end})).container
    assert isinstance(container, Terminated)
    assert (container.started_at, container.signal) == (None, None)
    assert container.finished_at is not None


@pytest.mark.parametrize(("code", "signal"), [(137, 9), (143, 15), (0, None), (128, None), (255, None), (192, 64)])
def test_a_signal_is_read_from_the_exit_code(code: int, signal: int | None) -> None:
    container = seen(ended_pod(REF, code)).container
    assert isinstance(container, Terminated)
    assert container.signal == signal


def test_only_the_main_container_counts() -> None:
    item = ended_pod(REF, 4)
    item["status"]["containerStatuses"].insert(0, {"name": "sidecar", "state": {"running": {}}})
    assert isinstance(seen(item).container, Terminated)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            '0/1 nodes are available: persistentvolumeclaim "data" not found. not found',
            '0/1 nodes are available: persistentvolumeclaim "data" not found.',
        ),
        ("0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate", None),
        ("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No victims found.", None),
        ("0/1 nodes are available: 1 node(s) had a taint. ", None),
        ("Scheduling is blocked", None),
    ],
)
def test_the_scheduler_is_not_shown_to_say_the_same_twice(words: str, shown: str | None) -> None:
    assert said_once(words) == (shown or words)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    item = pod(REF, conditions=[condition])
    item["spec"] = {}
    assert seen(item).unschedulable == (shown or words)


def test_conditions_say_why_a_pod_is_not_scheduled_or_is_disrupted() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    item = pod(REF, conditions=[unschedulable, disrupted], reason="Evicted", message="low on memory. ")
    item["spec"] = {}
    shown = seen(item)
    assert (shown.unschedulable, shown.scheduled, shown.disruption) == ("0/1 nodes", False, "PreemptionByScheduler")
    assert (shown.reason, shown.message) == ("Evicted", "low on memory.")
    was_disrupted = {"type": "DisruptionTarget", "status": "False", "reason": "X"}
    assert seen(pod(REF, conditions=[was_disrupted])).disruption is None


def test_a_deleted_job_and_its_failure_are_seen() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    item = job(REF, metadata={"deletionTimestamp": "2026-01-02T03:04:05Z"}, status={"conditions": [failed]})
    shown = msgspec.convert(item, JobObject).seen()
    assert (shown.deleted, shown.failed) == (True, "DeadlineExceeded")


@pytest.mark.parametrize(
    "conditions", [None, [], [{"type": "Failed", "status": "False"}], [{"type": "FailureTarget", "status": "False"}]]
)
def test_odd_conditions_of_a_job_say_nothing(conditions: Any) -> None:
    assert msgspec.convert(job(REF, status={"conditions": conditions}), JobObject).seen().failed is None


def test_odd_bytes_in_fields_that_are_not_needed_do_no_harm() -> None:
    item = running_pod(REF)
    item["metadata"]["annotations"] |= {"note": "a\u0085b\u2028c", "big": "x" * 3_000_000}
    raw = json.dumps(item, ensure_ascii=False).encode()
    assert msgspec.json.decode(raw, type=PodObject).seen() == seen(running_pod(REF))


def test_null_lists_are_empty() -> None:
    page = msgspec.json.decode(b'{"metadata": {"resourceVersion": "5"}, "items": null}', type=ObjectList[PodObject])
    assert not page.items
    assert seen(pod(REF, conditions=None, containerStatuses=None)).container == Waiting()


def test_of_several_pods_the_one_that_may_still_run_is_shown() -> None:
    over, alive = ended_pod(REF), running_pod(REF)
    over["metadata"] = over["metadata"] | {"uid": "old", "creationTimestamp": "2026-01-02T03:04:05Z"}
    chosen = choose_pod([decode_pod(over), decode_pod(alive)], None)
    assert chosen is not None
    assert chosen.metadata.uid == alive["metadata"]["uid"]
    assert choose_pod([], None) is None


def gated(*gates: str, uid: str = "second") -> dict[str, Any]:
    blocked = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked",
    }
    item = pod(REF, conditions=[blocked]) | {"spec": {"schedulingGates": [{"name": gate} for gate in gates]}}
    item["metadata"] = item["metadata"] | {"uid": uid, "creationTimestamp": "2026-01-02T03:04:09Z"}
    return item


def test_our_own_gate_is_no_news_and_those_of_others_are() -> None:
    ours = seen(gated(marks.GATE))
    assert (ours.held, ours.scheduled, ours.unschedulable) == (True, False, None)
    both = seen(gated(marks.GATE, "kueue.x-k8s.io/admission"))
    assert (both.held, both.unschedulable) == (True, "Scheduling is blocked")
    theirs = seen(gated("kueue.x-k8s.io/admission"))
    assert (theirs.held, theirs.unschedulable) == (False, "Scheduling is blocked")


def test_a_second_pod_that_is_held_is_not_shown_once_the_first_was_released() -> None:
    over, second = decode_pod(ended_pod(REF)), decode_pod(gated(marks.GATE))
    assert choose_pod([over, second], over.metadata.uid) is over
    assert choose_pod([second], over.metadata.uid) is None
    assert choose_pod([second], None) is second
    assert choose_pod([second], second.metadata.uid) is second
    unheld = decode_pod(gated())
    assert choose_pod([over, unheld], over.metadata.uid) is unheld, "one that nothing holds may run"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "x" is forbidden: exceeded quota: small, requested: pods=1', "QuotaExceeded"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', "AdmissionDenied"),
    ],
)
def test_refusals_are_told_apart(message: str, reason: str) -> None:
    assert refusal_of(message).reason == reason
    assert refusal_of(message).message == message


def with_init(main: dict[str, Any], init: dict[str, Any], phase: str = "Pending") -> PodSeen:
    item = pod(REF, main, phase=phase)
    item["status"]["initContainerStatuses"] = [
        {"name": "proxy", "state": {"running": {}}},
        {"name": "fetch", "state": init},
    ]
    return seen(item)


def test_what_a_container_before_the_main_one_waits_for_is_shown_as_its_wait() -> None:
    initializing = {"waiting": {"reason": "PodInitializing"}}
    no_image = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    shown = with_init(initializing, no_image).container
    assert shown == Waiting(reason="ImagePullBackOff", message="init container fetch: no such image")
    assert with_init(initializing, initializing).container == Waiting(reason="PodInitializing")


def test_a_container_before_the_main_one_that_failed_is_named() -> None:
    failed = {"terminated": {"exitCode": 3, "reason": "Error"}}
    shown = with_init({"waiting": {"reason": "PodInitializing"}}, failed, phase="Failed")
    assert shown.init_failed == "init container fetch ended with exit code 3: Error"
    assert with_init({"waiting": {}}, {"terminated": {"exitCode": 0}}).init_failed is None


def test_the_main_containers_end_counts_whatever_other_containers_do() -> None:
    item = pod(REF, {"terminated": {"exitCode": 0}}, phase="Running")
    item["status"]["containerStatuses"].insert(0, {"name": "proxy", "state": {"running": {}}})
    shown = seen(item)
    assert isinstance(shown.container, Terminated)
    assert not shown.over


def test_a_delete_shows_its_own_grace() -> None:
    item = running_pod(REF)
    item["metadata"] |= {"deletionTimestamp": "2026-01-02T03:05:00Z", "deletionGracePeriodSeconds": 5}
    assert seen(item).deletion_grace == 5


@pytest.mark.parametrize(
    ("conditions", "failed", "complete"),
    [
        (None, None, False),
        ([{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}], "DeadlineExceeded", False),
        ([{"type": "Failed", "status": "False", "reason": "DeadlineExceeded"}], None, False),
        ([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}], "DeadlineExceeded", False),
        ([{"type": "Failed", "status": "True"}], "Failed", False),
        ([{"type": "Complete", "status": "True"}], None, True),
    ],
)
def test_what_a_job_says_of_its_end(conditions: Any, failed: str | None, complete: bool) -> None:
    item = {"metadata": {"name": "j", "uid": "u"}, "status": {"conditions": conditions}}
    shown = msgspec.json.decode(json.dumps(item), type=JobObject).seen()
    assert (shown.failed, shown.complete) == (failed, complete)
