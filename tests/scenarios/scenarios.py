"""What a user does, step by step. Each scenario gives what it was told; it must be the same over every interface."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import pytest

from spark_jobs import Job, JobEvent, JobQuery, JobSpec, JobState, LogOptions, SearchOptions, SparkError
from spark_jobs.client import LogBytes
from spark_jobs.domain.search import LogMatch, SearchProgress
from tests.scenarios.stage import Stage

Scenario = Callable[[Stage], Awaitable[object]]
SCENARIOS: list[Scenario] = []


def scenario(play: Scenario) -> Scenario:
    """One of the suite."""
    SCENARIOS.append(play)
    return play


async def error_of(work: Awaitable[object]) -> SparkError:
    """The error that this ends with."""
    try:
        found = await work
    except SparkError as error:
        return error
    raise AssertionError(f"it was accepted: {found}")


@scenario
async def a_job_is_submitted_and_succeeds(stage: Stage) -> object:
    submission = await stage.client.submit(
        {
            "image": "busybox:1",
            "command": ["true"],
            "name": "Nightly",
            "labels": {"team": "a", "tier": ""},
            "env": {"GREETING": "hello", "API_TOKEN": "hunter2", "HOST": {"field": "spec.nodeName"}},
            "timeout": "1m30s",
            "memory": "1Gi",
            "volumes": [{"mount": "/scratch", "empty_dir": {"size": "1Gi"}}],
        }
    )
    job = await stage.client.wait(submission.job.id)
    assert (job.state, job.exit_code, job.spec.timeout) == (JobState.SUCCEEDED, 0, 90)
    assert job.spec.env["API_TOKEN"] == "***"
    return submission.replayed, submission.job.state, submission.job.spec, job


@scenario
async def a_spec_of_the_library_is_taken_as_it_is(stage: Stage) -> object:
    spec = JobSpec(image="busybox:1", command=["exit", "0"], id="mine", retries=2, priority=-3, retry_on=["OOMKilled"])
    return await stage.client.wait((await stage.client.submit(spec)).job.id)


@scenario
async def a_repeat_starts_nothing(stage: Stage) -> object:
    spec: dict[str, object] = {"image": "busybox:1", "command": ["true"]}
    first = await stage.client.submit(spec, idempotency_key="once")
    again = await stage.client.submit(spec, idempotency_key="once")
    named = await stage.client.submit({**spec, "id": "named"})
    await stage.client.wait("named")
    named_again = await stage.client.submit({**spec, "id": "named"})
    assert (again.job.id, again.replayed, named_again.replayed) == (first.job.id, True, True)
    return first.replayed, named.replayed, named_again


@scenario
async def a_conflict_is_told(stage: Stage) -> object:
    spec: dict[str, object] = {"image": "busybox:1", "command": ["true"], "id": "named"}
    await stage.client.submit(spec, idempotency_key="once")
    other = {**spec, "image": "busybox:2"}
    key = await error_of(stage.client.submit(other, idempotency_key="once"))
    same_id = await error_of(stage.client.submit(other))
    assert (key.code, same_id.code) == ("idempotency_conflict", "id_conflict")
    return key, same_id, await error_of(stage.client.submit(spec, idempotency_key="ä"))


@scenario
async def every_fault_is_told_at_once(stage: Stage) -> object:
    faulty: dict[str, object] = {
        "image": " ",
        "command": "echo hello",
        "env": {"PORT": 8080, "A=B": "x"},
        "memory": "12 potatoes",
        "timeout": -5,
        "commnd": ["x"],
        "labels": {"kubernetes.io/x": "y"},
        "volumes": [{"mount": "relative", "pvc": "data"}],
    }
    error = await error_of(stage.client.submit(faulty))
    return error, await error_of(stage.client.submit({})), await error_of(stage.client.submit({"image": None}))


@scenario
async def a_full_queue_says_how_much_is_free(stage: Stage) -> object:
    for _ in range(3):
        await stage.submit("forever")
    full = await error_of(stage.client.submit({"image": "busybox:1", "command": ["true"]}))
    assert full.code == "queue_full"
    return full, await error_of(stage.client.submit_batch([{"image": "a"}, {"image": "b"}]))


@scenario
async def a_log_of_two_lines_and_exit_code_7(stage: Stage) -> object:
    job = await stage.ended("exit", "7")
    assert (job.state, job.exit_code) == (JobState.FAILED, 7)
    options = [
        LogOptions(),
        LogOptions(tail=1),
        LogOptions(since="1h"),
        LogOptions(timestamps=True),
        LogOptions(attempt=1),
    ]
    return job, [await read(stage, job.id, each) for each in options]


async def read(stage: Stage, job_id: str, options: LogOptions | None = None) -> bytes:
    return b"".join([piece async for piece in stage.client.logs(job_id, options)])


async def follow(stage: Stage, job_id: str, options: LogOptions | None = None) -> LogBytes:
    """The whole followed log as one piece."""
    pieces = [piece async for piece in stage.client.follow(job_id, options)]
    return LogBytes(pieces[-1].attempt, b"".join(piece.data for piece in pieces), pieces[-1].end)


@scenario
async def a_log_is_followed_while_it_grows(stage: Stage) -> object:
    job_id = await stage.submit("slow")
    whole = await follow(stage, job_id)
    assert whole.data == b"one\ntwo\nthree\n"
    job = await stage.client.get(job_id)
    assert job.state.is_terminal
    return (
        whole,
        await follow(stage, job_id, LogOptions(tail=2)),
        await follow(stage, job_id, LogOptions(timestamps=True)),
    )


@scenario
async def a_log_that_is_not_there_is_told(stage: Stage) -> object:
    job = await stage.ended("true")
    return (
        await read(stage, job.id),
        await error_of(read(stage, job.id, LogOptions(attempt=5))),
        await error_of(read(stage, job.id, LogOptions(attempt=0))),
        await error_of(read(stage, job.id, LogOptions(tail=-1))),
        await error_of(read(stage, job.id, LogOptions(since="yesterday"))),
        await error_of(read(stage, "no-such-job")),
        await error_of(follow(stage, "no-such-job")),
    )


async def search(stage: Stage, pattern: str, options: SearchOptions) -> tuple[list[LogMatch], SearchProgress]:
    """What is found, and what is said in the end."""
    told: list[SearchProgress] = []
    found = [match async for match in stage.client.search(pattern, options, on_progress=told.append)]
    return found, told[-1]


@scenario
async def logs_are_searched(stage: Stage) -> object:
    await stage.ended("exit", "7", id="first", name="n", labels={"team": "a"})
    await stage.ended("slow", id="second")
    searches = [
        ("o", SearchOptions()),
        ("T$", SearchOptions(ignore_case=True)),
        ("o", SearchOptions(states=["FAILED"], labels=["team=a", "team"], name="n", job_id="first", since="1h")),
        ("two", SearchOptions(context=1)),
        ("t.", SearchOptions(fixed=True)),
        ("[a-z]", SearchOptions(limit=2)),
        ("nothing", SearchOptions(states=["active"])),
    ]
    found = [await search(stage, pattern, options) for pattern, options in searches]
    assert [[match.found.text for match in matches] for matches, _ in found] == [
        ["one", "two", "out"],
        ["out"],
        ["out"],
        ["two"],
        [],
        ["one", "two"],
        [],
    ]
    assert [end.complete for _, end in found] == [True] * 5 + [False, True]
    return found


@scenario
async def what_can_not_be_searched_for_is_told(stage: Stage) -> object:
    searches = [
        ("", SearchOptions()),
        ("(", SearchOptions()),
        ("((a{100}){100}){100}", SearchOptions()),
        ("x", SearchOptions(context=-1, limit=0, since="soon", labels=["="])),
        ("x", SearchOptions(states=["SUCEEDED"])),
        ("x", SearchOptions(job_id="no-such-job")),
        ("x", SearchOptions(job_id="../x")),
    ]
    return [await error_of(search(stage, pattern, options)) for pattern, options in searches]


@scenario
async def a_time_limit_ends_a_job(stage: Stage) -> object:
    job = await stage.ended("forever", timeout="200ms")
    assert (job.state, job.reason) == (JobState.TIMED_OUT, "DeadlineExceeded")
    return job, await read(stage, job.id)


@scenario
async def jobs_are_cancelled_in_every_state(stage: Stage) -> object:
    running, queued = await stage.submit("forever"), await stage.submit("true")
    await stage.until(running, JobState.RUNNING)
    at_once = await stage.client.cancel(queued)
    assert at_once.state is JobState.CANCELLED
    asked = await stage.client.cancel(running)
    assert asked.cancel_requested_at is not None
    over = await stage.client.wait(running)
    again = await stage.client.cancel(running)
    done = await stage.ended("true")
    refused = await error_of(stage.client.cancel(done.id))
    assert refused.code == "not_cancellable"
    return at_once, over, again, refused


@scenario
async def a_job_is_retried_by_hand_and_by_itself(stage: Stage) -> object:
    job = await stage.ended("exit", "7", retries=1, backoff="10ms")
    assert len(job.attempts) == 2
    again = await stage.client.retry(job.id)
    assert again.retry_of == job.id
    second = await stage.client.wait(again.id)
    logs = await follow(stage, job.id)
    assert logs.data == b"out\nerr\n" * 2
    early = await error_of(stage.client.retry(await stage.submit("forever")))
    assert early.code == "not_retryable"
    return job, again.retry_of == job.id, second, logs, early


@scenario
async def a_job_is_deleted_with_its_log(stage: Stage) -> object:
    running = await stage.submit("forever")
    early = await error_of(stage.client.delete(running))
    assert early.code == "not_deletable"
    await stage.client.cancel(running)
    await stage.client.wait(running)
    await stage.forget(running)
    return early, await error_of(stage.client.get(running)), await error_of(stage.client.delete(running))


@scenario
async def jobs_are_listed_by_what_they_are(stage: Stage) -> object:
    for number in range(4):
        command = ("exit", str(number % 2))
        await stage.ended(*command, id=f"job-{number}", name=f"run {number % 2}", labels={"n": str(number), "all": ""})
    queries = [
        JobQuery(),
        JobQuery(labels=["n=2"]),
        JobQuery(labels=["all", "n"]),
        JobQuery(labels=["n=2", "n=3"]),
        JobQuery(states=["FAILED"]),
        JobQuery(states=["active"]),
        JobQuery(states=["finished"], name="run 1"),
        JobQuery(name_prefix="run"),
        JobQuery(id_prefix="job-3"),
        JobQuery(since="1h", until="0s"),
        JobQuery(until="1h"),
    ]
    listed = [[job async for job in stage.client.list(query)] for query in queries]
    assert [len(jobs) for jobs in listed] == [4, 1, 4, 0, 2, 0, 2, 4, 1, 4, 0]
    return listed


@scenario
async def a_list_is_read_page_by_page(stage: Stage) -> object:
    for number in range(5):
        await stage.ended("true", id=f"job-{number}")
    pages, token = [], None
    while True:
        page = await stage.link.page(JobQuery(), size=2, token=token)
        pages.append([job.id for job in page.jobs])
        token = page.next_page_token
        if token is None:
            break
        other = await error_of(stage.link.page(JobQuery(name="x"), size=2, token=token))
        assert other.code == "invalid_page_token"
    assert pages == [["job-4", "job-3"], ["job-2", "job-1"], ["job-0"]]
    return pages, [job.id async for job in stage.client.list(limit=3)], await stage.client.resolve("@latest")


@scenario
async def a_list_can_not_be_asked_for_what_there_is_not(stage: Stage) -> object:
    return [
        await error_of(stage.link.page(query, size=size, token=token))
        for query, size, token in (
            (JobQuery(states=["SUCEEDED"]), 10, None),
            (JobQuery(labels=["=x"]), 10, None),
            (JobQuery(since="yesterday", until="soon"), 10, None),
            (JobQuery(), 10_000, None),
            (JobQuery(), 10, "nonsense"),
        )
    ]


@scenario
async def a_wait_ends_with_the_job_or_with_the_patience(stage: Stage) -> object:
    job_id = await stage.submit("forever")
    await stage.until(job_id, JobState.RUNNING)
    still = await stage.client.get(job_id, wait=0.05)
    assert still.state is JobState.RUNNING
    with pytest.raises(TimeoutError):
        await stage.client.wait(job_id, timeout=0.05)
    stage.cluster.finish(job_id, 3)
    job = await stage.client.wait(job_id)
    failed = await error_of(stage.client.result(job_id))
    assert failed.code == "job_failed"
    return job, failed


@scenario
async def events_are_read_and_resumed(stage: Stage) -> object:
    first = await stage.ended("exit", "0", id="first")
    second = await stage.ended("exit", "7", id="second")
    whole = [event async for event in take(stage, None, 0, 8)]
    assert [event.job_id for event in whole] == ["first"] * 4 + ["second"] * 4
    resumed = [event async for event in take(stage, None, whole[2].seq, 5)]
    assert resumed == whole[3:]
    own = [event async for event in take(stage, second.id, 0, 4)]
    return whole, own, first.id, await error_of(first_event(stage, "no-such-job"))


async def take(stage: Stage, job_id: str | None, after: int, count: int) -> AsyncGenerator[JobEvent, None]:
    async with aclosing(stage.client.events(job_id, after=after)) as events:
        async for event in events:
            yield event
            count -= 1
            if count == 0:
                return


async def first_event(stage: Stage, job_id: str) -> object:
    return [event async for event in take(stage, job_id, 0, 1)]


@scenario
async def events_that_are_not_kept_are_gone(stage: Stage) -> object:
    await stage.ended("true")
    gone = await error_of(first_after(stage, 1_000_000))
    assert gone.code == "events_gone"
    return gone


async def first_after(stage: Stage, after: int) -> object:
    return [event async for event in take(stage, None, after, 1)]


@scenario
async def a_batch_is_taken_whole_or_not_at_all(stage: Stage) -> object:
    good: dict[str, object] = {"image": "busybox:1", "command": ["exit", "0"]}
    faulty = await error_of(stage.client.submit_batch([{**good, "cpu": "two"}, {"image": 7, "x": 1}]))
    assert [job async for job in stage.client.list()] == []
    taken = await stage.client.submit_batch([{**good, "id": "one"}, {**good, "id": "two"}])
    assert [each.job.id for each in taken] == ["one", "two"]
    for each in taken:
        await stage.client.wait(each.job.id)
    mixed = await stage.client.submit_batch([{**good, "id": "two"}, {**good, "id": "three"}])
    assert [each.replayed for each in mixed] == [True, False]
    return (
        faulty,
        [each.job.spec for each in taken],
        [each.replayed for each in mixed],
        await error_of(stage.client.submit_batch([])),
        await error_of(stage.client.submit_batch([good] * 3)),
        await error_of(stage.client.submit_batch([good] * 1001)),
        await error_of(stage.client.submit_batch([good, {**good, "id": "one", "image": "other"}])),
    )


@scenario
async def the_queue_is_paused_and_goes_on(stage: Stage) -> object:
    paused = await stage.client.pause()
    ids = [await stage.submit("true", id=f"job-{number}") for number in range(2)]
    waiting = await stage.client.queue()
    assert (paused.paused, waiting.depth, waiting.running) == (True, 2, 0)
    positions = [(await stage.client.get(job_id)).position for job_id in ids]
    assert positions == [1, 2]
    resumed = await stage.client.resume()
    ended = [(await stage.client.wait(job_id)).state for job_id in ids]
    return queue(paused), queue(waiting), queue(resumed), positions, ended


def queue(status: object) -> dict[str, object]:
    return {name: getattr(status, name) for name in ("capacity", "slots", "paused", "backoff")}


@scenario
async def what_is_not_there_is_not_found(stage: Stage) -> object:
    calls: list[Callable[[str], Awaitable[Job | None]]] = [
        stage.client.get,
        stage.client.cancel,
        stage.client.retry,
        stage.client.delete,
    ]
    errors = [await error_of(call(job_id)) for call in calls for job_id in ("no-such-job", "../etc/passwd", "")]
    assert {error.code for error in errors} == {"job_not_found"}
    return errors, await error_of(stage.client.resolve("abcd")), await error_of(stage.client.resolve("@latest"))
