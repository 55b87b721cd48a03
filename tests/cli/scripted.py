"""A real HTTP server on loopback that answers what a test says, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def one(self, name: str) -> str | None:
        """The query parameter's only value."""
        values = self.query.get(name)
        return values[0] if values else None

    def json(self) -> Any:
        """The body's meaning."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """One answer. `pieces` is sent chunk by chunk; `broken`: then the connection ends without the proper end.
    `hang_up`: the connection ends without any answer."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] | None = None
    broken: bool = False
    hang_up: bool = False


def problem(status: int, code: str, detail: str, **more: Any) -> Reply:
    """An error as the server sends it."""
    headers = {"Content-Type": "application/problem+json"} | more.pop("headers", {})
    return Reply(status, {"status": status, "code": code, "detail": detail, "title": detail, **more}, headers)


Answer = Callable[[Request], Reply]


class ScriptedServer:
    """Answers by `METHOD /path`; a list of answers is used up one by one, the last one for ever."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._script: dict[str, list[Reply | Answer]] = {}
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"scripted": self}))
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def on(self, what: str, *answers: Reply | Answer) -> None:
        """Say what to answer to `METHOD /path`."""
        self._script[what] = list(answers)

    def asked(self, what: str) -> list[Request]:
        """The requests for `METHOD /path` so far."""
        return [request for request in self.requests if f"{request.method} {request.path}" == what]

    @contextmanager
    def running(self) -> Iterator[ScriptedServer]:
        """Serve while the block lasts."""
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()
            thread.join(5)

    def answer(self, request: Request) -> Reply:
        """The next answer to this request, which is kept."""
        with self._lock:
            self.requests.append(request)
            answers = self._script.get(f"{request.method} {request.path}")
            if not answers:
                return problem(404, "not_found", f"the test has no answer to {request.method} {request.path}")
            answer = answers[0] if len(answers) == 1 else answers.pop(0)
        return answer if isinstance(answer, Reply) else answer(request)


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes the answers of the script."""

    scripted: ScriptedServer
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(parts.query, keep_blank_values=True)
        reply = self.scripted.answer(Request(self.command, parts.path, query, headers, body))
        if reply.hang_up:
            self.close_connection = True
        elif reply.pieces is not None:
            self._stream(reply)
        else:
            self._whole(reply)

    def _whole(self, reply: Reply) -> None:
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        data = b"" if reply.body is None else data
        self.send_response(reply.status)
        for name, value in ({"Content-Type": "application/json"} | dict(reply.headers)).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in ({"Content-Type": "text/plain"} | dict(reply.headers)).items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in filter(None, reply.pieces or ()):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if reply.broken:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the standard library's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
