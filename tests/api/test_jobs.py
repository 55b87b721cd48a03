"""Routes of jobs: submit, list, get, cancel, retry, delete."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from spark_jobs.api.rest import create_api
from spark_jobs.app.core import utc_now
from spark_jobs.auth import Access
from spark_jobs.domain.defaults import Defaults
from spark_jobs.domain.job import Job
from spark_jobs.logs import LogBook
from spark_jobs.service import JobService, Policy
from tests.api.asgi import Answer, Caller
from tests.api.conftest import HEALTHY
from tests.engine.bench import Bench

SPEC: dict[str, Any] = {"image": "busybox:1", "command": ["lines"]}


async def test_a_submission_answers_with_the_job_and_where_it_is(api: Caller) -> None:
    answer = await api.post("/v1/jobs", {**SPEC, "name": "first", "timeout": "5m"})
    assert answer.status == 201
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["spec"]["name"], job["spec"]["timeout"]) == ("QUEUED", "first", 300)
    assert job["attempts"] == []
    assert (await api.get(answer.headers["location"])).json()["id"] == job["id"]


async def test_a_job_is_shown_with_every_key_and_times_in_utc(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["fails"])
    await core.ends(job_id)
    job = (await api.get(f"/v1/jobs/{job_id}")).json()
    assert set(job) == set(Job.__struct_fields__)
    assert (job["state"], job["reason"], job["exit_code"]) == ("FAILED", "NonZeroExit", 7)
    assert job["created_at"].endswith("Z")
    assert datetime.fromisoformat(job["created_at"]) <= datetime.fromisoformat(job["finished_at"])
    [attempt] = job["attempts"]
    assert (attempt["attempt"], attempt["exit_code"], attempt["log"]["bytes"]) == (1, 7, 7)


async def test_a_spec_as_it_is_shown_can_be_posted_again(api: Caller) -> None:
    first = (await api.post("/v1/jobs", {**SPEC, "env": {"A": "1"}, "labels": {"team": "x"}})).json()
    again = await api.post("/v1/jobs", first["spec"])
    assert again.status == 201
    assert again.json()["spec"] == first["spec"]
    assert again.json()["id"] != first["id"]


async def test_every_fault_of_a_spec_is_named_at_once(api: Caller) -> None:
    answer = await api.post("/v1/jobs", {"imagee": "x", "memory": "12 potatoes", "timeout": -1, "command": "ls -l"})
    assert (answer.status, answer.code) == (422, "invalid_spec")
    assert set(answer.pointers) == {"#/imagee", "#/image", "#/memory", "#/timeout", "#/command"}
    assert "did you mean `image`?" in answer.body.decode()


async def test_a_refused_submission_leaves_no_trace(api: Caller) -> None:
    for body in ({}, {**SPEC, "id": "UPPER"}, [SPEC], "text", None):
        assert (await api.post("/v1/jobs", json.dumps(body).encode())).status == 422
    assert (await api.get("/v1/jobs")).json() == {"jobs": [], "next_page_token": None}


NOT_JSON = [
    b"",
    b"  ",
    b"{",
    b"{} x",
    b"{'a': 1}",
    b'{"image": NaN}',
    b'{"priority": 1e999}',
    b'{"priority": 1' + b"0" * 100 + b"}",
    b'{"priority": 1' + b"0" * 5000 + b"}",
    b'{"image": "\xff"}',
    b'{"image": "\\ud800"}',
    b'{"image": "a", "image": "b"}',
    b'{"env": {"A": "1", "\\u0041": "2"}}',
    b"[" * 100_000,
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
]


@pytest.mark.parametrize("body", NOT_JSON, ids=range(len(NOT_JSON)))
async def test_what_is_not_strict_json_is_refused(api: Caller, body: bytes) -> None:
    answer = await api.post("/v1/jobs", body)
    assert (answer.status, answer.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (rb'{"image": "a", "args": ["x", "\ud800"]}', "the text at #/args/1 "),
        (rb'{"image": "a", "env": {"A": "\udc00 and more"}}', "the text at #/env/A "),
        (rb'{"image": "a", "command": ["\ud83d\u0041"]}', "the text at #/command/0 "),
        (rb'{"image": "a", "labels": {"\ud800": "x"}}', "the text at #/labels/? "),
        (rb'{"image": "a", "args": ["\ud800"], "name": ', "the body is not JSON"),
        (rb'{"image": "a", "args": ["\ud8', "truncated"),
    ],
)
async def test_half_of_a_surrogate_pair_is_named_with_its_place(api: Caller, body: bytes, where: str) -> None:
    answer = await api.post("/v1/jobs", body)
    assert (answer.status, answer.code) == (400, "invalid_json")
    detail = answer.json()["detail"]
    assert where in detail
    assert ("half of a surrogate pair" in detail) is ("#" in where)


async def test_an_error_never_repeats_the_value_of_a_variable(api: Caller) -> None:
    answer = await api.post("/v1/jobs", {**SPEC, "env": {"PASSWORD": 12345678, "OTHER": ["hunter2"]}, "name": 5})
    assert answer.status == 422
    assert "hunter2" not in answer.body.decode()


async def test_secret_values_are_hidden(api: Caller) -> None:
    answer = await api.post("/v1/jobs", {**SPEC, "env": {"DB_PASSWORD": "hunter2", "PLAIN": "seen"}})
    assert answer.json()["spec"]["env"] == {"DB_PASSWORD": "***", "PLAIN": "seen"}
    shown = (await api.get(answer.headers["location"])).body + (await api.get("/v1/jobs")).body
    assert b"hunter2" not in shown


async def test_the_same_key_and_body_start_one_job(api: Caller) -> None:
    first = await api.post("/v1/jobs", SPEC, idempotency_key="abc 1")
    again = await api.post("/v1/jobs", SPEC, idempotency_key="abc 1")
    assert (first.status, "spark-replayed" in first.headers) == (201, False)
    assert (again.status, again.headers["spark-replayed"]) == (200, "true")
    assert again.json()["id"] == first.json()["id"]
    other = await api.post("/v1/jobs", {**SPEC, "name": "x"}, idempotency_key="abc 1")
    assert (other.status, other.code) == (409, "idempotency_conflict")


async def test_twenty_parallel_submissions_with_one_key_are_one_job(api: Caller) -> None:
    answers = await asyncio.gather(*(api.post("/v1/jobs", SPEC, idempotency_key="one") for _ in range(20)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]


@pytest.mark.parametrize("key", ["x" * 256, "caf\xe9", "a\tb"])
async def test_a_key_that_no_log_could_show_is_refused(api: Caller, key: str) -> None:
    answer = await api.post("/v1/jobs", SPEC, idempotency_key=key)
    assert (answer.status, answer.pointers) == (422, ["Idempotency-Key"])


async def test_an_id_belongs_to_one_job(api: Caller) -> None:
    assert (await api.post("/v1/jobs", {**SPEC, "id": "mine"})).status == 201
    assert (await api.post("/v1/jobs", {**SPEC, "id": "mine"})).status == 200
    other = await api.post("/v1/jobs", {**SPEC, "id": "mine", "name": "other"})
    assert (other.status, other.code) == (409, "id_conflict")


async def test_a_body_above_one_mebibyte_is_refused_before_all_of_it_is_read(api: Caller) -> None:
    answer = await api.post("/v1/jobs", {**SPEC, "args": ["x" * (2 * 1024 * 1024)]})
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("job_id", ["nothing-here", "UPPER", "a" * 64, "..", "a_b", "%00"])
async def test_a_job_that_is_not_there_is_said_so(api: Caller, job_id: str) -> None:
    for answer in (
        await api.get(f"/v1/jobs/{job_id}"),
        await api.get(f"/v1/jobs/{job_id}/logs"),
        await api.get(f"/v1/jobs/{job_id}/events"),
        await api.post(f"/v1/jobs/{job_id}/cancel"),
        await api.post(f"/v1/jobs/{job_id}/retry"),
        await api.delete(f"/v1/jobs/{job_id}"),
    ):
        assert (answer.status, answer.code) == (404, "job_not_found")


async def test_a_wait_ends_with_the_job(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["lines"])
    assert (await api.get(f"/v1/jobs/{job_id}?wait=30s")).json()["state"] == "SUCCEEDED"


async def test_a_wait_ends_with_its_time(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["forever"])
    assert (await api.get(f"/v1/jobs/{job_id}?wait=10ms")).json()["state"] != "SUCCEEDED"
    assert (await api.get(f"/v1/jobs/{job_id}?wait=0")).status == 200


async def test_who_hangs_up_no_longer_waits(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["forever"])
    async with api.open("GET", f"/v1/jobs/{job_id}?wait=1h") as exchange:
        await core.until(job_id, lambda job: job.state == "RUNNING")
        exchange.hang_up()
        await exchange.begun()
        await exchange.rest()
        await exchange.ended()


async def test_cancel_says_whether_a_container_has_to_be_stopped_first(api: Caller, core: Bench) -> None:
    running = await core.submit(command=["forever"])
    await core.until(running, lambda job: job.state == "RUNNING")
    await api.post("/v1/queue/pause")
    queued = await core.submit(command=["forever"])
    at_once = await api.post(f"/v1/jobs/{queued}/cancel")
    assert (at_once.status, at_once.json()["state"]) == (200, "CANCELLED")
    asked = await api.post(f"/v1/jobs/{running}/cancel")
    assert (asked.status, asked.json()["state"]) == (202, "RUNNING")
    assert asked.json()["cancel_requested_at"] is not None
    assert (await core.ends(running)).state == "CANCELLED"
    assert (await api.post(f"/v1/jobs/{running}/cancel")).status == 200


async def test_only_what_is_not_over_can_be_cancelled(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    answer = await api.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status, answer.code) == (409, "not_cancellable")


async def test_a_retry_is_a_new_job_of_the_same_spec(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["fails"], env={"TOKEN": "hunter2"})
    early = await api.post(f"/v1/jobs/{job_id}/retry")
    assert (early.status, early.code) == (409, "not_retryable")
    await core.ends(job_id)
    answer = await api.post(f"/v1/jobs/{job_id}/retry")
    assert (answer.status, answer.json()["retry_of"]) == (201, job_id)
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    assert answer.json()["id"] != job_id


async def test_a_job_that_is_over_can_be_deleted(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["lines"])
    early = await api.delete(f"/v1/jobs/{job_id}")
    assert (early.status, early.code) == (409, "not_deletable")
    await core.ends(job_id)
    await core.closed()
    gone = await api.delete(f"/v1/jobs/{job_id}")
    assert (gone.status, gone.body) == (204, b"")
    assert (await api.get(f"/v1/jobs/{job_id}")).status == 404


async def test_a_full_queue_says_how_much_room_there_is_and_when_to_come_back(core: Bench) -> None:
    policy = Policy(defaults=Defaults(), queue_size=2, slots=2)
    parts = core.core
    service = JobService(parts.store, LogBook(parts.store, parts.bus), parts.bus, policy, clock=utc_now)
    api = Caller(create_api(service, Access(), parts.metrics, lambda: HEALTHY))
    await api.post("/v1/queue/pause")
    assert (await api.post("/v1/jobs", SPEC)).status == 201
    both = await api.post("/v1/jobs/batch", {"jobs": [SPEC, SPEC]})
    assert (both.status, both.code, both.json()["free"]) == (429, "queue_full", 1)
    assert int(both.headers["retry-after"]) >= 1
    assert (await api.post("/v1/jobs/batch", {"jobs": [SPEC] * 3})).code == "invalid_spec"
    assert (await api.post("/v1/jobs", SPEC)).status == 201
    assert (await api.post("/v1/jobs", SPEC)).json()["free"] == 0


async def test_a_server_about_to_stop_takes_nothing_new(api: Caller, core: Bench) -> None:
    core.service.drain()
    answer = await api.post("/v1/jobs", SPEC)
    assert (answer.status, answer.code) == (503, "draining")
    assert "retry-after" in answer.headers
    assert (await api.get("/v1/jobs")).status == 200


async def test_a_batch_is_accepted_in_order(api: Caller) -> None:
    answer = await api.post("/v1/jobs/batch", {"jobs": [{**SPEC, "id": f"job-{number}"} for number in range(5)]})
    assert answer.status == 201
    assert [job["id"] for job in answer.json()["jobs"]] == [f"job-{number}" for number in range(5)]


async def test_a_batch_is_accepted_whole_or_not_at_all(api: Caller) -> None:
    answer = await api.post("/v1/jobs/batch", {"jobs": [SPEC, {**SPEC, "image": ""}, SPEC, {"command": ["x"]}]})
    assert (answer.status, answer.pointers) == (422, ["#/jobs/1/image", "#/jobs/3/image"])
    assert (await api.get("/v1/jobs")).json()["jobs"] == []


@pytest.mark.parametrize(
    "body", [{}, [], {"jobs": []}, {"jobs": SPEC}, {"jobs": [SPEC] * 1001}, {"jobs": [SPEC], "job": 1}, {"jobs": None}]
)
async def test_what_is_no_batch_is_refused(api: Caller, body: object) -> None:
    answer = await api.post("/v1/jobs/batch", body)
    assert (answer.status, answer.code) == (422, "invalid_spec")


async def test_a_batch_takes_no_key(api: Caller) -> None:
    answer = await api.post("/v1/jobs/batch", {"jobs": [SPEC]}, idempotency_key="k")
    assert (answer.status, answer.pointers) == (422, ["Idempotency-Key"])


async def _list(api: Caller, query: str = "") -> Answer:
    return await api.get(f"/v1/jobs?{query}")


async def _ids(api: Caller, query: str = "") -> list[str]:
    answer = await _list(api, query)
    assert answer.status == 200, answer.body
    return [job["id"] for job in answer.json()["jobs"]]


async def test_a_list_is_newest_first_and_shows_neither_attempts_nor_env(api: Caller) -> None:
    for name in ("a", "b", "c"):
        await api.post("/v1/jobs", {**SPEC, "id": name, "env": {"X": "seen"}})
    answer = await _list(api)
    assert [job["id"] for job in answer.json()["jobs"]] == ["c", "b", "a"]
    for job in answer.json()["jobs"]:
        assert set(job) == set(Job.__struct_fields__) - {"attempts"}
        assert "env" not in job["spec"]
        assert job["position"] is None
    assert b"seen" not in answer.body


async def test_pages_show_every_job_once_although_others_come_and_go(api: Caller) -> None:
    await api.post("/v1/queue/pause")
    for number in range(5):
        await api.post("/v1/jobs", {**SPEC, "id": f"job-{number}"})
    seen: list[str] = []
    token: str | None = ""
    while token is not None:
        page = (await _list(api, f"page_size=2{'&page_token=' + token if token else ''}")).json()
        seen += [job["id"] for job in page["jobs"]]
        await api.post("/v1/jobs", {**SPEC, "id": f"late-{len(seen)}"})
        token = page["next_page_token"]
    assert seen == ["job-4", "job-3", "job-2", "job-1", "job-0"]


async def test_a_page_token_belongs_to_its_filters(api: Caller) -> None:
    for number in range(3):
        await api.post("/v1/jobs", {**SPEC, "id": f"job-{number}"})
    token = (await _list(api, "page_size=1&id_prefix=job")).json()["next_page_token"]
    assert await _ids(api, f"page_size=1&id_prefix=job&page_token={token}") == ["job-1"]
    assert await _ids(api, f"page_size=2&id_prefix=job&page_token={token}") == ["job-1", "job-0"]
    for query in (f"page_token={token}", f"id_prefix=jo&page_token={token}", f"id_prefix=job&page_token=A{token}"):
        answer = await _list(api, query)
        assert (answer.status, answer.code) == (400, "invalid_page_token")


@pytest.mark.parametrize("token", ["", "x", "AAAA", "%F0%9F%8E%89", "A" * 1000])
async def test_a_made_up_page_token_is_refused(api: Caller, token: str) -> None:
    assert (await _list(api, f"page_token={token}")).code == "invalid_page_token"


async def test_filters_must_all_hold(api: Caller, core: Bench) -> None:
    failed = await core.submit(command=["fails"], name="nightly-1", labels={"team": "red", "x": ""})
    good = await core.submit(command=["lines"], name="nightly-2", labels={"team": "blue"})
    await core.ends(failed)
    await core.ends(good)
    await api.post("/v1/queue/pause")
    queued = await core.submit(command=["lines"], name="daily", labels={"team": "red"}, id="some-id")
    assert await _ids(api, "state=FAILED") == [failed]
    assert await _ids(api, "state=failed,queued") == await _ids(api, "state=FAILED&state=QUEUED") == [queued, failed]
    assert await _ids(api, "state=active") == [queued]
    assert await _ids(api, "state=finished") == [good, failed]
    assert await _ids(api, "label=team%3Dred") == await _ids(api, "label=team=red") == [queued, failed]
    assert await _ids(api, "label=team=red&label=x") == [failed]
    assert await _ids(api, "name=daily") == await _ids(api, "id_prefix=some") == [queued]
    assert await _ids(api, "name_prefix=nightly&state=SUCCEEDED") == [good]
    assert await _ids(api, "since=1h") == [queued, good, failed]
    assert await _ids(api, "until=1h") == await _ids(api, "since=2100-01-01T00:00:00Z") == []
    assert await _ids(api, "until=2100-01-01T00:00:00%2B02:00&name=daily") == [queued]
    assert await _ids(api, "name_prefix=100%25_") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("page_size=0", "?page_size"),
        ("page_size=1001", "?page_size"),
        ("page_size=ten", "?page_size"),
        ("page_size=-1", "?page_size"),
        ("page_size=5&page_size=6", "?page_size"),
        ("page_siz=5", "?page_siz"),
        ("state=FALED", "?state"),
        ("state=", "?state"),
        ("label==x", "?label"),
        ("since=yesterday", "?since"),
        ("since=2026-02-30T00:00:00Z", "?since"),
        ("name=a%00b", "?name"),
        ("name=" + "x" * 2000, "?name"),
        ("name=%ff", "?"),
        ("wait=5", "?wait"),
    ],
)
async def test_a_parameter_that_means_nothing_is_refused(api: Caller, query: str, pointer: str) -> None:
    answer = await _list(api, query)
    assert (answer.status, answer.code, answer.pointers) == (422, "invalid_spec", [pointer])


async def test_a_misspelt_parameter_is_answered_with_the_nearest_one(api: Caller) -> None:
    assert "did you mean `page_size`?" in (await _list(api, "page_siz=5")).body.decode()
    assert "did you mean `FAILED`?" in (await _list(api, "state=FALED")).body.decode().replace("`failed`", "`FAILED`")
    assert (await api.get("/v1/queue?verbose=1")).code == "invalid_spec"


async def test_all_faults_of_a_query_are_named_at_once(api: Caller) -> None:
    answer = await _list(api, "page_size=0&since=never&state=NEVER")
    assert set(answer.pointers) == {"?page_size", "?since", "?state"}


async def test_the_queue_can_be_paused_and_resumed(api: Caller, core: Bench) -> None:
    assert (await api.post("/v1/queue/pause")).json()["paused"] is True
    job_id = await core.submit(command=["lines"])
    view = (await api.get("/v1/queue")).json()
    assert (view["depth"], view["running"], view["slots"], view["paused"]) == (1, 0, 2, True)
    assert (await api.get(f"/v1/jobs/{job_id}")).json()["position"] == 1
    assert (await api.post("/v1/queue/resume")).json()["paused"] is False
    await core.ends(job_id)
