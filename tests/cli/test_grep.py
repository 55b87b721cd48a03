"""`spark grep`: what it asks for, how it shows what is found, and how it ends."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from spark_jobs.cli.matches import Matches, marker
from spark_jobs.domain.search import FoundLine, LogMatch
from tests.cli.conftest import Spark
from tests.cli.jobs import ID, queued, wire
from tests.cli.process import PATIENCE, started
from tests.cli.scripted import Reply, ScriptedServer, problem
from tests.e2e.server import environment
from tests.fakes.passing import stand_by

SEARCH = "GET /v1/logs/search"
END: dict[str, Any] = {"logs": 2, "bytes": 100, "matches": 0, "complete": True, "problems": []}


def line(number: int, text: str, **fields: Any) -> dict[str, Any]:
    return {"line": number, "offset": 10 * number, "time": "2031-05-04T12:00:00.000000000Z", "text": text, **fields}


def match(number: int, text: str, *, attempt: int = 1, job_id: str = ID, **fields: Any) -> dict[str, Any]:
    return {"match": {"job_id": job_id, "attempt": attempt, "found": line(number, text), **fields}}


def found(*items: object, **end: Any) -> Reply:
    """A whole answer."""
    return told(*items, {"end": {**END, **end}})


def told(*items: object, broken: bool = False) -> Reply:
    pieces = [json.dumps(item).encode() + b"\n" for item in items]
    return Reply(pieces=pieces, headers={"Content-Type": "application/x-ndjson"}, broken=broken)


def test_matches_are_printed_by_job_and_line(server: ScriptedServer, spark: Spark) -> None:
    server.on(SEARCH, found(match(3, "an error"), match(12, "error", attempt=2), {"progress": END}, matches=2))
    done = spark("grep", "error")
    assert (done.code, done.out, done.err) == (0, f"{ID}:3:an error\n{ID}/2:12:error\n", "")


def test_the_search_is_passed_on_whole(server: ScriptedServer, spark: Spark) -> None:
    server.on(SEARCH, found())
    server.on(f"GET /v1/jobs/{ID}", Reply(200, wire(queued())))
    words = ["-F", "-i", "-C", "2", "-l", "a=b", "-l", "c", "--state", "FAILED,active", "--name", "n", "--since", "2h"]
    spark("grep", *words, "--limit", "7", "--job", ID, "--", "-x [")
    spark("grep", "plain")
    whole, plain = server.asked(SEARCH)
    assert whole.query == {
        "pattern": ["-x ["],
        "fixed": ["true"],
        "ignore_case": ["true"],
        "context": ["2"],
        "label": ["a=b", "c"],
        "state": ["FAILED,active"],
        "name": ["n"],
        "since": ["2h"],
        "limit": ["7"],
        "job": [ID],
    }
    assert plain.query == {"pattern": ["plain"], "context": ["0"], "limit": ["1000"]}


def test_nothing_found_is_exit_code_1_and_says_nothing(server: ScriptedServer, spark: Spark) -> None:
    server.on(SEARCH, found())
    done = spark("grep", "error")
    assert (done.code, done.out, done.err) == (1, "", "")


def test_lines_around_a_match_are_grouped_as_grep_does(server: ScriptedServer, spark: Spark) -> None:
    server.on(
        SEARCH,
        found(
            match(2, "B", before=[line(1, "a")], after=[line(3, "c")]),
            match(4, "D", after=[line(5, "e")]),
            match(9, "I", before=[line(8, "h")], after=[line(10, "j")]),
            match(11, "K", job_id="other"),
        ),
    )
    shown = [text.replace(ID, "ID") for text in spark("grep", "-C", "1", "[A-Z]").out.splitlines()]
    assert shown == [
        *("ID-1-a", "ID:2:B", "ID-3-c", "ID:4:D", "ID-5-e"),
        *("--", "ID-8-h", "ID:9:I", "ID-10-j"),
        *("--", "other:11:K"),
    ]


def test_times_ids_and_json(server: ScriptedServer, spark: Spark) -> None:
    server.on(SEARCH, found(match(1, "a\x1b[2J"), match(2, "\x9b\u202e", before=[line(1, "b")], name="n")))
    assert spark("grep", "--timestamps", "a").out.splitlines()[0].startswith(f"{ID}:1:2031-05-04T12:00:00.000000000Z a")
    assert spark("grep", "-o", "name", "a").out == f"{ID}\n"
    out = spark("grep", "-o", "json", "a").out
    one, two = map(json.loads, out.splitlines())
    assert (one["found"]["text"], two["found"]["text"]) == ("a\x1b[2J", "\x9b\u202e")
    assert (two["name"], two["before"][0]["line"]) == ("n", 1)
    assert not set(out) & set("\x1b\x9b\u202e")


def test_what_is_not_whole_is_said_on_stderr(server: ScriptedServer, spark: Spark) -> None:
    server.on(
        SEARCH,
        found(
            match(2, "x", found=line(2, "x", cut=True), before=[line(1, "y", cut=True)]),
            complete=False,
            problems=["a chunk of j1 can't be read\x1b[2J"],
        ),
    )
    done = spark("grep", "x", "--limit", "1", "-C", "1")
    assert (done.code, done.out) == (0, f"{ID}-1-y\n{ID}:2:x\n")
    problem_told, cut_told, limit_told = done.err.splitlines()
    assert problem_told == "spark: a chunk of j1 can't be read\\x1b[2J"
    assert "longer than 4096 bytes (2 here)" in cut_told
    assert "the limit of 1 matches is reached: there may be more" in limit_told
    assert "older jobs were not looked at" in spark("grep", "x", "-o", "name").err


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (
            problem(422, "invalid_spec", "no", errors=[{"pointer": "?pattern", "detail": "bad", "code": "invalid"}]),
            2,
            "spark: PATTERN: bad\n",
        ),
        (problem(404, "job_not_found", "there is no job"), 1, "spark: there is no job\n"),
        (problem(401, "unauthenticated", "a token is needed"), 77, "spark: a token is needed\n"),
        (told({"error": {"code": "draining", "detail": "about to stop"}}), 75, "spark: about to stop\n"),
        (told({"error": {"code": "internal", "detail": "a fault in Spark"}}), 1, "spark: a fault in Spark\n"),
        (Reply(hang_up=True), 69, "no Spark server answers"),
        (Reply(pieces=[b"nonsense\n"]), 69, "sends no lines as a Spark server does"),
    ],
)
def test_a_search_that_fails_says_why(server: ScriptedServer, spark: Spark, reply: Reply, code: int, said: str) -> None:
    server.on(SEARCH, reply)
    done = spark("grep", "x")
    assert (done.code, done.out) == (code, "")
    assert said in done.err


@pytest.mark.parametrize("broken", [True, False])
def test_a_search_that_breaks_off_says_what_was_lost(server: ScriptedServer, spark: Spark, *, broken: bool) -> None:
    """What came is shown; it is never taken for all there is, and not asked for again."""
    server.on(SEARCH, told(match(1, "x"), {"progress": {**END, "logs": 5}}, broken=broken))
    done = spark("grep", "x")
    assert (done.code, done.out) == (69, f"{ID}:1:x\n")
    assert "the search broke off (so far 1 found, 5 logs and 100 bytes looked through), search again" in done.err
    assert len(server.asked(SEARCH)) == 1


def test_an_interrupt_ends_the_command_and_the_search_at_once(server: ScriptedServer, tmp_path: Path) -> None:
    gone = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            yield json.dumps(match(1, "x")).encode() + b"\n"
            while True:
                stand_by(0.02)
                yield json.dumps({"progress": {**END, "complete": False}}).encode() + b"\n"
        finally:
            gone.set()

    server.on(SEARCH, lambda _: Reply(pieces=endless(), headers={"Content-Type": "application/x-ndjson"}))
    env = {**environment(tmp_path), "SPARK_SERVER": server.url}
    with started("grep", "x", env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{ID}:1:x\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (130, "", "")
    assert gone.wait(PATIENCE)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["x", "-C", "101"],
        ["x", "-C", "-1"],
        ["x", "--limit", "0"],
        ["x", "--limit", "100001"],
        ["\udcff"],
        ["x", "-o", "yaml"],
    ],
)
def test_wrong_usage_asks_nobody(server: ScriptedServer, spark: Spark, words: Sequence[str]) -> None:
    assert spark("grep", *words).code == 2
    assert server.requests == []


class Page:
    """Matches shown on a terminal, or to a program."""

    def __init__(self, **settings: Any) -> None:
        self.data = b""
        self.matches = Matches(self._write, **settings)

    def _write(self, data: bytes) -> None:
        self.data += data

    def show(self, **line: Any) -> bytes:
        self.data = b""
        found = FoundLine(line=1, offset=0, **line)
        self.matches.show(LogMatch(job_id="j", attempt=1, found=found, name="the\nname"))
        return self.data


@pytest.mark.parametrize(
    ("line", "raw", "shown"),
    [
        ({"text": "tab\there"}, b"tab\there", b"tab\there"),
        ({"text": "progress\rdone\r"}, b"progress\rdone\r", b"progress\\rdone"),
        ({"text": "\x1b[31mred\u202e"}, "\x1b[31mred\u202e".encode(), b"\\x1b[31mred\\u202e"),
        ({"bytes": b"\xff\xfeok"}, b"\xff\xfeok", b"\\xff\\xfeok"),
        ({"text": ""}, b"", b""),
    ],
)
def test_a_program_gets_the_bytes_and_a_terminal_what_it_can_show(
    line: dict[str, Any], raw: bytes, shown: bytes
) -> None:
    assert Page(terminal=False).show(**line) == b"j:1:" + raw + b"\n"
    assert Page(terminal=True).show(**line) == b"j (the\\nname):1:" + shown + b"\n"


def test_what_was_found_is_marked_where_that_is_plain() -> None:
    mark = marker("a.b", fixed=True, ignore_case=True)
    assert mark("xA.Bxa.b") == "x\x1b[1;31mA.B\x1b[mx\x1b[1;31ma.b\x1b[m"
    assert marker("a.b", fixed=False, ignore_case=False)("a.b") == "a.b"
    assert marker("ab", fixed=False, ignore_case=False)("AB ab") == "AB \x1b[1;31mab\x1b[m"
