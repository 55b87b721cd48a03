"""Running a command's coroutine with a client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import typer

from spark_jobs.cli.failures import UsageError
from spark_jobs.client import Client
from spark_jobs.domain.quantities import parse_duration


def with_client(server: str | None, token_file: Path | None, work: Callable[[Client], Awaitable[int]]) -> None:
    """Run `work` with a client of the server and end with the exit code that it returns.

    Raises:
        SparkError: whatever `work` raises; `main` tells it.
    """

    async def session() -> int:
        async with Client(server, token_file=token_file) as client:
            return await work(client)

    code = asyncio.run(session())
    if code:
        raise typer.Exit(code)


def seconds(flag: str, text: str, *, zero: bool = True) -> float:
    """A flag's duration in seconds. Raises UsageError."""
    try:
        return parse_duration(text, zero=zero)
    except ValueError as error:
        raise UsageError(f"{flag} {text}: {error}") from None
