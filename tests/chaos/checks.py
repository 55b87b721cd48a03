"""What must hold after a chaos run, whatever was broken in it. Pure: from what was seen to the list of violations."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import msgspec

from spark_jobs.cluster import marks
from spark_jobs.domain.job import Attempt, Job, JobEvent, LogState
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.state import JobState
from tests.chaos.jobs import BEGIN, SUCCEEDED, TAKEN, Planned, end_of
from tests.e2e import kube

LOST, TWICE, WRONG_END, LEFT, OVER, CHANGED, ORDER, LOG, ERROR, SLOW = RULES = (
    "jobs lost",
    "attempts run twice",
    "wrong ends",
    "objects left",
    "slots over the limit",
    "ends that changed",
    "creates out of order",
    "wrong logs",
    "errors logged",
    "reads over 1 s",
)

_WHOLE_SECOND = timedelta(seconds=1)  # the cluster's times are

_NEVER_RAN = (Reason.START_ERROR, Reason.START_INTERRUPTED)

Events = Sequence[tuple[float, str, kube.Object]]


class Seen(msgspec.Struct, kw_only=True):
    """All that a run left to look at.

    ``jobs``: by id, null for one that is not known or never ended. ``logs``: by id and attempt. ``told``: what a follower
    of the events was told. ``deleted``: names of pods and Jobs that somebody else may have deleted. ``slowest``: the
    longest time that reading a job took, in seconds.
    """

    planned: Sequence[Planned]
    jobs: Mapping[str, Job | None]
    logs: Mapping[tuple[str, int], bytes]
    told: Sequence[JobEvent]
    pods: Events
    objects: Events
    left: Sequence[str]
    deleted: set[str]
    slots: int
    errors: Sequence[str]
    slowest: float = 0.0


class Violation(msgspec.Struct, frozen=True):
    """One rule that was broken, and how."""

    rule: str
    text: str


def violations(seen: Seen) -> list[Violation]:
    """Everything that is not as it must be."""
    found = [Violation(LEFT, name) for name in seen.left]
    found += [Violation(ERROR, line) for line in seen.errors]
    most = _most_at_once(seen)
    if most > seen.slots:
        found.append(Violation(OVER, f"{most} attempts with an unfinished pod at once"))
    if seen.slowest > 1:
        found.append(Violation(SLOW, f"{seen.slowest:.2f} s"))
    taken = _taken(seen)
    for planned in seen.planned:
        job = seen.jobs.get(planned.id)
        if job is None or not job.state.is_terminal:
            found.append(Violation(LOST, f"{planned.id} ({planned.kind}): {'unknown' if job is None else job.state}"))
            continue
        found += _ends(planned, job, disturbed=planned.id in taken)
        found += _logs(planned, job, seen, disturbed=planned.id in taken)
    return [*found, *_twice(seen), *_changed(seen), *_order(seen)]


def _most_at_once(seen: Seen) -> int:
    """Attempts with an unfinished pod: a spare one that the Job controller makes takes no second slot."""
    live: dict[str, str] = {}
    most = 0
    for _, kind, pod in seen.pods:
        if kind == "DELETED" or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            live.pop(pod["metadata"]["name"], None)
        else:
            live[pod["metadata"]["name"]] = _object_of(pod)
        most = max(most, len(set(live.values())))
    return most


def _taken(seen: Seen) -> set[str]:
    """The jobs of which somebody else may have deleted something."""
    return {
        job.id
        for job in seen.jobs.values()
        if job is not None
        for attempt in job.attempts
        if {attempt.pod, attempt.kubernetes_job} & seen.deleted or _pods_of(seen, attempt) & seen.deleted
    }


def _pods_of(seen: Seen, attempt: Attempt) -> set[str]:
    return {pod["metadata"]["name"] for _, _, pod in seen.pods if _object_of(pod) == attempt.kubernetes_job}


def _object_of(pod: kube.Object) -> str:
    return str(pod["metadata"].get("labels", {}).get("batch.kubernetes.io/job-name"))


def _ends(planned: Planned, job: Job, *, disturbed: bool) -> Iterator[Violation]:
    if job.reason == Reason.START_INTERRUPTED:
        return  # a kubelet that is stopped while it starts a container leaves one that never ran
    allowed = (*planned.ends, *TAKEN) if disturbed else planned.ends
    if not any(end_of(job, coded=end.exit_code is not None) == end for end in allowed):
        end = f"{end_of(job, coded=True)}, not {' or '.join(map(str, allowed))}: {job.message}"
        yield Violation(WRONG_END, f"{planned.id} ({planned.kind}): {end}")
    settled = end_of(job, coded=True) == SUCCEEDED
    if not disturbed and settled and len(job.attempts) != planned.attempts:
        yield Violation(WRONG_END, f"{planned.id}: {len(job.attempts)} attempts, not {planned.attempts}")
    if len(job.attempts) > planned.attempts:
        yield Violation(TWICE, f"{planned.id}: {len(job.attempts)} attempts")


def _logs(planned: Planned, job: Job, seen: Seen, *, disturbed: bool) -> Iterator[Violation]:
    """A log that is called complete is exactly what was printed; any other has nothing twice, and nothing in between."""
    for attempt in job.attempts:
        where = f"{planned.id} ({planned.kind}), attempt {attempt.attempt}, {attempt.log.state}"
        if attempt.log.state is LogState.COLLECTING:
            yield Violation(LOG, f"{where}: not settled")
        gone = any(word in (attempt.log.problem or "") for word in ("not found", "the pod is gone"))
        if (
            gone
            and attempt.log.state is LogState.INCOMPLETE
            and not (disturbed or _stopped_before_it_ran(job, attempt))
        ):
            yield Violation(LOG, f"{where}: nobody else deleted the pod, but {attempt.log.problem}")
        text = seen.logs.get((job.id, attempt.attempt), b"").decode()
        got = tuple(text.splitlines())
        if got.count(BEGIN) > 1:
            yield Violation(TWICE, f"{where}: began {got.count(BEGIN)} times")
        if attempt.attempt < planned.attempts:
            continue  # cut short on purpose
        natural = job.state in (JobState.SUCCEEDED, JobState.FAILED) and not disturbed
        if attempt.log.state is LogState.COMPLETE and natural:
            wrong = got != (() if job.reason in _NEVER_RAN else planned.lines)
        else:
            wrong = not _is_part(got, planned.lines)
        if wrong:
            yield Violation(LOG, f"{where}: {len(got)} lines {got[:2]}…{got[-2:]}, not {len(planned.lines)}")


def _stopped_before_it_ran(job: Job, attempt: Attempt) -> bool:
    """Whether it was cancelled while no container was to be seen: then its pod is deleted, so that none begins. Where one
    begins in that instant all the same, its log may go with the pod."""
    if job.cancel_requested_at is None:
        return False
    return attempt.started_at is None or attempt.started_at + _WHOLE_SECOND > job.cancel_requested_at


def _is_part(lines: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether these lines are some of those, in their order; the last one may be cut."""
    rest = iter(whole)
    return all(
        any(line == other or (last and other.startswith(line)) for other in rest) for line, last in _marked(lines)
    )


