"""The reference page of the HTTP interface: its routes, from the OpenAPI description, and its table of errors."""

import json
from collections.abc import Iterator
from typing import Any

from dev.pages.markdown import page, table
from spark_jobs.api.openapi import describe
from spark_jobs.api.rest import ROUTES
from spark_jobs.api.wire import ERRORS

_INTRO = """\
The server speaks JSON over HTTP, by default on `http://127.0.0.1:8000`. This page is the overview. The whole description,
with every field, is at `/openapi.json` (OpenAPI 3.1) of a running server, and `/docs` shows it in a browser.

Where the server asks for a token, send `Authorization: Bearer TOKEN`. Bodies are `application/json`. A parameter or a
field that is not known is refused, so that no misspelt name is ignored."""

_SUBMIT = """\
## Submitting safely

Send an `Idempotency-Key` of your own with `POST /v1/jobs`, or give the job an `id`. When the connection breaks, send the
same request again: a repeat starts nothing and answers 200 with `Spark-Replayed: true` and the job there is. The same key
with another body is 409 `idempotency_conflict`. A key lives as long as its job."""

_EVENTS = """\
## Following events

`/v1/events` and `/v1/jobs/ID/events` are server-sent events: `data` has `seq`, `time`, `job_id`, `attempt`, `from`, `to`,
`reason` and the job, `id` is the `seq`. The first thing that comes is an `id` alone: the place where the stream begins.
After a lost connection send the last `id` as `Last-Event-ID`, or as `?after=`: each event comes once, none is missed.

Events are kept as long as their job. `?after=0` gives all that are kept. After another number, 410 `events_gone` says that
events of jobs deleted meanwhile are lacking, maybe the end of one that you wait for. Read the jobs (`GET /v1/jobs`), and
follow from now on: open the stream first, then read, so that nothing falls in between. The events of one job end when it is
deleted."""

_PROBLEMS = """\
## Errors

Errors are problems (RFC 9457, `application/problem+json`). `code` is stable, `detail` is for people, `errors` lists the
faults of a request one by one: `pointer` (such as `#/env/PORT`), `detail`, `code`. Answers with status 429 and 503 carry
`Retry-After` in seconds. `queue_full` says in `free` how many jobs would still fit. `internal` gives an `incident`, under
which the server's own log tells more.
"""

_ORIGINAL = """\
## For clients of the first Spark

`/v1/queue_job`, `/v1/get_job_logs`, `/v1/get_job_status` and `/v1/ping` are its [gRPC service](grpc.md) in JSON: names as
declared or in lowerCamelCase, unknown fields ignored, unset ones left out of an answer. Without `Origin` and
`Sec-Fetch-Site`, which browsers send, a body may have any type, as with `curl -d`. Errors are a `google.rpc.Status`:
`{"code": 5, "message": "…", "details": […]}`, with the HTTP status that grpc-gateway gives the code. An id whose job is
over is refused (`id_conflict`): nothing would be started."""

_FOLLOWING = """\
- [gRPC](grpc.md): the same with messages and streams.
- [Quickstart](../quickstart.md): the same calls from a shell.
- [Logs and exit codes](../guides/logs-and-exit-codes.md): how to read a log over HTTP without losing a byte.
- [A server in production](../guides/server-in-production.md): tokens, hosts, origins."""


def http_page() -> str:
    """The page."""
    document = json.loads(describe(ROUTES, version="0", token=True))
    parts = [
        _INTRO,
        "## Routes\n\n" + table(["Route", "What it does", "Parameters", "Answers"], _routes(document)),
        _SUBMIT,
        _EVENTS,
        _PROBLEMS + "\n" + table(["Status", "Code", "Meaning", "gRPC code"], _errors()),
        _ORIGINAL,
    ]
    return page("HTTP", "the routes in `src/spark_jobs/api`", parts, following=_FOLLOWING)


def _routes(document: dict[str, Any]) -> Iterator[list[str]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parameters = [f"`{one['name']}`" for one in operation.get("parameters", []) if one["in"] != "path"]
            answers = [status for status in operation["responses"] if status.startswith("2")]
            yield [
                f"`{method.upper()} {path}`",
                operation.get("description", operation["summary"]),
                ", ".join(parameters),
                ", ".join(answers),
            ]


def _errors() -> Iterator[list[str]]:
    for code, row in ERRORS.items():
        yield [str(row.status), f"`{code}`", row.title, f"`{row.grpc}`"]
