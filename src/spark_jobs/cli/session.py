"""Where a command's client comes from, and running the command's coroutine with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import typer

from spark_jobs.cli.failures import UsageError
from spark_jobs.client import Client
from spark_jobs.domain.quantities import parse_duration

Opens: TypeAlias = Callable[[], AbstractAsyncContextManager[Client]]
"""Makes a client that is used once and then closed."""


def with_client(opens: Opens, work: Callable[[Client], Awaitable[int]]) -> None:
    """Run `work` with a client and end with the exit code that it returns.

    Raises:
        SparkError: whatever `work` raises; `main` tells it.
    """

    async def session() -> int:
        async with opens() as client:
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
