"""Who may call: the token, the rules for when one is asked for, and the file that tells clients where a server is.

Standard library only, because the client reads what is written here. A token is never part of a message or a log line.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from spark_jobs.domain.errors import SettingError, Unauthenticated

TOKEN_BYTES = 32  # 256 bit
SHORTEST_TOKEN = 16
LONGEST_TOKEN = 4096
_READABLE_BY_ALL_OR_WRITABLE_BY_GROUP = 0o027

Auth = Literal["auto", "token", "none"]

_log = logging.getLogger(__name__)


class TokenSource(Protocol):
    """Where the one valid token comes from."""

    def current(self) -> bytes:
        """The token that is valid now."""


class FixedToken:
    """A token given by the environment; it never changes."""

    def __init__(self, token: str) -> None:
        self._token = _checked(token.encode(), "SPARK_TOKEN")

    def current(self) -> bytes:
        """The token."""
        return self._token


class TokenFile:
    """A token in a file of its own, read again whenever the file has changed."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises SettingError when it can't be read, is open to others, or holds no usable token."""
        self.path = path
        self._seen = _identity(path)
        self._token = _read(path)

    def current(self) -> bytes:
        """The token in the file now; the last good one while the file is missing or unusable."""
        with contextlib.suppress(SettingError):
            seen = _identity(self.path)
            if seen != self._seen:
                self._seen = seen
                self._reload()
        return self._token

    def _reload(self) -> None:
        try:
            self._token = _read(self.path)
        except SettingError as error:
            _log.warning("the token file changed and is not usable, the last token stays valid: %s", error)


@dataclass(frozen=True)
class AccessSettings:
    """What decides whether a token is asked for. ``token`` is the value of ``SPARK_TOKEN``."""

    auth: Auth
    host: str
    local_cluster: bool
    data_dir: Path
    token: str | None = None
    token_file: Path | None = None


class Access:
    """Lets callers in or not. Without a source everybody who reaches the server may call."""

    def __init__(self, source: TokenSource | None = None, *, notes: Sequence[str] = ()) -> None:
        self._source = source
        self.notes = tuple(notes)  # to be said at every start

    @property
    def required(self) -> bool:
        """Whether a token is asked for."""
        return self._source is not None

    @property
    def token_file(self) -> Path | None:
        """The file that holds the token; null where there is none."""
        return self._source.path if isinstance(self._source, TokenFile) else None

    def check(self, authorizations: Sequence[bytes]) -> None:
        """Return if the request's ``Authorization`` values are one valid ``Bearer`` token.

        Raises:
            Unauthenticated: the token is missing or wrong.
        """
        if self._source is None:
            return
        if len(authorizations) != 1:
            raise Unauthenticated(f"this server asks for a token; {self._how()}")
        scheme, _, given = authorizations[0].partition(b" ")
        if scheme.lower() != b"bearer":
            raise Unauthenticated(f"this server asks for a token of the scheme Bearer; {self._how()}")
        if not _same(given.strip(), self._source.current()):
            raise Unauthenticated(f"this is not the server's token; {self._how()}")

    def _how(self) -> str:
        where = "`SPARK_TOKEN`" if self.token_file is None else f"the server's file `{self.token_file.name}`"
        return f"send `Authorization: Bearer TOKEN` with the token from {where} (clients: SPARK_TOKEN or --token-file)"


def decide_access(settings: AccessSettings) -> Access:
    """Apply the rules for who may call, making the token if one is wanted and this is loopback.

    Raises:
        SettingError: the settings don't go together, or name no usable token.
    """
    loopback = is_loopback(settings.host)
    _refuse_open_local_cluster(settings, loopback=loopback)
    if not _token_wanted(settings, loopback=loopback):
        open_to_all = f"anybody who reaches {settings.host} may run containers here: --auth none on a public address"
        return Access(notes=() if loopback else (open_to_all,))
    return Access(_token_source(settings, loopback=loopback))


