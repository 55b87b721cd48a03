"""In a real browser: the page of the description works, and pages of other origins get nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from tests.api.asgi import Caller
from tests.api.served import Served, serving
from tests.parts import chromium_path

pytestmark = pytest.mark.needs("chromium")

# Everything a page can do to another origin, with what it learns from it.
ATTACK = """async target => {
  const spec = JSON.stringify({image: "busybox:1", command: ["lines"]});
  const post = (mode, type) => fetch(target + "/v1/jobs",
    {method: "POST", mode, body: spec, headers: type ? {"Content-Type": type} : {}});
  const tries = {
    read: () => fetch(target + "/v1/jobs"),
    json: () => post("cors", "application/json"),
    plain: () => post("no-cors", "text/plain"),
    untyped: () => post("no-cors", null),
    pause: () => fetch(target + "/v1/queue/pause", {method: "POST", mode: "no-cors"}),
    events: () => new Promise((done, failed) => {
      const source = new EventSource(target + "/v1/events");
      source.onopen = () => done({type: "open", text: async () => "open"});
      source.onerror = () => { source.close(); failed(new Error("no events")); };
    }),
    script: () => new Promise((done, failed) => {
      const script = document.createElement("script");
      script.onload = () => done({type: "script", text: async () => "loaded"});
      script.onerror = () => failed(new Error("no script"));
      script.src = target + "/docs/docs.js";
      document.head.append(script);
    }),
  };
  const learnt = {};
  for (const [name, attempt] of Object.entries(tries)) {
    learnt[name] = await attempt().then(answer => answer.text()).catch(() => "");
  }
  return learnt;
}"""


@pytest.fixture
async def served(api: Caller) -> AsyncIterator[Served]:
    async with serving(api.app) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        yield launched
        await launched.close()


async def _blank(_scope: Any, _receive: Any, send: Any) -> None:
    """A web page of somebody else."""
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<!doctype html><title>elsewhere</title>"})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_page_of_another_origin_or_port_gets_nothing(
    browser: Browser, served: Served, api: Caller, host: str
) -> None:
    async with serving(_blank) as elsewhere:
        page = await browser.new_page()
        await page.goto(f"http://{host}:{elsewhere.port}/")
        learnt = await page.evaluate(ATTACK, f"http://127.0.0.1:{served.port}")
        assert set(learnt.values()) == {""}, learnt
        await page.set_content(
            f'<form method="post" enctype="text/plain" action="http://127.0.0.1:{served.port}/v1/jobs">'
            """<input name='{"image": "busybox:1", "command": ["lines"], "name": "' value='"}'></form>"""
        )
        async with page.expect_navigation() as navigation:
            await page.evaluate("document.forms[0].submit()")
        answer = await navigation.value
        assert answer is not None
        assert answer.status == 403
    assert (await api.get("/v1/jobs")).json()["jobs"] == []
    assert (await api.get("/v1/queue")).json()["paused"] is False


async def test_a_name_that_was_pointed_here_gets_nothing(served: Served, api: Caller) -> None:
    async with async_playwright() as playwright:
        rules = "--host-resolver-rules=MAP evil.example 127.0.0.1"
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox", rules])
        page = await browser.new_page(bypass_csp=True)  # the attacker's own page would have no policy
        answer = await page.goto(f"http://evil.example:{served.port}/v1/jobs")
        assert answer is not None
        assert answer.status == 421
        posted = await page.evaluate(
            """() => fetch("/v1/jobs", {method: "POST", headers: {"Content-Type": "application/json"},
               body: JSON.stringify({image: "busybox:1", command: ["lines"]})}).then(answer => answer.status)"""
        )
        assert posted == 421
        await browser.close()
    assert (await api.get("/v1/jobs")).json()["jobs"] == []


async def test_the_description_is_shown_without_internet(browser: Browser, served: Served) -> None:
    page = await browser.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"http://127.0.0.1:{served.port}/docs")
    async with asyncio.timeout(30):
        await page.get_by_text("/v1/jobs/{job_id}/cancel").wait_for()
        await page.locator("#operations-default-submit").get_by_role("button").first.click()
        await page.get_by_text("Idempotency-Key").first.wait_for()
        await page.get_by_role("button", name="Execute").click()
        await page.locator(".live-responses-table .response-col_status").first.wait_for()
    assert complaints == [text for text in complaints if "422" in text]
    own = f"http://127.0.0.1:{served.port}/"
    assert all(url.startswith((own, "data:", "blob:")) for url in asked), asked
