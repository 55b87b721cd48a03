"""Patience with a server that can't be reached for a while."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from spark_jobs.client.link import READ_TIMEOUT, SILENCE, NeverSent
from spark_jobs.domain.errors import QueueFull, ServerUnreachable, SparkError, TryAgain

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 3.0
STOOD = SILENCE + 2 * READ_TIMEOUT
"""Seconds after which a stream that still stands has a server at its other end: a link looks after it in a silence."""

_T = TypeVar("_T")


class Contact:
    """Decides how long to go on after an error that may pass: ``timeout`` seconds from the first one without an answer.

    ``on_lost`` is told once each time the contact is lost, ``on_found`` once it is back.
    """

    def __init__(
        self,
        timeout: float,
        *,
        on_lost: Callable[[SparkError], None] = lambda _: None,
        on_found: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._timeout = timeout
        self._on_lost = on_lost
        self._on_found = on_found
        self._clock = clock
        self._sleep = sleep
        self._lost_at: float | None = None
        self._begun_at: float | None = None
        self._pause = FIRST_PAUSE

    def begun(self) -> None:
        """A stream is asked for, which may say nothing for long."""
        self._begun_at = self._clock()

    def kept(self) -> None:
        """The server answered."""
        if self._lost_at is not None:
            self._lost_at, self._pause = None, FIRST_PAUSE
            self._on_found()

    async def lost(self, error: SparkError) -> None:
        """Wait until it makes sense to try again.

        Raises:
            SparkError: ``error`` itself, where trying again can't help or the time is over.
        """
        if not isinstance(error, ServerUnreachable | TryAgain):
            raise error
        now = self._clock()
        if self._begun_at is not None and now - self._begun_at > STOOD:
            self.kept()
        if self._lost_at is None:
            self._lost_at = now
            if self._timeout > 0:
                self._on_lost(error)
        wanted = error.retry_after if isinstance(error, TryAgain) else 0.0
        pause = max(self._pause, wanted)
        if now + pause > self._lost_at + self._timeout:
            raise error
        await self._sleep(pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)


async def persist(
    send: Callable[[float], Awaitable[_T]],
    *,
    patience: float,
    wait_for_room: bool,
    on_lost: Callable[[SparkError], None],
) -> tuple[bool, _T]:
    """Send until there is an answer; with it, whether an earlier try may have been heard: then the answer's "it was there
    already" speaks of our own.

    Goes on for ``patience`` seconds, in which ``wait_for_room`` does not count a full queue. ``send`` is told how many
    seconds it has.
    """
    contact, room = Contact(patience, on_lost=on_lost), Contact(math.inf, on_lost=on_lost)
    deadline = time.monotonic() + patience
    heard = False
    while True:
        left = max(1.0, min(READ_TIMEOUT, deadline - time.monotonic()))
        try:
            return heard, await send(left)
        except SparkError as error:
            heard |= isinstance(error, ServerUnreachable) and not isinstance(error, NeverSent)
            if wait_for_room and isinstance(error, QueueFull):
                await room.lost(error)
                contact.kept()
                deadline = time.monotonic() + patience
            else:
                await contact.lost(error)
