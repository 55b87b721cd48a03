"""The server's certificate and key: two PEM files, read again when they have changed."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import grpc

from spark_jobs.auth import file_identity, read_private
from spark_jobs.domain.errors import SettingError

_log = logging.getLogger(__name__)

_LARGEST = 1024 * 1024  # bytes of one file
_CERTIFICATE = ("the certificate", "grpc_tls_cert")
_KEY = ("the key of the certificate", "grpc_tls_key")


class Certificates:
    """What gRPC asks for at each new connection: the files' content, or the last good one while they are unusable."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the files. Raises SettingError when they can't be read, don't go together, or others may read the key."""
        self._certificate = certificate
        self._key = key
        self._seen: object = self._identities()
        self._first = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials of a server that shows the files' certificate of the moment."""
        changed: Any = self._changed  # its stubs have no word for "nothing new"
        return grpc.dynamic_ssl_server_credentials(self._first, changed, require_client_authentication=False)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new content; null while there is none. Called by threads of gRPC."""
        try:
            seen = self._identities()
            if seen == self._seen:
                return None
            self._seen = seen
            return self._read()
        except SettingError as error:
            # Also where one of the two is replaced and the other one not yet: the next connection looks again.
            _log.warning("the certificate changed and is not usable, the last one stays: %s", error)
            return None

    def _identities(self) -> tuple[object, object]:
        return file_identity(self._certificate, *_CERTIFICATE), file_identity(self._key, *_KEY)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        key = read_private(self._key, *_KEY, most=_LARGEST)
        self._check_pair()
        try:
            chain = self._certificate.read_bytes()
        except OSError as error:
            text = f"{_CERTIFICATE[0]} {self._certificate} can't be read: {error.strerror}"
            raise SettingError(text, setting=_CERTIFICATE[1]) from error
        return grpc.ssl_server_certificate_configuration([(key, chain)])

    def _check_pair(self) -> None:
        """Raise SettingError for what gRPC would only refuse each connection for."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key, password=_no_password)
        except (ssl.SSLError, ValueError, OSError) as error:
            why = (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)
            text = f"{self._certificate} and {self._key} are no certificate and its key in PEM: {why}"
            raise SettingError(text, setting=_CERTIFICATE[1]) from None


def _no_password() -> str:
    raise ValueError("the key needs a password, and there is nobody to ask")
