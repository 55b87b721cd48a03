"""The guard before routing: who gets nothing, whatever the route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from spark_jobs.api.guard import Guard, GuardRules
from spark_jobs.api.rest import create_api
from spark_jobs.api.routing import ApiSettings
from spark_jobs.auth import Access, FixedToken
from spark_jobs.metrics import Metrics
from tests.api.asgi import Answer, Caller, Exchange, Request
from tests.api.conftest import HEALTHY
from tests.engine.bench import Bench

TOKEN = "correct-horse-battery-staple"
SPEC = b'{"image": "busybox:1", "command": ["lines"]}'
ROUTES = [
    ("GET", "/v1/jobs"),
    ("POST", "/v1/jobs"),
    ("POST", "/v1/jobs/batch"),
    ("GET", "/v1/jobs/x"),
    ("DELETE", "/v1/jobs/x"),
    ("POST", "/v1/jobs/x/cancel"),
    ("POST", "/v1/jobs/x/retry"),
    ("GET", "/v1/jobs/x/logs"),
    ("GET", "/v1/jobs/x/events"),
    ("GET", "/v1/events"),
    ("GET", "/v1/queue"),
    ("POST", "/v1/queue/pause"),
    ("POST", "/v1/queue/resume"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/docs.js"),
    ("GET", "/no/such/route"),
    ("HEAD", "/v1/jobs"),
    ("OPTIONS", "/v1/jobs"),
]
FREE = [("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics")]


def app(core: Bench, *, token: str | None = None, **rules: Any) -> Any:
    access = Access(FixedToken(token)) if token else Access()
    return create_api(
        core.service, access, core.core.metrics, lambda: HEALTHY, ApiSettings(rules=GuardRules(**rules), version="1")
    )


async def call(app: Any, method: str, target: str, *headers: tuple[str, str], body: bytes = SPEC) -> Answer:
    typed = [("Content-Type", "application/json")] if method == "POST" else []
    return await Caller(app).send(Request(method, target, [*typed, *headers], [body if method == "POST" else b""]))


@pytest.fixture
async def open_app(core: Bench) -> AsyncIterator[Any]:
    """On loopback, without a token."""
    opened = app(core)
    yield opened
    assert (await Caller(opened).get("/v1/jobs")).json()["jobs"] == [], "something was submitted"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "", "odd"])
async def test_pages_of_other_sites_get_nothing(open_app: Any, site: str) -> None:
    for method, target in ROUTES + FREE:
        headers = [("Sec-Fetch-Site", site)] if site else [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")]
        answer = await call(open_app, method, target, *headers)
        assert answer.status == 403
        assert method == "HEAD" or answer.code == "forbidden_origin"


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:3000", "http://127.0.0.1:8000", "null"])
async def test_pages_of_other_origins_get_nothing(open_app: Any, origin: str) -> None:
    for method, target in ROUTES + FREE:
        answer = await call(open_app, method, target, ("Origin", origin))
        assert answer.status == 403
        assert method == "HEAD" or answer.code == "forbidden_origin"


async def test_its_own_pages_may_call(core: Bench) -> None:
    own = [("Origin", "http://localhost:8000"), ("Sec-Fetch-Site", "same-origin")]
    assert (await call(app(core), "POST", "/v1/jobs", *own)).status == 201
    assert (await call(app(core), "GET", "/v1/jobs", ("Sec-Fetch-Site", "none"))).status == 200
    behind_tls = [("Host", "Spark.Example"), ("Origin", "https://spark.example")]
    assert (await call(app(core, loopback=False), "GET", "/v1/jobs", *behind_tls)).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8000", "a@localhost", "10.0.0.1", "", "[::2]"]
)
async def test_a_foreign_host_gets_nothing(open_app: Any, host: str) -> None:
    for method, target in ROUTES + FREE:
        headers = [("Host", host)] if host else [("Host", "localhost"), ("Host", "localhost")]
        answer = await call(open_app, method, target, *headers)
        assert answer.status == 421
        assert method == "HEAD" or answer.code == "unknown_host"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:8000", "spark.test:80"]
)
async def test_the_names_of_this_machine_and_those_allowed_are_answered(core: Bench, host: str) -> None:
    assert (await call(app(core, allowed_hosts=("Spark.test",)), "GET", "/v1/queue", ("Host", host))).status == 200


async def test_elsewhere_than_on_loopback_any_host_is_answered(core: Bench) -> None:
    assert (await call(app(core, loopback=False), "GET", "/v1/queue", ("Host", "spark.example"))).status == 200


WRITING = [route for route in ROUTES if route[0] in ("POST", "DELETE")]
FORMS = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "*/*",
]


@pytest.mark.parametrize("media_type", [*FORMS, "application/json; charset=latin-1", "text/plain;application/json"])
async def test_forms_and_plain_text_get_nothing(open_app: Any, media_type: str) -> None:
    for method, target in WRITING:
        answer = await Caller(open_app).send(Request(method, target, [("Content-Type", media_type)], [SPEC]))
        assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_a_body_without_a_type_or_in_a_coding_gets_nothing(open_app: Any) -> None:
    json = ("Content-Type", "application/json")
    for headers in (
        [],
        [json, ("Content-Type", "text/plain")],
        [json, ("Content-Encoding", "gzip")],
    ):
        answer = await Caller(open_app).send(Request("POST", "/v1/jobs", headers, [SPEC]))
        assert (answer.status, answer.code) == (415, "unsupported_media_type")
    untyped = Request("POST", "/v1/queue/pause", [("Content-Length", "2")], [b"{}"])
    assert (await Caller(open_app).send(untyped)).code == "unsupported_media_type"


ORIGINAL = ["/v1/queue_job", "/v1/get_job_logs", "/v1/get_job_status"]


@pytest.mark.parametrize("media_type", [None, *FORMS, "application/json"])
async def test_clients_of_the_first_spark_may_send_any_type(core: Bench, media_type: str | None) -> None:
    headers = [("Content-Type", media_type)] if media_type else []
    body = b'{"image": "busybox:1", "command": ["lines"]}'
    length = ("Content-Length", str(len(body)))
    answer = await Caller(app(core)).send(Request("POST", "/v1/queue_job", [*headers, length], [body]))
    assert answer.status == 200
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("target", [*ORIGINAL, "/v1/queue_job/"])
async def test_a_browser_may_not(open_app: Any, target: str) -> None:
    own = [("Origin", "http://localhost:8000")]
    for says_where in (own, [("Sec-Fetch-Site", "same-origin")], [("Sec-Fetch-Site", "none")]):
        for media_type in (None, *FORMS):
            headers = [*says_where, *([("Content-Type", media_type)] if media_type else [])]
            answer = await Caller(open_app).send(Request("POST", target, headers, [SPEC]))
            assert (answer.status, answer.json()["details"][0]["reason"]) == (400, "unsupported_media_type")


async def test_the_rest_of_the_guard_stands_before_the_first_sparks_routes(core: Bench) -> None:
    locked = app(core, token=TOKEN)
    for method, target in [*(("POST", target) for target in ORIGINAL), ("GET", "/v1/ping")]:
        for header, status, reason in (
            (("Origin", "http://evil.example"), 403, "forbidden_origin"),
            (("Sec-Fetch-Site", "cross-site"), 403, "forbidden_origin"),
            (("Host", "evil.example"), 403, "unknown_host"),
            (("Content-Encoding", "gzip"), 400, "unsupported_media_type"),
            (("X-Nothing", "x"), 401, "unauthenticated"),
        ):
            if method == "GET" and reason == "unsupported_media_type":
                continue
            answer = await call(locked, method, target, header)
            assert (answer.status, answer.json()["details"][0]["reason"]) == (status, reason)
            assert answer.headers["content-type"] == "application/json"
    untold = await call(locked, "GET", "/v1/ping")
    assert untold.headers["www-authenticate"].startswith("Bearer")
    assert (await call(locked, "GET", "/v1/ping", ("Authorization", f"Bearer {TOKEN}"))).status == 200


async def test_json_is_json_however_it_is_spelt(core: Bench) -> None:
    for media_type in ("application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'):
        answer = await Caller(app(core)).send(Request("POST", "/v1/jobs", [("Content-Type", media_type)], [SPEC]))
        assert answer.status == 201


@pytest.mark.parametrize(
    "authorization",
    [
        [],
        ["Bearer wrong"],
        [f"Basic {TOKEN}"],
        [TOKEN],
        [f"Bearer {TOKEN}x"],
        ["Bearer "],
        [f"Bearer {TOKEN}", "Bearer x"],
        [f"Bearer {TOKEN}\xe9"],
    ],
)
async def test_without_the_token_everything_is_refused(core: Bench, authorization: list[str]) -> None:
    locked = app(core, token=TOKEN)
    for method, target in ROUTES:
        headers = [("Authorization", value) for value in authorization]
        answer = await call(locked, method, target, *headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN.encode() not in answer.body
        assert method == "HEAD" or answer.code == "unauthenticated"


async def test_with_the_token_it_works(core: Bench) -> None:
    for scheme in ("Bearer", "bearer"):
        answer = await call(app(core, token=TOKEN), "POST", "/v1/jobs", ("Authorization", f"{scheme} {TOKEN}"))
        assert answer.status == 201


async def test_health_and_metrics_need_no_token(core: Bench) -> None:
    locked = app(core, token=TOKEN)
    for method, target in FREE:
        assert (await call(locked, method, target)).status == 200
        assert (await call(locked, method, f"/{target}")).status in (401, 404)


async def test_the_page_of_the_description_says_how_to_get_it_with_a_token(core: Bench) -> None:
    answer = await call(app(core, token=TOKEN), "GET", "/docs")
    assert "curl" in answer.json()["detail"]


async def test_every_answer_is_kept_from_being_run_as_a_page(open_app: Any) -> None:
    for method, target in ROUTES + FREE:
        async with Caller(open_app).open(method, target) as exchange:
            answer = await exchange.begun()
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "access-control-allow-origin" not in answer.headers


async def test_an_allowed_origin_may_call_and_read(core: Bench) -> None:
    page = ("Origin", "https://page.example")
    allowed = app(core, token=TOKEN, allow_origins=("https://page.example",))
    preflight = await call(allowed, "OPTIONS", "/v1/jobs", page, ("Access-Control-Request-Method", "POST"))
    assert preflight.status == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    headers = [page, ("Sec-Fetch-Site", "cross-site"), ("Authorization", f"Bearer {TOKEN}")]
    answer = await call(allowed, "POST", "/v1/jobs", *headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (201, "https://page.example")
    assert (await call(allowed, "POST", "/v1/jobs", page)).status == 401
    other = ("Origin", "https://other.example")
    assert (await call(allowed, "GET", "/v1/jobs", other)).status == 403
    assert (await call(allowed, "OPTIONS", "/v1/jobs", other, ("Access-Control-Request-Method", "POST"))).status == 403


async def test_head_is_get_without_the_body(core: Bench) -> None:
    get, head = await call(app(core), "GET", "/openapi.json"), await call(app(core), "HEAD", "/openapi.json")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == get.headers


async def test_head_of_a_stream_ends(core: Bench) -> None:
    job_id = await core.submit(command=["forever"])
    answer = await call(app(core), "HEAD", f"/v1/jobs/{job_id}/logs?follow=true")
    assert (answer.status, answer.body) == (200, b"")


async def test_unknown_addresses_and_methods_are_problems(core: Bench) -> None:
    assert (await call(app(core), "GET", "/v2/jobs")).code == "not_found"
    wrong = await call(app(core), "PUT", "/v1/jobs")
    assert (wrong.status, wrong.code) == (405, "method_not_allowed")
    assert {"GET", "HEAD", "POST"} <= set(wrong.headers["allow"].split(", "))
    options = await call(app(core), "OPTIONS", "/v1/jobs")
    assert options.status == 204
    assert "POST" in options.headers["allow"]


async def test_websockets_are_closed() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def inner(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("reached")

    guard = Guard(inner, Access(), GuardRules(), Metrics())
    scope: Any = {"type": "websocket", "path": "/v1/events", "headers": []}
    await guard(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_an_answer_that_breaks_off_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def inner(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OSError("disk")

    metrics = Metrics()
    exchange = Exchange(Guard(inner, Access(), GuardRules(), metrics), Request("GET", "/x"))
    assert (await exchange.begun()).status == 200
    with pytest.raises(ConnectionError):
        await exchange.message()
    assert "OSError: disk" in caplog.text
    assert b'spark_unexpected_errors_total{where="api"} 1.0' in await metrics.render()
