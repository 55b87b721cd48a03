"""Case 3: a log stream ends, stalls or errors while the container runs. Invariants 5 and 6."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from spark_jobs.domain.job import LogState
from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case
from tests.fakes.answering import Handler, answers, begin, hang_up, send, streams
from tests.fakes.control_plane import Kubernetes
from tests.fakes.hurry import hurried
from tests.fakes.seeing import name_in

FINAL = 10.0
SENTENCE = b"unable to retrieve container logs for containerd://5f7a"
NO_NODE = (
    'Get "https://10.0.0.7:10250/containerLogs/default/x/main": dial tcp 10.0.0.7:10250: connect: no route to host'
)


def part(api: Kubernetes, lines: int, *, silent: bool = False) -> Handler:
    """A handler that gives the log up to its line of that number; ``silent``: it stays open until the container's end."""

    async def handler(request: web.Request) -> web.StreamResponse:
        life = api.lives[name_in(request.path)]
        response = await begin(request)
        for line in life.lines[life.first_since(request.query.get("sinceTime")) : lines]:
            await send(response, line)
        if silent:
            await life.over.wait()
        return response

    return handler


async def prints(c: Case, lines: int) -> str:
    """A job whose container has printed so many lines and runs on."""
    job_id = await c.submit("run", "3600")
    await c.running(job_id)
    life = c.api.life_of(job_id)
    for number in range(1, lines + 1):
        life.print(f"line {number}")
    return job_id


@hurried()
async def test_ends_errors_and_silence_one_after_the_other(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        troubles = [
            part(c.api, 6),
            answers(500, NO_NODE),
            answers(400, 'container "main" in pod "x" is waiting to start: ContainerCreating', "BadRequest"),
            part(c.api, 9, silent=True),
        ]
        c.api.fault("get", "pods/log", *troubles)
        job_id = await prints(c, 12)
        await c.api.seen_again("get", "pods/log", len(troubles))
        assert (await c.service.get(job_id)).state is JobState.RUNNING
        job, took = await c.ends_after_its_container(job_id)
        whole = "".join(f"{line}\n" for line in ["begin", *(f"line {n}" for n in range(1, 13)), "end"])
        figures.exactly("case 3: the log is exactly what was printed", await c.log(job_id) == whole, expected=True)
        figures.at_most("case 3: from the container's end to the job's", took, FINAL)
        assert (job.state, job.attempts[0].log.state) == (JobState.SUCCEEDED, LogState.COMPLETE)
        await c.closed()


@pytest.mark.parametrize(
    ("code", "message"),
    [(500, NO_NODE), (403, 'pods "x" is forbidden: User "spark" cannot get resource "pods/log"'), (404, "not found")],
)
def test_a_log_that_is_never_to_be_had(code: int, message: str, tmp_path: Path) -> None:
    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            c.api.gate = lambda seen: answers(code, message) if seen.resource == "pods/log" else None
            job_id = await prints(c, 3)
            job, took = await c.ends_after_its_container(job_id, 3)
            assert (job.state, job.exit_code) == (JobState.FAILED, 3)
            figures.at_most(f"case 3, always {code}: from the container's end to the job's", took, FINAL)
            await c.closed()
            log = (await c.service.get(job_id)).attempts[0].log
            assert (log.state, log.bytes) == (LogState.INCOMPLETE, 0)
            assert log.problem == f"after byte 0: {code}: {message}"

    run()


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_refusal_that_comes_as_text_with_status_200_never_enters_the_log(end: bytes, tmp_path: Path) -> None:
    """While the container runs, in the midst of the log, and at its end; each time the log goes on afterwards."""

    @hurried()
    async def run() -> None:
        async with case(tmp_path) as c:
            refusal = streams(SENTENCE + end)
            c.api.fault(
                "get", "pods/log", refusal, part(c.api, 3), refusal, hang_up, part(c.api, 4, silent=True), refusal
            )
            job_id = await prints(c, 5)
            await c.api.seen_again("get", "pods/log", 5)
            job, _ = await c.ends_after_its_container(job_id)
            assert job.attempts[0].log.state is LogState.COMPLETE
            assert await c.log(job_id) == c.api.life_of(job_id).text

    run()


@hurried(20)
async def test_a_refusal_that_goes_on_is_the_cause_that_is_told(tmp_path: Path) -> None:
    async with case(tmp_path) as c:
        refusal = streams(SENTENCE)
        c.api.fault("get", "pods/log", part(c.api, 3))
        job_id = await prints(c, 5)
        await c.api.seen_again("get", "pods/log", 1)
        c.api.gate = lambda seen: refusal if seen.resource == "pods/log" else None
        job, _ = await c.ends_after_its_container(job_id)
        assert job.state is JobState.SUCCEEDED
        await c.closed()
        log = (await c.service.get(job_id)).attempts[0].log
        assert log.state is LogState.INCOMPLETE
        assert log.problem == f"after byte {log.bytes}: the cluster gave no log: {SENTENCE.decode()}"
        assert c.api.life_of(job_id).text.startswith(await c.log(job_id))
