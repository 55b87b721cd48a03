"""Picks the link that an address asks for, and imports only what that one needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from spark_jobs.client.address import Address, Mode
from spark_jobs.client.link import Link
from spark_jobs.domain.errors import SettingError

_VERBOSITY = "GRPC_VERBOSITY"


def link_to(address: Address) -> Link:
    """A link to the server at this address; it connects when it is used.

    Raises:
        SettingError: the address can't be used, or needs packages that are not installed.
    """
    if address.mode is Mode.REST:
        from spark_jobs.client.rest import RestLink  # noqa: PLC0415 - takes time, which the other kind need not spend

        return RestLink(address)
    try:
        with _quiet_grpc():
            from spark_jobs.client.rpc import RpcLink  # noqa: PLC0415 - it is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"grpc", "google"}:
            raise
        text = f"{address.url} needs the packages for gRPC: pip install 'spark-jobs[grpc]'"
        raise SettingError(text, setting="server") from None
    return RpcLink(address)


@contextmanager
def _quiet_grpc() -> Iterator[None]:
    """gRPC's core writes to stderr by itself, and decides whether to when it is first imported; unless somebody has
    imported it or said what they want, it is to write nothing."""
    if "grpc" in sys.modules or _VERBOSITY in os.environ:
        yield
        return
    os.environ[_VERBOSITY] = "NONE"
    try:
        yield
    finally:
        del os.environ[_VERBOSITY]
