"""`spark queue`: what waits, and draining."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spark_jobs.cli.text import about
from tests.cli.conftest import Spark
from tests.cli.scripted import Reply, ScriptedServer, problem

QUEUE, PAUSE = "GET /v1/queue", "POST /v1/queue/pause"


def queue(**more: Any) -> Reply:
    """The queue as the server shows it."""
    view = {"depth": 0, "backoff": 0, "capacity": 10, "running": 2, "slots": 2, "oldest_wait": None, "paused": False}
    return Reply(200, {**view, "limiter_wait": 0.0, "waiting": [], **more})


def waiting(position: int, *, starts_in: float | None = None, **more: Any) -> dict[str, Any]:
    """A job that has waited for five minutes."""
    now = datetime.now(UTC)
    start = None if starts_in is None else (now + timedelta(seconds=starts_in)).isoformat()
    return {
        "id": f"job-{position}",
        "name": None,
        "priority": 0,
        "position": position,
        "created_at": (now - timedelta(minutes=5)).isoformat(),
        "not_before": None,
        "estimated_start_at": start,
        "why": "all 2 slots are in use",
        **more,
    }


def test_what_waits_is_shown_in_its_order_with_its_start_and_why(server: ScriptedServer, spark: Spark) -> None:
    first = waiting(1, starts_in=185, priority=7, name="nightly")
    server.on(QUEUE, queue(depth=5, oldest_wait=300.0, waiting=[first, waiting(2)]))
    shown = [line.split("   ") for line in spark("queue").out.splitlines()]
    header, *rows, more = shown[shown.index([""]) + 1 :]
    assert [cell.strip() for cell in header if cell] == ["POSITION", "ID", "NAME", "PRIORITY", "AGE", "STARTS", "WHY"]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        ["1", "job-1", "nightly", "7", "5m", "in about 3 min", "all 2 slots are in use"],
        ["2", "job-2", "0", "5m", "all 2 slots are in use"],
    ]
    assert more == ["and 3 more"]


def test_a_server_that_says_nothing_of_what_waits_is_fine(server: ScriptedServer, spark: Spark) -> None:
    old = queue(depth=3)
    old.body.pop("waiting")
    server.on(QUEUE, old)
    shown = spark("queue").out
    assert "3 of 10" in shown
    assert "POSITION" not in shown
    assert json.loads(spark("queue", "-o", "json").out)["waiting"] == []


def test_a_name_that_waits_never_reaches_the_terminal_raw(server: ScriptedServer, spark: Spark) -> None:
    server.on(QUEUE, queue(depth=1, waiting=[waiting(1, name="\x1b[2J" + "x" * 40)]))
    shown = spark("queue").out
    assert "\x1b" not in shown
    assert "\\x1b[2Jxxx" in shown
    assert "x…" in shown


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_documents_have_all_of_it(server: ScriptedServer, spark: Spark, output: str) -> None:
    server.on(QUEUE, queue(depth=1, waiting=[waiting(1, starts_in=60, not_before="2031-05-04T12:00:00Z")]))
    shown = spark("queue", "-o", output).out
    for name in ("oldest_wait", "waiting", "position", "created_at", "estimated_start_at", "why"):
        assert name in shown
    assert "2031-05-04T12:00:00Z" in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "now"),
        (0.5, "now"),
        (1, "in about 1 s"),
        (59, "in about 59 s"),
        (60, "in about 1 min"),
        (200, "in about 3 min"),
        (5399, "in about 90 min"),
        (5400, "in about 2 h"),
        (172_800, "in about 2 days"),
    ],
)
def test_how_far_off_a_start_is(seconds: float, text: str) -> None:
    assert about(seconds) == text


def test_a_drain_pauses_and_ends_when_nothing_runs(server: ScriptedServer, spark: Spark) -> None:
    server.on(PAUSE, queue(paused=True, depth=4))
    server.on(QUEUE, queue(paused=True, running=1, depth=4), queue(paused=True, running=0, depth=4))
    done = spark("queue", "drain")
    assert done.code == 0
    assert "waiting for 2 jobs to end" in done.err
    assert "nothing runs any more, 4 jobs in the queue; the queue stays paused" in done.err
    assert "`spark queue resume`" in done.err
    assert "0 of 2" in done.out
    assert [request.path for request in server.requests] == ["/v1/queue/pause", "/v1/queue", "/v1/queue"]


def test_a_drain_of_an_idle_queue_ends_at_once(server: ScriptedServer, spark: Spark) -> None:
    server.on(PAUSE, queue(paused=True, running=0))
    done = spark("queue", "drain", "--timeout", "0", "-o", "json")
    assert (done.code, json.loads(done.out)["paused"]) == (0, True)
    assert len(server.requests) == 1


def test_a_drain_whose_time_is_over_leaves_the_queue_paused(server: ScriptedServer, spark: Spark) -> None:
    server.on(PAUSE, queue(paused=True))
    server.on(QUEUE, queue(paused=True, running=1))
    done = spark("queue", "drain", "--timeout", "1")
    assert done.code == 75
    assert "1 job not over after 1 s: giving up; the queue stays paused" in done.err
    assert not server.asked("POST /v1/queue/resume")


def test_a_drain_goes_on_over_an_outage(server: ScriptedServer, spark: Spark) -> None:
    server.on(PAUSE, queue(paused=True))
    unavailable = problem(503, "store_unavailable", "disk full", headers={"Retry-After": "0"})
    server.on(QUEUE, Reply(hang_up=True), unavailable, queue(paused=True, running=0))
    done = spark("queue", "drain")
    assert done.code == 0
    assert "in contact again" in done.err


def test_a_drain_ends_when_somebody_resumes_the_queue(server: ScriptedServer, spark: Spark) -> None:
    server.on(PAUSE, queue(paused=True))
    server.on(QUEUE, queue(paused=False))
    done = spark("queue", "drain")
    assert done.code == 1
    assert "resumed meanwhile" in done.err


@pytest.mark.parametrize("words", [[], ["pause"], ["resume"]])
def test_a_time_goes_with_a_drain_only(server: ScriptedServer, spark: Spark, words: list[str]) -> None:
    done = spark("queue", *words, "--timeout", "5")
    assert done.code == 2
    assert "drain" in done.err
    assert server.requests == []
