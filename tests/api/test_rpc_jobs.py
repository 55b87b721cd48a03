"""JobService over gRPC, on the real server and core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spark_jobs.api.messages import job_of
from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.domain.state import JobState
from tests.api.rpc import Rpc, refused
from tests.engine.bench import Bench


def spec(*command: str, **fields: Any) -> pb.JobSpec:
    return pb.JobSpec(image="busybox:1", command=command or ["lines"], **fields)


async def submit(rpc: Rpc, *command: str, **fields: Any) -> str:
    """Submit a job; its id."""
    answer = await rpc.call("Submit", pb.SubmitRequest(spec=spec(*command, **fields)))
    return str(answer.job.id)


async def listed(rpc: Rpc, **fields: Any) -> list[str]:
    return [job.id for job in (await rpc.call("List", pb.ListRequest(**fields))).jobs]


async def test_a_job_runs_and_is_seen_to_its_end(rpc: Rpc, core: Bench) -> None:
    secret = {"A_TOKEN": pb.EnvValue(value="hunter2"), "OPEN": pb.EnvValue(value="seen")}
    answer = await rpc.call("Submit", pb.SubmitRequest(spec=spec("fails", name="first", env=secret)))
    assert not answer.replayed
    over = await rpc.call("Get", pb.GetRequest(job_id=answer.job.id, wait=20))
    assert over.state == pb.JOB_STATE_FAILED
    assert (over.exit_code, over.reason, over.spec.name) == (7, "NonZeroExit", "first")
    assert (over.spec.env["A_TOKEN"].value, over.spec.env["OPEN"].value) == ("***", "seen")
    assert job_of(over) == await core.service.get(over.id)


async def test_a_repeat_starts_nothing_and_another_body_is_refused(rpc: Rpc) -> None:
    request = pb.SubmitRequest(spec=spec(name="a"), idempotency_key="k")
    first, second = await rpc.call("Submit", request), await rpc.call("Submit", request)
    assert (first.job.id, first.replayed, second.replayed) == (second.job.id, False, True)
    other = await refused(rpc.call("Submit", pb.SubmitRequest(spec=spec(name="b"), idempotency_key="k")))
    assert (other.code, other.reason) == ("ALREADY_EXISTS", "idempotency_conflict")
    odd = await refused(rpc.call("Submit", pb.SubmitRequest(spec=spec(), idempotency_key="")))
    assert odd.faults == {"#/idempotency_key": "invalid"}
    assert await listed(rpc) == [first.job.id]


async def test_every_fault_is_named_as_rest_names_it(rpc: Rpc) -> None:
    wrong = pb.JobSpec(
        env={"9": pb.EnvValue(value="x"), "PORT": pb.EnvValue()}, timeout=pb.Limit(seconds=-1), retries=-1
    )
    answer = await refused(rpc.call("Submit", pb.SubmitRequest(spec=wrong)))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "invalid_spec")
    assert answer.faults == {
        "#/image": "required",
        "#/env/9": "invalid_value",
        "#/env/PORT": "wrong_type",
        "#/timeout": "invalid_value",
        "#/retries": "out_of_range",
    }
    assert await listed(rpc) == []


async def test_faults_that_no_header_can_hold_are_counted(rpc: Rpc) -> None:
    wrong = spec(env={f"{number}-{'x' * 200}": pb.EnvValue(value="x") for number in range(500)})
    answer = await refused(rpc.call("Submit", pb.SubmitRequest(spec=wrong)))
    assert answer.faults["#"] == "too_many_faults"
    assert 2 <= len(answer.faults) < 20
    assert answer.message.endswith("…")


async def test_a_batch_is_accepted_in_order_and_whole(rpc: Rpc) -> None:
    batch = [pb.SubmitBatchRequest(spec=spec(id=f"job-{number}")) for number in range(1000)]
    answers = await rpc.all("SubmitBatch", batch)
    assert [answer.job.id for answer in answers] == [f"job-{number}" for number in range(1000)]
    again = await rpc.all("SubmitBatch", batch[:2])
    assert [answer.replayed for answer in again] == [True, True]


BATCHES: list[tuple[Callable[[], list[pb.SubmitBatchRequest]], str, dict[str, str]]] = [
    (list, "invalid_spec", {"#/jobs": "out_of_range"}),
    (lambda: [pb.SubmitBatchRequest(spec=spec())] * 1001, "invalid_spec", {"#/jobs": "out_of_range"}),
    (
        lambda: (
            [pb.SubmitBatchRequest(spec=spec())] * 17 + [pb.SubmitBatchRequest(), pb.SubmitBatchRequest(spec=spec())]
        ),
        "invalid_spec",
        {"#/jobs/17/image": "required"},
    ),
    (lambda: [pb.SubmitBatchRequest(spec=spec("x" * 1_000_000))] * 20, "body_too_large", {}),
]


@pytest.mark.parametrize(("batch", "reason", "faults"), BATCHES)
async def test_a_batch_is_refused_whole(
    rpc: Rpc, batch: Callable[[], list[pb.SubmitBatchRequest]], reason: str, faults: dict[str, str]
) -> None:
    answer = await refused(rpc.all("SubmitBatch", batch()))
    assert (answer.code, answer.reason, answer.faults) == ("INVALID_ARGUMENT", reason, faults)
    assert await listed(rpc) == []


async def test_a_wait_ends_with_its_time(rpc: Rpc) -> None:
    job_id = await submit(rpc, "slow")
    assert (await rpc.call("Get", pb.GetRequest(job_id=job_id, wait=0.01))).state < pb.JOB_STATE_SUCCEEDED
    for odd in (-1.0, float("nan"), float("inf")):
        assert (await refused(rpc.call("Get", pb.GetRequest(job_id=job_id, wait=odd)))).faults == {"#/wait": "invalid"}


@pytest.mark.parametrize("job_id", ["", "no-such-job", "Not an id", "../x", "x" * 1000])
async def test_a_job_that_is_not_there_is_said_so(rpc: Rpc, job_id: str) -> None:
    for name, kind in (
        ("Get", pb.GetRequest),
        ("Cancel", pb.CancelRequest),
        ("Retry", pb.RetryRequest),
        ("Delete", pb.DeleteRequest),
    ):
        answer = await refused(rpc.call(name, kind(job_id=job_id)))
        assert (answer.code, answer.reason) == ("NOT_FOUND", "job_not_found")
    assert (await refused(rpc.all("FollowLogs", pb.FollowLogsRequest(job_id=job_id)))).reason == "job_not_found"


async def test_cancel_retry_and_delete(rpc: Rpc, core: Bench) -> None:
    await rpc.call("PauseQueue", pb.PauseQueueRequest())
    job_id = await submit(rpc, "lines")
    assert (await refused(rpc.call("Retry", pb.RetryRequest(job_id=job_id)))).reason == "not_retryable"
    assert (await refused(rpc.call("Delete", pb.DeleteRequest(job_id=job_id)))).reason == "not_deletable"
    assert (await rpc.call("Cancel", pb.CancelRequest(job_id=job_id))).state == pb.JOB_STATE_CANCELLED
    again = await rpc.call("Retry", pb.RetryRequest(job_id=job_id))
    assert (again.retry_of, again.state) == (job_id, pb.JOB_STATE_QUEUED)
    await rpc.call("Delete", pb.DeleteRequest(job_id=job_id))
    assert await listed(rpc) == [again.id]
    await rpc.call("ResumeQueue", pb.ResumeQueueRequest())
    await core.ends(again.id)
    answer = await refused(rpc.call("Cancel", pb.CancelRequest(job_id=again.id)))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "not_cancellable")


async def test_the_queue_shows_what_waits(rpc: Rpc) -> None:
    assert (await rpc.call("PauseQueue", pb.PauseQueueRequest())).paused
    job_id = await submit(rpc, "lines", name="nightly", priority=3)
    queue = await rpc.call("GetQueue", pb.GetQueueRequest())
    assert (queue.depth, queue.running, queue.slots, queue.paused) == (1, 0, 2, True)
    [waiting] = queue.waiting
    assert (waiting.id, waiting.name, waiting.priority, waiting.position) == (job_id, "nightly", 3, 1)
    assert waiting.why == "the queue is paused"
    assert not waiting.HasField("not_before")


async def test_filters_must_all_hold(rpc: Rpc, core: Bench) -> None:
    failed = await submit(rpc, "fails", name="nightly-1", labels={"team": "red", "x": ""})
    good = await submit(rpc, "lines", name="nightly-2", labels={"team": "blue"})
    await core.ends(failed)
    await core.ends(good)
    await rpc.call("PauseQueue", pb.PauseQueueRequest())
    queued = await submit(rpc, "lines", name="daily", labels={"team": "red"}, id="some-id")
    assert await listed(rpc, states=[pb.JOB_STATE_FAILED, pb.JOB_STATE_QUEUED]) == [queued, failed]
    assert await listed(rpc, labels=["team=red"]) == [queued, failed]
    assert await listed(rpc, labels=["team=red", "x"]) == [failed]
    assert await listed(rpc, name="daily") == await listed(rpc, id_prefix="some") == [queued]
    assert await listed(rpc, name_prefix="nightly", states=[pb.JOB_STATE_SUCCEEDED]) == [good]
    assert await listed(rpc, since="1h") == [queued, good, failed]
    assert await listed(rpc, until="1h") == await listed(rpc, since="2100-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"page_size": 1001}, {"#/page_size": "invalid"}),
        ({"page_size": -1, "since": "never"}, {"#/page_size": "invalid", "#/since": "invalid"}),
        ({"states": [1, 77]}, {"#/states/1": "unknown_state"}),
        ({"states": [0]}, {"#/states/0": "unknown_state"}),
        ({"labels": ["=x"]}, {"#/labels": "invalid"}),
        ({"labels": ["x"] * 1000}, {"#/": "too_many"}),
        ({"name": "a\0b"}, {"#/name": "invalid"}),
    ],
)
async def test_a_filter_that_means_nothing_is_refused(rpc: Rpc, fields: Any, faults: dict[str, str]) -> None:
    answer = await refused(rpc.call("List", pb.ListRequest(**fields)))
    assert (answer.code, answer.faults) == ("INVALID_ARGUMENT", faults)


async def test_pages_show_every_job_once_and_belong_to_their_filters(rpc: Rpc) -> None:
    await rpc.call("PauseQueue", pb.PauseQueueRequest())
    for number in range(5):
        await submit(rpc, "lines", id=f"job-{number}", env={"X": pb.EnvValue(value="seen")})
    seen: list[str] = []
    token = ""
    while True:
        page = await rpc.call("List", pb.ListRequest(page_size=2, page_token=token, id_prefix="job"))
        seen += [job.id for job in page.jobs]
        assert all(not job.spec.env and not job.attempts and not job.HasField("position") for job in page.jobs)
        await submit(rpc, "lines", id=f"job-late-{len(seen)}")
        if not page.next_page_token:
            break
        token = page.next_page_token
    assert seen == ["job-4", "job-3", "job-2", "job-1", "job-0"]
    foreign = await refused(rpc.call("List", pb.ListRequest(page_token=token)))
    assert (foreign.code, foreign.reason) == ("INVALID_ARGUMENT", "invalid_page_token")


async def test_a_page_of_large_jobs_ends_early(rpc: Rpc) -> None:
    await rpc.call("PauseQueue", pb.PauseQueueRequest())
    for number in range(6):
        await submit(rpc, "x" * 100_000, "y" * 100_000, "z" * 100_000, id=f"job-{number}")
    await submit(rpc, *("x" * 100_000 for _ in range(10)), id="huge")
    await submit(rpc, "x", id="small")
    pages: list[list[str]] = []
    token = ""
    while not pages or token:
        page = await rpc.call("List", pb.ListRequest(page_token=token))
        pages.append([job.id for job in page.jobs])
        token = page.next_page_token
    assert pages == [["small", "huge"], ["job-5", "job-4", "job-3"], ["job-2", "job-1", "job-0"]]


async def test_all_states_can_be_asked_for(rpc: Rpc) -> None:
    job_id = await submit(rpc, "lines")
    assert await listed(rpc, states=list(range(1, len(JobState) + 1))) == [job_id]
