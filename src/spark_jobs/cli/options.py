"""The flags that several commands share."""

from __future__ import annotations

import enum
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