def is_loopback(host: str) -> bool:
    """Whether a server on this host can be reached from this machine only."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def make_token(path: Path) -> TokenFile:
    """The token file at this path, made with a new token of 256 bit if it is not there. Raises SettingError."""
    if path.exists():
        return TokenFile(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        text = f"the token file {path} can't be made: {error.strerror}; name one that exists with --token-file"
        raise SettingError(text, setting="token_file") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
    return TokenFile(path)


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """Where programs of this user keep their state."""
    environ = os.environ if environ is None else environ
    named = environ.get("XDG_STATE_HOME", "")
    if Path(named).is_absolute():
        return Path(named)
    return Path(environ.get("HOME") or Path.home()) / ".local" / "state"


def announcement_path(port: int, home: Path | None = None) -> Path:
    """The file that says where the server on this port listens and which file holds its token."""
    return (home or state_home()) / "spark-jobs" / "servers" / f"{port}.json"


@contextlib.contextmanager
def announced(port: int, addresses: Sequence[str], access: Access, *, home: Path | None = None) -> Iterator[Path]:
    """Tell clients of this user about the server for as long as the block lasts. Raises OSError."""
    path = announcement_path(port, home)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    token_file = str(access.token_file.absolute()) if access.token_file else None
    content = json.dumps({"addresses": list(addresses), "token_file": token_file, "pid": os.getpid()}, indent=2)
    _write_private(path, content + "\n")
    try:
        yield path
    finally:
        # A later server on the same port has put its own file there: that one stays.
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == content + "\n":
                path.unlink()


def _refuse_open_local_cluster(settings: AccessSettings, *, loopback: bool) -> None:
    if not settings.local_cluster:
        return
    why = "--cluster local runs programs on this machine"
    if not loopback:
        raise SettingError(
            f"{why}, so it listens on loopback only, not on {settings.host}: leave --host out, or use a real cluster",
            setting="host",
        )
    if settings.auth == "none":
        raise SettingError(
            f"{why}, so a token is always asked for: leave --auth none out (clients on this machine find the token)",
            setting="auth",
        )


def _token_wanted(settings: AccessSettings, *, loopback: bool) -> bool:
    if settings.auth == "auto":
        # Whoever names a token file means it to be asked for.
        return settings.local_cluster or not loopback or settings.token_file is not None
    return settings.auth == "token"


def _token_source(settings: AccessSettings, *, loopback: bool) -> TokenSource:
    if settings.token_file is not None:
        return TokenFile(settings.token_file)
    if settings.token:
        return FixedToken(settings.token)
    if loopback:
        return make_token(settings.data_dir / "token")
    raise SettingError(
        f"a server on {settings.host} can be reached from other machines and needs a token: name a file with "
        "--token-file, or set SPARK_TOKEN (--auth none lets everybody in)",
        setting="token_file",
    )


def file_identity(path: Path, what: str, setting: str) -> tuple[int, int, int, int]:
    """What is different once the file was written or replaced. Raises SettingError of ``setting``, which says ``what``."""
    try:
        found = path.stat()
    except OSError as error:
        raise SettingError(f"{what} {path} can't be read: {error.strerror}", setting=setting) from error
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def read_private(path: Path, what: str, setting: str, *, most: int) -> bytes:
    """At most ``most`` bytes of a file that nobody else may read. Raises SettingError as :func:`file_identity`."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            content = file.read(most)
    except OSError as error:
        raise SettingError(f"{what} {path} can't be read: {error.strerror}", setting=setting) from error
    if os.name == "posix" and mode & _READABLE_BY_ALL_OR_WRITABLE_BY_GROUP:
        text = f"{what} {path} is open to others (mode {mode & 0o777:04o}): chmod 600 {path}"
        raise SettingError(text, setting=setting)
    return content


def _identity(path: Path) -> tuple[int, int, int, int]:
    return file_identity(path, "the token file", "token_file")


def _read(path: Path) -> bytes:
    content = read_private(path, "the token file", "token_file", most=LONGEST_TOKEN + 2)
    return _checked(content, f"the token file {path}")


def _checked(content: bytes, what: str) -> bytes:
    token = content.strip()
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN or not all(0x21 <= byte <= 0x7E for byte in token):
        text = f"{what} must hold {SHORTEST_TOKEN} to {LONGEST_TOKEN} visible ASCII characters and nothing else"
        raise SettingError(text, setting="token_file")
    return token


def _same(given: bytes, wanted: bytes) -> bool:
    """Compare in constant time, whatever the lengths."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(wanted).digest())


def _write_private(path: Path, content: str) -> None:
    # mkstemp gives mode 0600 from the start, and the rename leaves no moment with half a file.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    Path(temporary).replace(path)
