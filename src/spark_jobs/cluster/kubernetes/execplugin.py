"""Credentials from an exec plugin: a program that a kubeconfig names, which prints a token or a certificate."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from asyncio import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from spark_jobs.cluster.kubernetes.kubeconfig import Login
from spark_jobs.domain.errors import CredentialsError

_TIME_LIMIT = 60.0
_APART = 10.0


class ExecStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What a plugin gives."""

    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    @property
    def certificate(self) -> bytes | None:
        """PEM."""
        return self.client_certificate_data.encode() if self.client_certificate_data else None

    @property
    def key(self) -> bytes | None:
        """PEM."""
        return self.client_key_data.encode() if self.client_key_data else None


class _ExecCredential(msgspec.Struct, frozen=True):
    status: ExecStatus | None = None


class ExecPlugin:
    """Runs the program when there is nothing valid in hand."""

    def __init__(self, login: Login) -> None:
        """Raises CredentialsError for a program that is not there or that needs a terminal."""
        section: dict[str, Any] = login.exec_plugin or {}
        self._version = str(section.get("apiVersion") or "client.authentication.k8s.io/v1")
        self._origin = login.origin
        if section.get("interactiveMode") == "Always":
            raise CredentialsError(f"the exec plugin of {login.origin} needs a terminal, which a server has not")
        command = str(section.get("command") or "")
        program = str(login.folder / command) if "/" in command else shutil.which(command)
        if program is None or not Path(program).is_file():
            hint = section.get("installHint") or "install it, or name another kubeconfig with --kubeconfig"
            raise CredentialsError(f"the exec plugin {command!r} of {login.origin} is not installed: {hint}")
        self._argv = [program, *(str(word) for word in section.get("args") or [])]
        self._env = {str(entry["name"]): str(entry["value"]) for entry in section.get("env") or []}
        self._info = self._exec_info(login) if section.get("provideClusterInfo") else self._exec_info(None)
        self._status: ExecStatus | None = None
        self._forgot_at: float | None = None

    def forget(self) -> bool:
        """What it gave was refused: run it again, unless that was done just now and did not help. Whether it will be."""
        if self._status is None:
            return True  # another request that was refused has seen to it
        now = time.monotonic()
        if self._forgot_at is not None and now - self._forgot_at < _APART:
            return False
        self._forgot_at = now
        self._status = None
        return True

    async def renew(self) -> ExecStatus | None:
        """Run it if needed; null if what it gave last is still good.

        Raises:
            CredentialsError: it failed, took longer than a minute, or printed no credentials.
        """
        held = self._status
        if held is not None and (held.expiration_timestamp is None or held.expiration_timestamp > datetime.now(UTC)):
            return None
        self._status = self._parse(await self._run())
        return self._status

    def _exec_info(self, login: Login | None) -> str:
        spec: dict[str, object] = {"interactive": False}
        if login is not None:
            cluster: dict[str, object] = {"server": login.server, "insecure-skip-tls-verify": login.insecure}
            if login.server_name:
                cluster["tls-server-name"] = login.server_name
            if login.ca is not None:
                cluster["certificate-authority-data"] = (
                    login.ca if isinstance(login.ca, bytes) else login.ca.read_bytes()
                )
            spec["cluster"] = cluster
        info = {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}
        return msgspec.json.encode(info).decode()  # bytes become base64, as wanted

    async def _run(self) -> bytes:
        env = {**os.environ, **self._env, "KUBERNETES_EXEC_INFO": self._info}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise CredentialsError(f"the exec plugin of {self._origin} can't be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(_TIME_LIMIT):
                output, complaint = await process.communicate()
        except TimeoutError:
            raise CredentialsError(
                f"the exec plugin of {self._origin} gave nothing within {_TIME_LIMIT:.0f} s"
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            last = (complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise CredentialsError(f"the exec plugin of {self._origin} failed ({process.returncode}): {last[:300]}")
        return output

    def _parse(self, output: bytes) -> ExecStatus:
        try:
            status = msgspec.json.decode(output, type=_ExecCredential).status
        except msgspec.DecodeError:
            status = None
        if status is None or not (status.token or (status.client_certificate_data and status.client_key_data)):
            raise CredentialsError(
                f"the exec plugin of {self._origin} printed no ExecCredential with a token or a certificate"
            )
        return status
