"""What goes with every request so that the API server knows us: headers and the TLS context, renewed when they age."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from multidict import CIMultiDict

from spark_jobs import journal
from spark_jobs.cluster.kubernetes.config import KubernetesConfig
from spark_jobs.cluster.kubernetes.execplugin import ExecPlugin
from spark_jobs.cluster.kubernetes.kubeconfig import Login, find_login
from spark_jobs.cluster.kubernetes.proxies import proxy_for
from spark_jobs.domain.errors import CredentialsError

log = journal.logger(__name__)

_FILE_AGE = 30.0


class Credentials:
    """How to reach the API server, and as whom. ``server`` has no slash at its end; ``server_name``: the name to expect
    in its certificate, null for the host's own. ``generation`` grows whenever something was renewed."""

    def __init__(self, login: Login, again: Callable[[], Login] | None = None) -> None:
        """``again`` reads the login anew, for when its files have changed.

        Raises CredentialsError where a file is missing or a certificate is none."""
        self.namespace = login.namespace
        self.generation = 0
        self._again = again or (lambda: login)
        self._read_at: float | None = None
        self._renewing = asyncio.Lock()
        self._use(login)

    def _use(self, login: Login) -> None:
        """Log in like this from now on; all or nothing. Raises CredentialsError."""
        tls = _tls(login, login.certificate, login.key)
        plugin = ExecPlugin(login) if login.exec_plugin else None
        token = _token_in(login.token_file) if login.token_file else None
        proxy = proxy_for(login.server, login.proxy)
        self.server, self.server_name, self.origin = login.server, login.server_name, login.origin
        self.proxy = proxy
        self.tls = tls
        self._login, self._plugin, self._token = login, plugin, token
        pem = [path for path in (login.ca, login.certificate, login.key) if isinstance(path, Path)]
        self._files = [*pem, *login.files]
        self._marks = _marks(self._files)

    async def headers(self) -> CIMultiDict[str]:
        """Headers for one request; files are read again and plugins run again when what they gave has aged.

        Raises:
            CredentialsError: there is no valid login now.
        """
        if self._plugin is not None:
            await self._use_plugin(self._plugin)
        now = asyncio.get_running_loop().time()
        self._read_at = now if self._read_at is None else self._read_at
        if now - self._read_at > _FILE_AGE:
            self._read_at = now
            self._read_files()
        headers = CIMultiDict(self._login.impersonate)
        if (token := self._token or self._login.token) is not None:
            headers["Authorization"] = f"Bearer {token}"
        elif self._login.basic is not None:
            pair = base64.b64encode(":".join(self._login.basic).encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        return headers

    def refused(self, generation: int) -> bool:
        """The server said 401 to a login of this generation: forget what may be renewed. Whether it makes sense to ask
        again: something was renewed meanwhile, or will be."""
        if generation == self.generation and self._plugin is not None:
            return self._plugin.forget()
        if generation == self.generation:
            self._read_files()
        return generation != self.generation

    async def _use_plugin(self, plugin: ExecPlugin) -> None:
        async with self._renewing:
            fresh = await plugin.renew()
            if fresh is not None:
                self._token = fresh.token
                self.generation += 1
                if fresh.certificate is not None:
                    self.tls = _tls(self._login, fresh.certificate, fresh.key)

    def _read_files(self) -> None:
        """What is just being replaced, and can't be read, stays in use as it was."""
        marks = _marks(self._files)
        if marks != self._marks:
            self._marks = marks
            try:
                self._use(self._again())
            except CredentialsError as error:
                log.warning("renewed credentials can't be used, keeping the last ones", problem=error.message)
            else:
                self.generation += 1
        elif self._login.token_file is not None:
            self._read_token(self._login.token_file)

    def _read_token(self, path: Path) -> None:
        try:
            token = _token_in(path)
        except CredentialsError as error:
            log.info("a token file can't be read, keeping its last token", problem=error.message)
            return
        if token != self._token:
            self._token = token
            self.generation += 1


def load_credentials(config: KubernetesConfig) -> Credentials:
    """The credentials that the settings name.

    Raises:
        CredentialsError: there are none, or they can't be used; the message names the setting.
    """
    return Credentials(find_login(config), lambda: find_login(config))


def _token_in(path: Path) -> str:
    """Raises CredentialsError for a file that can't be read, or that holds no token: one that is just being written."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise CredentialsError(f"the token file {path} can't be read: {error.strerror}") from error
    except ValueError:
        token = ""
    if not token or not token.isprintable():
        raise CredentialsError(f"the token file {path} holds no token")
    return token


def _marks(files: list[Path]) -> list[tuple[int, int] | None]:
    """By which a file that was replaced is known, also one behind a link that leads elsewhere now."""
    marks: list[tuple[int, int] | None] = []
    for path in files:
        try:
            found = path.stat()
        except OSError:
            marks.append(None)
        else:
            marks.append((found.st_mtime_ns, found.st_ino))
    return marks


def _tls(login: Login, certificate: bytes | Path | None, key: bytes | Path | None) -> ssl.SSLContext | bool:
    """The context for the server; True where it speaks plain HTTP."""
    if not login.server.startswith("https://"):
        return True
    context = ssl.create_default_context()
    # Clusters' own authorities often lack an extension that Python 3.13 began to insist on; kubectl takes them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        if login.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif login.ca is not None:
            context = _trusting_only(login.ca)
        if certificate is not None and key is not None:
            with _as_file(certificate) as certificate_path, _as_file(key) as key_path:
                context.load_cert_chain(certificate_path, key_path)
    except OSError as error:  # an SSLError is one as well
        problem = error.strerror or getattr(error, "reason", None) or "not PEM"
        text = f"the certificates of {login.origin} can't be used: {problem} {error.filename or ''}"
        raise CredentialsError(text.rstrip()) from None
    return context


def _trusting_only(ca: bytes | Path) -> ssl.SSLContext:
    pem = ca if isinstance(ca, bytes) else ca.read_bytes()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=pem.decode(errors="replace"))
    return context


@contextmanager
def _as_file(pem: bytes | Path) -> Iterator[str]:
    """A path that OpenSSL can read; data never reach a disk where the system can do without."""
    if isinstance(pem, Path):
        yield str(pem)
    elif hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pem")
        try:
            os.write(descriptor, pem)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem)
            file.flush()
            yield file.name
