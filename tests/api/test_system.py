"""Health, metrics, the description and its page, and errors that should not happen."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spark_jobs.api import wire
from spark_jobs.api.openapi import describe
from spark_jobs.api.rest import ROUTES, create_api
from spark_jobs.api.wire import ERRORS, HealthView, problem, problem_headers
from spark_jobs.auth import Access
from spark_jobs.domain import errors
from spark_jobs.domain.errors import Fault, InvalidSpec, QueueFull, SparkError, StoreUnavailable
from spark_jobs.domain.job import Job
from spark_jobs.domain.schedule import Waiting
from spark_jobs.domain.spec import JobSpec
from spark_jobs.metrics import Metrics
from tests.api.asgi import Caller
from tests.engine.bench import Bench

STATIC = Path(wire.__file__).parent / "static"


def with_health(core: Bench, health: HealthView) -> Caller:
    return Caller(create_api(core.service, Access(), core.core.metrics, lambda: health))


async def test_a_server_that_answers_is_alive(api: Caller) -> None:
    answer = await api.get("/livez")
    assert (answer.status, answer.json()) == (200, {"status": "ok"})


async def test_a_cluster_that_is_away_does_not_make_the_server_unready(core: Bench) -> None:
    """Invariant 9: reads are served from the store."""
    since = datetime(2031, 5, 4, 12, 30, tzinfo=UTC)
    away = with_health(core, HealthView(store_open=True, engine_runs=True, unreachable_since=since))
    answer = await away.get("/readyz")
    assert (answer.status, answer.json()["status"]) == (200, "ready")
    assert answer.json()["cluster"] == "unreachable since 2031-05-04T12:30:00Z"


@pytest.mark.parametrize(("store_open", "engine_runs"), [(False, True), (True, False), (False, False)])
async def test_without_store_or_engine_the_server_is_not_ready(
    core: Bench, store_open: bool, engine_runs: bool
) -> None:
    answer = await with_health(core, HealthView(store_open=store_open, engine_runs=engine_runs)).get("/readyz")
    view = answer.json()
    assert (answer.status, view["status"], view["cluster"]) == (503, "not ready", "reachable")
    assert (view["store"], view["engine"]) == (
        "open" if store_open else "closed",
        "running" if engine_runs else "stalled",
    )


async def test_a_server_about_to_stop_is_not_ready(api: Caller, core: Bench) -> None:
    assert (await api.get("/readyz")).json()["status"] == "ready"
    core.service.drain()
    answer = await api.get("/readyz")
    assert (answer.status, answer.json()["status"]) == (503, "draining")


async def test_metrics_tell_of_jobs_and_never_name_one(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["fails"], name="very-special-name")
    await core.ends(job_id)
    answer = await api.get("/metrics")
    text = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'spark_jobs{reason="NonZeroExit",state="FAILED"} 1.0' in text
    assert "spark_queue_depth 0.0" in text
    assert re.search(r"spark_commit_seconds_count [1-9]", text)
    assert job_id not in text
    assert "very-special-name" not in text


async def test_metrics_are_served_while_a_figure_can_not_be_had(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()

    async def refresh() -> None:
        raise StoreUnavailable("disk full")

    metrics.before_scrape(refresh)
    metrics.log_stored(5)
    assert b"spark_log_bytes_total 5.0" in await metrics.render()
    assert "disk full" in caplog.text


async def test_every_figure_has_its_method() -> None:
    metrics = Metrics()
    metrics.set_queue(depth=3, backoff=1, running=2, slots=5, paused=True)
    metrics.queue_waited(1)
    metrics.kubernetes_request("list", 200, 0.1)
    metrics.kubernetes_request("watch", "timeout")
    metrics.limiter_waited(0.2)
    metrics.watch_restarted("pods")
    metrics.set_unknown_objects(4)
    metrics.http_request("BREW", 418)
    text = (await metrics.render()).decode()
    for line in (
        "spark_queue_depth 3.0",
        "spark_queue_backoff 1.0",
        "spark_slots_in_use 2.0",
        "spark_queue_paused 1.0",
        "spark_queue_wait_seconds_count 1.0",
        'spark_kubernetes_requests_total{code="200",verb="list"} 1.0',
        'spark_kubernetes_requests_total{code="timeout",verb="watch"} 1.0',
        "spark_kubernetes_limiter_wait_seconds_sum 0.2",
        'spark_watch_restarts_total{kind="pods"} 1.0',
        "spark_unknown_objects 4.0",
        'spark_http_requests_total{code="418",method="other"} 1.0',
    ):
        assert line in text


async def test_an_error_that_should_not_happen_is_told_by_an_id_that_stands_in_the_log(
    core: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> HealthView:
        raise RuntimeError("secret detail")

    api = Caller(create_api(core.service, Access(), core.core.metrics, broken))
    answer = await api.get("/readyz", authorization="Bearer hunter2")
    assert (answer.status, answer.code) == (500, "internal")
    assert answer.json()["incident"] in caplog.text
    assert "secret detail" in caplog.text
    assert "secret detail" not in answer.body.decode()
    assert "Traceback" not in answer.body.decode()
    assert "hunter2" not in caplog.text
    assert b'spark_unexpected_errors_total{where="api"} 1.0' in await core.core.metrics.render()


def test_every_error_of_a_request_has_a_row() -> None:
    families = (errors.BadRequest, errors.AccessRefused, errors.NotFound, errors.Conflict, errors.TryAgain)
    codes = {kind.code for family in families for kind in family.__subclasses__()} | {errors.EventsGone.code}
    assert codes <= set(ERRORS)
    framework = {"bad_request", "not_found", "method_not_allowed", "internal"}
    assert set(ERRORS) - codes == framework


@pytest.mark.parametrize("code", ERRORS)
def test_a_row_says_what_happened_to_http_and_to_grpc(code: str) -> None:
    row = ERRORS[code]
    assert 400 <= row.status <= 503
    assert row.grpc.isupper()
    assert row.title


def test_problems_carry_what_a_client_needs() -> None:
    full: SparkError = QueueFull("no room", free=3, retry_after=0.2)
    assert msgspec.to_builtins(problem(full))["free"] == 3
    assert problem_headers(full) == {"Retry-After": "1"}
    shown = msgspec.to_builtins(problem(InvalidSpec([Fault("#/image", "missing", "required")])))
    assert shown["errors"] == [{"pointer": "#/image", "detail": "missing", "code": "required"}]
    assert (shown["type"], shown["status"]) == ("urn:spark-jobs:error:invalid_spec", 422)
    assert "free" not in shown


async def test_the_queue_says_what_waits_with_every_key(api: Caller, core: Bench) -> None:
    await core.ends(await core.submit(command=["lines"]))
    await api.post("/v1/queue/pause")
    job_id = await core.submit(command=["lines"], name="nightly", priority=3)
    [waiting] = (await api.get("/v1/queue")).json()["waiting"]
    assert waiting.pop("created_at") == (await api.get(f"/v1/jobs/{job_id}")).json()["created_at"]
    assert waiting == {
        "id": job_id,
        "name": "nightly",
        "priority": 3,
        "position": 1,
        "not_before": None,
        "estimated_start_at": None,
        "why": "the queue is paused",
    }


async def _description(api: Caller) -> Any:
    answer = await api.get("/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


async def test_the_description_has_every_route_and_resolves(api: Caller) -> None:
    document = await _description(api)
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    routes = {
        (str(method), path.replace(":str}", "}"))
        for route in ROUTES
        for path in route.paths
        for method in route.http_methods
        if not path.startswith(("/docs", "/openapi.json"))
    }
    assert described == routes
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', msgspec.json.encode(document).decode()))
    assert references <= set(document["components"]["schemas"])


async def test_the_description_names_every_field_and_every_code(api: Caller) -> None:
    document = await _description(api)
    schemas = document["components"]["schemas"]
    fields = set(JobSpec.__struct_fields__)
    assert set(schemas["JobSpecInput"]["properties"]) == set(schemas["JobSpec"]["properties"]) == fields
    assert (schemas["JobSpecInput"]["required"], set(schemas["JobSpec"]["required"])) == (["image"], fields)
    assert set(schemas["Job"]["required"]) == set(Job.__struct_fields__)
    assert set(schemas["Waiting"]["required"]) == set(Waiting.__struct_fields__)
    assert schemas["QueueView"]["properties"]["waiting"]["items"] == {"$ref": "#/components/schemas/Waiting"}
    text = msgspec.json.encode(document).decode()
    for code in set(ERRORS) - {"not_found", "method_not_allowed", "permission_denied", "unauthenticated"}:
        assert f"`{code}`" in text, code


async def test_what_is_posted_and_what_is_answered_are_described(api: Caller) -> None:
    submit = (await _description(api))["paths"]["/v1/jobs"]["post"]
    reference = {"$ref": "#/components/schemas/JobSpecInput"}
    assert submit["requestBody"]["content"] == {"application/json": {"schema": reference}}
    assert {"200", "201", "400", "409", "413", "415", "422", "429", "503"} <= set(submit["responses"])
    assert submit["responses"]["422"]["content"].keys() == {"application/problem+json"}


@pytest.mark.parametrize(("token", "security"), [(True, [{"token": []}]), (False, None)])
def test_a_token_is_described_where_one_is_asked_for(token: bool, security: object) -> None:
    document = msgspec.json.decode(describe(ROUTES, version="1.2.3", token=token))
    assert document["info"]["version"] == "1.2.3"
    assert document["paths"]["/v1/jobs"]["get"].get("security") == security
    assert "security" not in document["paths"]["/livez"]["get"]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


async def test_the_page_and_its_files_come_from_this_server_alone(api: Caller) -> None:
    page = await api.get("/docs")
    assert (page.status, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.body.decode())
    assert len(addresses) == 5
    for address in addresses:
        answer = await api.get(address)
        assert answer.status == 200, address
        assert len(answer.body) > 100
    assert "http:" not in page.body.decode() + (STATIC / "docs.js").read_text()
    assert "<script>" not in page.body.decode()


@pytest.mark.parametrize("name", ["nothing.js", "..%2fdocs.js", "VERSION", "docs.html"])
async def test_no_other_file_is_served(api: Caller, name: str) -> None:
    assert (await api.get(f"/docs/{name}")).status == 404
