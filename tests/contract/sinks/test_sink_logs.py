"""Logs on their way from a job to every sink."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from spark_jobs.cluster.fake import FakeCluster, LogFault, LogTrouble, Script
from spark_jobs.domain.job import Attempt, Job
from spark_jobs.domain.state import JobState
from tests.contract.sinks import dying
from tests.contract.sinks.stage import FolderStage, Stage
from tests.engine.bench import Bench, bench, scripts

URL = {"folder": "file://{}", "bucket": "s3://logs/of/spark"}


async def sent(on: Bench, job_id: str) -> Job:
    """The job, once the logs of all its attempts have been sent."""
    return await on.until(
        job_id, lambda job: job.state.is_terminal and all(each.log.archived is not None for each in job.attempts)
    )


def unpacked(data: bytes) -> bytes:
    """What is in a zstd frame, however it was made."""
    text: bytes = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return text


def at_sink(stage: Stage, attempt: Attempt) -> tuple[bytes, dict[str, Any]]:
    """An attempt's text there, and what is told of it."""
    assert attempt.log.archived is not None
    [name] = [name for name in stage.names() if attempt.log.archived.endswith(name)]
    assert attempt.log.archived == stage.sink.address(name)
    text, note = stage.read(name), stage.read(name.replace(".log.zst", ".json"))
    assert text is not None
    assert note is not None
    return unpacked(text), json.loads(note)


