"""Which server to talk to, and with which token: from arguments, the environment, or what a local server announced."""

from __future__ import annotations

import enum
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec

from spark_jobs.auth import announcement_path, is_loopback
from spark_jobs.domain.errors import SettingError

_PORTS = {"http": 80, "https": 443, "grpc": 9000, "grpcs": 9000}


class Mode(enum.StrEnum):
    """The interface of a server that a client speaks with."""

    REST = "rest"
    GRPC = "grpc"


_OF_SCHEME = {"http": Mode.REST, "https": Mode.REST, "grpc": Mode.GRPC, "grpcs": Mode.GRPC}
DEFAULT_SERVERS = {Mode.REST: "http://127.0.0.1:8000", Mode.GRPC: "grpc://127.0.0.1:9000"}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A server's base URL without a slash at its end, the token that was given for it, and its port if it is on this
    machine: then it may have announced a token itself."""

    url: str
    given_token: str | None = None
    local_port: int | None = None

    @property
    def mode(self) -> Mode:
        """Which interface is there."""
        return _OF_SCHEME[urlsplit(self.url).scheme]

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine."""
        return self.local_port is not None

    @property
    def token(self) -> str | None:
        """The token to show now: a server that starts later, or again, may announce another one."""
        if self.given_token is None and self.local_port is not None:
            return announced_token(self.local_port)
        return self.given_token

    def __repr__(self) -> str:
        """The token is a secret, so it is not part of this."""
        return f"Address(url={self.url!r}, given_token={'***' if self.given_token else None})"


def find_address(
    server: str | None = None,
    *,
    mode: Mode | None = None,
    default: Mode = Mode.REST,
    token: str | None = None,
    token_file: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Address:
    """The address to use: the argument, else ``SPARK_SERVER``, else this machine: port 8000, in mode ``grpc`` 9000.

    ``mode`` also stands in for the scheme of an address that has none; one with another scheme is refused. ``default`` is
    the mode where nothing says one. The token is the argument, else the file's content, else ``SPARK_TOKEN``, else
    ``SPARK_TOKEN_FILE``, else, for a server on this machine only, the one that the server announced.

    Raises:
        SettingError: the address is not one that this client can talk to, or the token can't be read.
    """
    environment = os.environ if environ is None else environ
    named = server or _variable(environment, "SPARK_SERVER") or DEFAULT_SERVERS[mode or default]
    parts = _split(named, mode)
    if token is None:
        token = _given_token(token_file, environment)
    local_port = (parts.port or _PORTS[parts.scheme]) if is_loopback(parts.hostname or "") else None
    return Address(url=parts.geturl().rstrip("/"), given_token=_checked(token), local_port=local_port)


def announced_token(port: int) -> str | None:
    """The token of the server that this user runs on this machine at ``port``; null if none has said so."""
    try:
        announced = json.loads(announcement_path(port).read_text(encoding="utf-8"))
        if announced["token_file"] is None or not _alive(announced["pid"]):
            return None
        return _checked(Path(announced["token_file"]).read_text(encoding="utf-8").strip() or None)
    except (OSError, ValueError, KeyError, TypeError, SettingError):
        return None


def _alive(pid: int) -> bool:
    # A file that a killed server left must not hand its token to whoever listens on that port now.
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _split(server: str, mode: Mode | None) -> SplitResult:
    text = server if "://" in server else f"{'grpc' if mode is Mode.GRPC else 'http'}://{server}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _bad(server, str(error)) from None
    if parts.scheme not in _PORTS:
        raise _bad(server, "it must begin with http://, https://, grpc:// or grpcs://")
    found = _OF_SCHEME[parts.scheme]
    if mode is not None and mode is not found:
        raise _bad(server, f"that is not an address for --mode {mode}; leave --mode out, or name another server")
    if not parts.hostname or port == 0:
        raise _bad(server, f"it names no host and port; write one such as {DEFAULT_SERVERS[found]}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _bad(server, "it may hold a host, a port and a path only; a token goes into SPARK_TOKEN or --token-file")
    if found is Mode.GRPC and parts.path.strip("/"):
        raise _bad(server, f"gRPC knows no paths; write {parts.scheme}://{parts.netloc}")
    return parts


def _bad(server: str, why: str) -> SettingError:
    shown = server.rpartition("@")[2]
    return SettingError(f"--server (SPARK_SERVER) is {shown!r}: {why}", setting="server")


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    # A Kubernetes Service named `spark` puts SPARK_PORT=tcp://... and the like into every pod beside it.
    return None if not value or value.startswith("tcp://") else value


def _given_token(token_file: str | Path | None, environ: Mapping[str, str]) -> str | None:
    if token_file is not None:
        return _read_token(Path(token_file), "--token-file")
    if (token := _variable(environ, "SPARK_TOKEN")) is not None:
        return token.strip()
    if (named := _variable(environ, "SPARK_TOKEN_FILE")) is not None:
        return _read_token(Path(named), "SPARK_TOKEN_FILE")
    return None


def _read_token(path: Path, setting: str) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingError(f"{setting}: can't read the token from {path}: {reason}", setting="token_file") from None
    if not token:
        raise SettingError(f"{setting}: {path} is empty; it must hold the server's token", setting="token_file")
    return token


def _checked(token: str | None) -> str | None:
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        text = "the token (SPARK_TOKEN, --token-file) must be one word of printable ASCII characters"
        raise SettingError(text, setting="token")
    return token
