"""What a sink must do, in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class Sink(Protocol):
    """Keeps objects under names: words with slashes between, which are safe as parts of a path.

    A sink that can't do something now (away, full, not allowed) raises SinkUnavailable, whose message holds no secret.
    """

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """Store an object, whole or not at all: until its last piece is safe, nothing or an older object has its name.

        Memory does not grow with its size. What ``pieces`` raises is raised, and nothing was stored.
        """

    async def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""

    def address(self, name: str) -> str:
        """Where an object of this name is, for people: a URL."""