MIB = 1024 * 1024
SCRIPTS = {
    "plain": Script(lines=("one", "zwei \u00fc", "\x1b[1mthree\x1b[0m", "", "five"), exit_code=3),
    "empty": Script(),
    "open end": Script(lines=("one",), unfinished="no newline"),
    "many MiB": Script(lines=tuple(hashlib.sha512(bytes([i])).hexdigest() * (MIB // 128) for i in range(12))),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_whole_log_is_there_with_a_note_that_says_so(stage: Stage, tmp_path: Path, name: str) -> None:
    async with bench(tmp_path / "data", FakeCluster(lambda _spec: SCRIPTS[name]), sink=stage.sink) as on:
        job_id = await on.submit(env={"MODE": "fast", "API_TOKEN": "s3cr3t"}, labels={"team": "data"})
        job = await sent(on, job_id)
        stored = await on.log(job_id)
        instance, metrics = on.core.store.instance, await on.core.metrics.render()
    [attempt] = job.attempts
    text, note = at_sink(stage, attempt)
    assert text == stored
    day = f"{attempt.finished_at:%Y/%m/%d}"
    assert stage.names() == [f"{instance}/{day}/{job_id}/1.json", f"{instance}/{day}/{job_id}/1.log.zst"]
    assert note["text"] == {
        "object": "1.log.zst",
        "object_bytes": len(stage.read(stage.names()[1]) or b""),
        "bytes": len(stored),
        "missing_bytes": 0,
        "lines": stored.count(b"\n") + (name == "open end"),
        "sha256": hashlib.sha256(stored).hexdigest(),
    }
    assert (note["instance"], note["job"]["id"]) == (instance, job_id)
    assert note["job"]["spec"]["env"] == {"MODE": "fast", "API_TOKEN": "***"}
    assert note["job"]["spec"]["labels"] == {"team": "data"}
    assert (note["attempt"]["state"], note["attempt"]["exit_code"]) == (str(job.state), job.exit_code)
    assert note["attempt"]["log"]["complete"]
    assert b"spark_sink_logs_sent_total 1.0" in metrics


async def test_every_attempt_of_a_job_is_sent(stage: Stage, tmp_path: Path) -> None:
    cluster = FakeCluster(lambda _spec: Script(lines=("a try",), exit_code=1))
    async with bench(tmp_path / "data", cluster, sink=stage.sink) as on:
        job = await sent(on, await on.submit(retries=1, backoff=0.1))
    notes = [at_sink(stage, attempt)[1] for attempt in job.attempts]
    assert [(note["attempt"]["attempt"], note["attempt"]["state"]) for note in notes] == [(1, "FAILED"), (2, "FAILED")]


async def test_a_log_that_is_not_whole_is_sent_and_says_so(stage: Stage, tmp_path: Path) -> None:
    gone = Script(lines=("one", "two"), log_faults=(LogFault(lines=1, trouble=LogTrouble.GONE),) * 9)
    async with bench(tmp_path / "data", FakeCluster(lambda _spec: gone), sink=stage.sink) as on:
        job = await sent(on, await on.submit())
    text, note = at_sink(stage, job.attempts[0])
    assert text == b"one\n"
    assert (note["attempt"]["log"]["state"], note["attempt"]["log"]["complete"]) == ("incomplete", False)
    assert "after byte 4" in note["attempt"]["log"]["problem"]


async def test_what_could_not_be_sent_is_sent_by_the_next_server(stage: Stage, tmp_path: Path) -> None:
    """Its job has its state all the same."""
    cluster = FakeCluster(lambda _spec: Script(lines=("one",)))
    stage.go_away()
    async with bench(tmp_path / "data", cluster, sink=stage.sink) as on:
        ids = [await on.submit() for _ in range(3)]
        assert [(await on.ends(job_id)).state for job_id in ids] == [JobState.SUCCEEDED] * 3
        assert await on.core.store.archive_waiting() == 3
    stage.come_back()
    assert stage.names() == []
    async with bench(tmp_path / "data", cluster, sink=stage.sink) as on:
        for job_id in ids:
            assert at_sink(stage, (await sent(on, job_id)).attempts[0])[0] == b"one\n"
        assert await on.core.store.archive_waiting() == 0


async def test_a_sink_that_comes_back_gets_what_waits(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="spark_jobs")
    stage.go_away()
    async with bench(tmp_path / "data", FakeCluster(lambda _spec: Script(lines=("one",))), sink=stage.sink) as on:
        ids = [await on.submit() for _ in range(3)]
        for job_id in ids:
            await on.ends(job_id)
        with on.core.bus.subscribe("nothing") as never:
            while b"spark_sink_failures_total 0.0" in await on.core.metrics.render():
                await never.wait(0.02)
        stage.come_back()
        for job_id in ids:
            assert at_sink(stage, (await sent(on, job_id)).attempts[0])[0] == b"one\n"
    said = [record.getMessage() for record in caplog.records if "log sink" in record.getMessage()]
    assert [line.partition(" now")[0] for line in said] == [
        "no log can be sent to the log sink",
        "logs are sent to the log sink again",
    ]


@pytest.mark.parametrize("kind", URL)
async def test_killed_before_it_was_written_down_it_is_sent_again_and_is_the_same(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue(kind)
    url = URL[kind].format(tmp_path / "sink")
    process = [sys.executable, "-m", dying.__name__, str(tmp_path / "data"), url]
    done = await asyncio.to_thread(subprocess.run, process, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = {name: stage.read(name) for name in stage.names()}
    assert len(before) == 2
    async with bench(tmp_path / "data", FakeCluster(), sink=stage.sink) as on:
        assert (await on.service.get("job")).attempts[0].log.archived is None
        job = await sent(on, "job")
    assert at_sink(stage, job.attempts[0])[0] == b"one\ntwo\n"
    assert {name: stage.read(name) for name in stage.names()} == before


async def test_a_log_that_is_refused_for_what_it_is_keeps_no_other_one_back(
    folder: FolderStage, tmp_path: Path
) -> None:
    cluster = FakeCluster(lambda _spec: Script(lines=("one",)))
    async with bench(tmp_path / "data", cluster, sink=folder.sink) as on:
        first = await sent(on, await on.submit())
        day = Path(str(first.attempts[0].log.archived).removeprefix("file://")).parent.parent
        (day / "refused").write_bytes(b"where its folder belongs")
        refused = await on.submit(id="refused")
        await on.ends(refused)
        for job_id in [await on.submit() for _ in range(3)]:
            await sent(on, job_id)
        assert (await on.service.get(refused)).attempts[0].log.archived is None
        (day / "refused").unlink()
        await sent(on, refused)


async def test_a_damaged_log_is_sent_as_far_as_it_can_be_read(folder: FolderStage, tmp_path: Path) -> None:
    lines = tuple(hashlib.sha512(bytes([i])).hexdigest() * 4096 for i in range(4))
    cluster = FakeCluster(lambda _spec: Script(lines=lines, runs=0.5, line_every=0.1))
    folder.go_away()
    async with bench(tmp_path / "data", cluster, sink=folder.sink) as on:
        job_id = await on.submit()
        await on.ends(job_id)
        await on.closed()
    with closing(sqlite3.connect(tmp_path / "data" / "logs.db")) as logs, logs:
        [(row, data)] = logs.execute('SELECT id, data FROM chunks ORDER BY "offset" LIMIT 1').fetchall()
        logs.execute("UPDATE chunks SET data = ? WHERE id = ?", (data[:-9] + bytes(9), row))
    folder.come_back()
    async with bench(tmp_path / "data", cluster, sink=folder.sink) as on:
        [attempt] = (await sent(on, job_id)).attempts
    text, note = at_sink(folder, attempt)
    told = note["text"]
    assert told["missing_bytes"] > 0
    assert told["bytes"] + told["missing_bytes"] == attempt.log.bytes
    assert (told["bytes"], told["sha256"]) == (len(text), hashlib.sha256(text).hexdigest())
    assert b"bytes are missing here" in text.splitlines()[0]
    assert text.endswith(lines[-1].encode() + b"\n")


async def test_without_a_sink_nothing_is_marked(tmp_path: Path, folder: FolderStage) -> None:
    cluster = FakeCluster(scripts(true=Script(lines=("one",))))
    async with bench(tmp_path / "data", cluster) as on:
        before = await on.submit()
        await on.ends(before)
        await on.closed()
        assert await on.core.store.archive_waiting() == 0
    async with bench(tmp_path / "data", cluster, sink=folder.sink) as on:
        await sent(on, await on.submit())
        assert (await on.service.get(before)).attempts[0].log.archived is None
    assert len(folder.names()) == 2
