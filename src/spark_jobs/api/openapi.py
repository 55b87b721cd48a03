"""The description of the interface, OpenAPI 3.1: routes and types by Litestar, completed by what routes say themselves."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig

from spark_jobs.api.message_schemas import STATUS, message_schemas
from spark_jobs.api.parameters import HEADERS, QUERY, Parameter
from spark_jobs.api.routing import About
from spark_jobs.api.schemas import JOB_ID, complete_schemas
from spark_jobs.api.status import CODES
from spark_jobs.api.wire import ERRORS, JSON, PROBLEM_JSON

Plain: TypeAlias = dict[str, Any]

# What every route under /v1 may answer.
_ALWAYS = ("forbidden_origin", "unknown_host", "internal", "store_unavailable", "invalid_spec", "bad_request")
_DESCRIPTION = (
    "Runs containers as Kubernetes Jobs and keeps track of them. Errors are problems (RFC 9457) with a stable `code`. "
    "Bodies are JSON in UTF-8 of type application/json; parameters and fields that are not known are refused."
)


def describe(routes: Sequence[HTTPRouteHandler], *, version: str, token: bool) -> bytes:
    """The description as JSON; ``token``: callers need one."""
    document = _generated(routes, version)
    for route, path, operation in _operations(document, routes):
        operation["parameters"] = [_job_id()] if "{job_id}" in path else []
        _complete(operation, route.opt.get("about", About()), token=token and _is_guarded(route))
        operation["summary"] = _words(str(route.handler_name))
        operation["operationId"] = str(route.handler_name)
    document["components"]["schemas"] = complete_schemas(document["components"]["schemas"]) | message_schemas()
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "The server's token, where it asks for one."}
    }
    return msgspec.json.encode(document)


def _generated(routes: Sequence[HTTPRouteHandler], version: str) -> Plain:
    config = OpenAPIConfig(
        title="Spark", version=version, description=_DESCRIPTION, use_handler_docstrings=True, render_plugins=[]
    )
    app = Litestar(list(routes), openapi_config=config, logging_config=None)
    # Defaults are structs in there: through JSON they become what clients see.
    document: Plain = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    return document


def _operations(document: Plain, routes: Sequence[HTTPRouteHandler]) -> Iterator[tuple[HTTPRouteHandler, str, Plain]]:
    for route in routes:
        for path in (path.replace(":str}", "}") for path in route.paths):
            item = document["paths"].get(path, {})
            for method in route.http_methods:
                if method.lower() in item:
                    yield route, path, item[method.lower()]


def _is_guarded(route: HTTPRouteHandler) -> bool:
    return any(path.startswith("/v1/") for path in route.paths)


def _complete(operation: Plain, facts: About, *, token: bool) -> None:
    operation["parameters"] += [_parameter(name, "query", QUERY[name]) for name in facts.query]
    operation["parameters"] += [_parameter(name, "header", HEADERS[name]) for name in facts.headers]
    body = facts.messages[0] if facts.messages else facts.body
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref(body)}}}
    if token:
        operation["security"] = [{"token": []}]
    _complete_responses(operation, facts, token=token)


def _complete_responses(operation: Plain, facts: About, *, token: bool) -> None:
    responses = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
    for status, answer in responses.items():
        answer["description"] = _SUCCESS.get(status, "Done")
        if facts.streams:
            answer["content"] = {media_type: {"schema": {"type": "string"}} for media_type in facts.streams}
        if facts.messages:
            answer["content"] = {JSON: {"schema": _ref(facts.messages[1])}}
    if facts.also is not None:
        [answer] = responses.values()
        text = _SUCCESS.get(str(facts.also), "Not now")
        responses[str(facts.also)] = {**copy.deepcopy(answer), "description": text}
    codes = (*_ALWAYS, *facts.codes, *(("unauthenticated",) if token else ()))
    for status, problem in (_statuses(codes) if facts.messages else _problems(codes)).items():
        responses.setdefault(status, problem)
    operation["responses"] = dict(sorted(responses.items()))


_SUCCESS = {"200": "Done, or as it is", "201": "Created", "202": "Accepted", "204": "Done", "206": "The range"}


def _problems(codes: Sequence[str]) -> Mapping[str, Plain]:
    return _errors({code: ERRORS[code].status for code in codes}, PROBLEM_JSON, "Problem")


def _statuses(codes: Sequence[str]) -> Mapping[str, Plain]:
    """The errors of a route of the first Spark."""
    return _errors({code: CODES[ERRORS[code].grpc].status for code in codes}, JSON, STATUS)


def _errors(statuses: Mapping[str, int], media_type: str, schema: str) -> Mapping[str, Plain]:
    by_status: dict[int, list[str]] = {}
    for code, status in statuses.items():
        by_status.setdefault(status, []).append(f"`{code}`: {ERRORS[code].title}")
    content = {media_type: {"schema": _ref(schema)}}
    return {str(status): _error(status, "; ".join(texts), content) for status, texts in by_status.items()}


def _error(status: int, text: str, content: Plain) -> Plain:
    answer: Plain = {"description": text, "content": copy.deepcopy(content)}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return answer


def _ref(schema: str) -> Plain:
    return {"$ref": f"#/components/schemas/{schema}"}


def _parameter(name: str, where: str, parameter: Parameter) -> Plain:
    described = {"name": name, "in": where, "required": parameter.required, "schema": parameter.schema}
    return {**described, "description": parameter.description}


def _job_id() -> Plain:
    return {"name": "job_id", "in": "path", "required": True, "schema": JOB_ID, "description": "The job's id."}


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
