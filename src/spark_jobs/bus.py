"""Wakes those who wait for something to change: a job, an attempt's log, any job.

Nothing but the wake-up crosses the bus. Whoever is woken reads what changed from the store, from where it left off, so a
slow reader costs no memory and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from types import TracebackType
from typing import Self

EVERY_JOB = "every job"


class Subscription:
    """Remembers that one of its topics was rung since the last :meth:`wait`. A context manager."""

    def __init__(self, bus: Bus, topics: tuple[Hashable, ...]) -> None:
        self._bus = bus
        self._topics = topics
        self._rung = asyncio.Event()

    async def wait(self, timeout: float | None = None) -> bool:
        """Return true once a topic has been rung, false after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True

    def take(self) -> bool:
        """Whether a topic has been rung since the last :meth:`take` or :meth:`wait`."""
        rung = self._rung.is_set()
        self._rung.clear()
        return rung

    def ring(self) -> None:
        """Wake the waiter, or let its next :meth:`wait` return at once."""
        self._rung.set()

    def __enter__(self) -> Self:
        for topic in self._topics:
            self._bus.attach(topic, self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for topic in self._topics:
            self._bus.detach(topic, self)


class Bus:
    """Topics and who listens to them. For use in one event loop."""

    def __init__(self) -> None:
        self._topics: dict[Hashable, set[Subscription]] = {}

    def subscribe(self, *topics: Hashable) -> Subscription:
        """A subscription, to be entered before the first read of what it tells about."""
        return Subscription(self, topics)

    def ring(self, *topics: Hashable) -> None:
        """Wake everybody who listens to one of the topics."""
        for topic in topics:
            for subscription in self._topics.get(topic, ()):
                subscription.ring()

    def ring_all(self) -> None:
        """Wake everybody: the server is about to stop."""
        self.ring(*self._topics)

    def attach(self, topic: Hashable, subscription: Subscription) -> None:
        """Used by :class:`Subscription`."""
        self._topics.setdefault(topic, set()).add(subscription)

    def detach(self, topic: Hashable, subscription: Subscription) -> None:
        """Used by :class:`Subscription`."""
        listeners = self._topics[topic]
        listeners.discard(subscription)
        if not listeners:
            del self._topics[topic]
