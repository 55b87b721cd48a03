"""The flags that several commands share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

CONNECTION = "Connection"


class Format(enum.StrEnum):
    """How jobs are printed."""

    TABLE = "table"
    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    YAML = "yaml"


Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        rich_help_panel=CONNECTION,
        help="The server, http(s)://HOST:PORT (default: SPARK_SERVER, else http://127.0.0.1:8000).",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        rich_help_panel=CONNECTION,
        help="A file that holds the server's token (default: SPARK_TOKEN; a server on this machine needs neither).",
    ),
]
ReconnectTimeout = Annotated[
    str,
    typer.Option(
        "--reconnect-timeout",
        metavar="DURATION",
        rich_help_panel=CONNECTION,
        help="How long to go on while the server can't be reached.",
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but errors.")]
JobReference = Annotated[
    str, typer.Argument(metavar="JOB", help="An id, @latest, or at least 4 characters of an id's random part.")
]
JobReferences = Annotated[
    list[str],
    typer.Argument(metavar="JOB...", help="Ids, @latest, or at least 4 characters of an id's random part."),
]