def _marked(lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for number, line in enumerate(lines, 1):
        yield line, number == len(lines)


def _twice(seen: Seen) -> Iterator[Violation]:
    """A pod counts once it was let go: a Job controller makes a spare one if its own create gets no answer, and a Job that
    somebody deleted before its create was answered is made again. A container counts once it has begun: a kubelet that is
    stopped between making one and starting it makes another, and counts that as a restart of one that never ran."""
    pods: dict[str, set[str]] = defaultdict(set)
    for _, _, pod in seen.pods:
        statuses = pod.get("status", {}).get("containerStatuses", [])
        if marks.GATE not in {gate["name"] for gate in pod["spec"].get("schedulingGates", [])}:
            pods[_attempt_of(pod)].add(pod["metadata"]["uid"])
        for status in filter(_ran_again, statuses):
            count = status["restartCount"] + 1
            yield Violation(TWICE, f"{pod['metadata']['name']}: its container was started {count} times")
    for name, uids in pods.items():
        if len(uids) > 1:
            yield Violation(TWICE, f"{name}: {len(uids)} pods that were let go")
    made: dict[str, set[str]] = defaultdict(set)
    for _, _, thing in seen.objects:
        made[_attempt_of(thing)].add(thing["metadata"]["name"])
    for name, names in made.items():
        if len(names) > 1:
            yield Violation(TWICE, f"{name}: Jobs of {len(names)} names")


def _ran_again(status: kube.Object) -> bool:
    before = status.get("lastState", {}).get("terminated")
    return bool(status["restartCount"] and before and before.get("reason") not in _NEVER_RAN)


def _attempt_of(thing: kube.Object) -> str:
    labels = thing["metadata"]["labels"]
    return f"{labels[marks.JOB]}, attempt {labels[marks.ATTEMPT]}"


def _changed(seen: Seen) -> Iterator[Violation]:
    """What was told of each job is one chain from QUEUED to one end, and the end is the job's."""
    states: dict[str, JobState] = {}
    for before, event in zip([None, *seen.told], seen.told, strict=False):
        if before is not None and event.seq <= before.seq:
            yield Violation(CHANGED, f"event {event.seq} came after {before.seq}")
        known = states.get(event.job_id)
        if event.source != known:
            yield Violation(CHANGED, f"{event.job_id}: {event.source} → {event.target}, but it was {known}")
        states[event.job_id] = event.target
    for job in seen.jobs.values():
        if job is not None and states.get(job.id) != job.state:
            yield Violation(CHANGED, f"{job.id}: {job.state}, but told was {states.get(job.id)}")


def _order(seen: Seen) -> Iterator[Violation]:
    """First attempts are created in the order of submission. What a list found has no place in it."""
    place = {planned.id: number for number, planned in enumerate(seen.planned)}
    made = [
        (int(thing["metadata"]["resourceVersion"]), place[thing["metadata"]["labels"]["spark-jobs.dev/job"]])
        for _, kind, thing in seen.objects
        if kind == "ADDED" and thing["metadata"]["labels"]["spark-jobs.dev/attempt"] == "1"
    ]
    places = [number for _, number in sorted(made)]
    for first, second in itertools.pairwise(places):
        if first > second:
            yield Violation(ORDER, f"{seen.planned[first].id} before {seen.planned[second].id}")


def table(seen: Seen, found: Sequence[Violation], faults: Mapping[str, int]) -> str:
    """The run for people: what was broken, how each kind of job ended, and the rules."""
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    for planned in seen.planned:
        job = seen.jobs.get(planned.id)
        ends[planned.kind]["lost" if job is None else str(end_of(job, coded=True))] += 1
    lines = ["broken: " + ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items()))]
    for kind, counted in sorted(ends.items()):
        shown = ", ".join(f"{count} {end}" for end, count in counted.most_common())
        lines.append(f"{kind:16} {counted.total():4}  {shown}")
    logs = Counter(attempt.log.state for job in seen.jobs.values() if job for attempt in job.attempts)
    lines.append("logs: " + ", ".join(f"{count} {state}" for state, count in logs.most_common()))
    lines.append(f"most attempts at once: {_most_at_once(seen)} of {seen.slots}; slowest read {seen.slowest:.2f} s")
    broken = Counter(violation.rule for violation in found)
    lines += [f"{rule:24}{broken[rule]:4}" for rule in RULES]
    return "\n".join(lines)
