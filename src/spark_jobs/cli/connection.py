"""The flags that say which server a command talks to, the same for every command, and the client that they lead to."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from spark_jobs.cli.flags import Flag, with_parameters
from spark_jobs.cli.options import CONNECTION
from spark_jobs.client import Address, Client, Mode, find_address
from spark_jobs.client.links import link_to

CONNECTION_FLAGS = (
    Flag(
        "mode",
        ("--mode",),
        Mode,
        "What to speak where no server is named: REST at port 8000 of this machine, or gRPC at port 9000.",
        CONNECTION,
    ),
    Flag(
        "server",
        ("--server",),
        str,
        "The server, http(s)://HOST:PORT or grpc(s)://HOST:PORT (default: SPARK_SERVER, else http://127.0.0.1:8000).",
        CONNECTION,
        metavar="URL",
    ),
    Flag(
        "token_file",
        ("--token-file",),
        Path,
        "A file that holds the server's token (default: SPARK_TOKEN; a server on this machine needs neither).",
        CONNECTION,
        metavar="FILE",
    ),
)


class Connection(msgspec.Struct, frozen=True):
    """What the flags say. Calling it makes the client."""

    mode: Mode | None
    server: str | None
    token_file: Path | None = None
    default: Mode = Mode.REST

    @classmethod
    def taken_from(cls, flags: dict[str, Any]) -> Self:
        """The connection that these flags name, which are taken out of them."""
        return cls(**{flag.parameter: flags.pop(flag.parameter) for flag in CONNECTION_FLAGS})

    def __call__(self) -> Client:
        """A client of that server. Raises SettingError."""
        return Client(link=link_to(self.address()))

    def address(self) -> Address:
        """Where it leads. Raises SettingError."""
        return find_address(self.server, mode=self.mode, default=self.default, token_file=self.token_file)


def connected(function: Callable[..., None]) -> Callable[..., None]:
    """The function, which takes a ``connection``, as a command that has the flags for one in its place."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()

    def command(**flags: Any) -> None:
        connection = Connection.taken_from(flags)
        function(**flags, connection=connection)

    command.__doc__ = function.__doc__
    others = [each.replace(kind=each.KEYWORD_ONLY) for each in parameters if each.name != "connection"]
    return with_parameters(command, CONNECTION_FLAGS, *others)
