"""Writes: one at a time, committed in groups, told to listeners in the order of the commits.

Writes that are queued while a commit is under way go into the next transaction together, each in a savepoint of its own,
so that the failure of one harms no other. One ``fsync`` then serves all of them.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, Generic, TypeVar

from spark_jobs.domain.errors import StoreUnavailable
from spark_jobs.domain.job import JobEvent
from spark_jobs.store.base import Commit
from spark_jobs.store.sql.failures import store_error

T = TypeVar("T")

MAX_GROUP = 256  # writes in one transaction


class Told:
    """What listeners will hear of a transaction."""

    def __init__(self) -> None:
        self.events: list[JobEvent] = []
        self.wishes: list[str] = []
        self.queue_changed = False
        self.archive_due = False

    def add(self, other: Told) -> None:
        """Take over what a finished write has to tell."""
        self.events += other.events
        self.wishes += other.wishes
        self.queue_changed = self.queue_changed or other.queue_changed
        self.archive_due = self.archive_due or other.archive_due

    def commit(self) -> Commit | None:
        """As listeners get it; null where there is nothing to tell."""
        if not (self.events or self.wishes or self.queue_changed or self.archive_due):
            return None
        return Commit(
            events=tuple(self.events),
            wishes=tuple(self.wishes),
            queue_changed=self.queue_changed,
            archive_due=self.archive_due,
        )


class Tx(Told):
    """One write inside its savepoint: the connection to run on, and what to tell if it is committed."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection


class Write(Generic[T]):
    """A write that waits, and the future that its caller waits for."""

    def __init__(self, run: Callable[[Tx], T], future: asyncio.Future[T]) -> None:
        self.run = run
        self.future = future

    def settle(self, outcome: Any) -> None:
        """Answer the caller, unless it has gone away. In the event loop."""
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Group:
    """Writes after their commit: the outcome of each, and what to tell."""

    def __init__(self, writes: Sequence[Write[Any]], outcomes: Sequence[Any], told: Told, seconds: float) -> None:
        self.writes = writes
        self.outcomes = outcomes
        self.commit = told.commit()
        self.seconds = seconds


def commit_group(connection: Connection, writes: Sequence[Write[Any]]) -> Group:
    """Run the writes in one transaction; where it fails as a whole, every write gets that failure. Never raises."""
    started = time.perf_counter()
    told = Told()
    outcomes: list[Any]
    try:
        connection.execute("BEGIN IMMEDIATE")
        run = _run if len(writes) == 1 else _run_apart
        outcomes = [run(connection, write, told) for write in writes]
        connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - handed to the callers, who raise it
        outcomes, told = [_undo(connection, error)] * len(writes), Told()
    return Group(writes, outcomes, told, time.perf_counter() - started)


def _undo(connection: Connection, error: Exception) -> Exception:
    """Roll back, and say why. A full disk may have rolled back already."""
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error as another:
        error.add_note(f"and the transaction can't be rolled back: {another}")
    return store_error(error) or error


def _run(connection: Connection, write: Write[Any], told: Told) -> Any:
    """The write's value; raises what it raises."""
    tx = Tx(connection)
    value = write.run(tx)
    told.add(tx)
    return value


def _run_apart(connection: Connection, write: Write[Any], told: Told) -> Any:
    """The write's value, or the error that it ended with; raises where the whole transaction is lost."""
    connection.execute("SAVEPOINT one")
    try:
        value = _run(connection, write, told)
    except Exception as error:
        if store_error(error) is not None:
            raise
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return error
    connection.execute("RELEASE one")
    return value


class Listeners:
    """Who hears of commits."""

    def __init__(self) -> None:
        self.commits: list[Callable[[Commit], None]] = []
        self.observers: list[Callable[[float, int], None]] = []

    def deliver(self, group: Group) -> None:
        """Tell everybody of a group, listeners before callers. In the event loop."""
        loop = asyncio.get_running_loop()
        for observer in self.observers:
            _guarded(loop, observer, group.seconds, len(group.writes))
        if group.commit is not None:
            for listener in self.commits:
                _guarded(loop, listener, group.commit)
        for write, outcome in zip(group.writes, group.outcomes, strict=True):
            write.settle(outcome)


def _guarded(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> None:
    """A listener that fails must not keep others, or the callers, from hearing of a commit that has happened."""
    try:
        call(*args)
    except Exception as error:  # noqa: BLE001 - reported, and not the committing callers' fault
        loop.call_exception_handler({"message": "a listener to commits failed", "exception": error})


class ThreadWriter:
    """Writes in a thread of its own, over one connection."""

    def __init__(self, connection: Connection, listeners: Listeners, name: str) -> None:
        self._connection = connection
        self._listeners = listeners
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[Write[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def write(self, run: Callable[[Tx], T]) -> T:
        """The value of ``run``, once it is committed.

        Raises:
            StoreUnavailable: it can't be written now, and nothing of it was.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        write: Write[T] = Write(run, self._loop.create_future())
        self._waiting.put(write)
        return await write.future

    async def close(self) -> None:
        """Commit what waits, and end the thread."""
        self._closed = True
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _work(self) -> None:
        open_ = True
        while open_:
            writes, open_ = self._next_group()
            if writes:
                group = commit_group(self._connection, writes)
                try:
                    self._loop.call_soon_threadsafe(self._listeners.deliver, group)
                except RuntimeError:  # the loop was closed before the store: nobody is left to hear of it
                    return

    def _next_group(self) -> tuple[list[Write[Any]], bool]:
        """What waits, at least one, and false as the second once the end is reached."""
        writes: list[Write[Any]] = []
        item = self._waiting.get()
        while item is not None:
            writes.append(item)
            if len(writes) == MAX_GROUP or self._waiting.empty():
                return writes, True
            item = self._waiting.get()
        return writes, False


class InlineWriter:
    """Writes at once, in the event loop itself: for a database in memory, where nothing ever blocks."""

    def __init__(self, connection: Connection, listeners: Listeners) -> None:
        self._connection = connection
        self._listeners = listeners
        self._closed = False

    async def write(self, run: Callable[[Tx], T]) -> T:
        """As :meth:`ThreadWriter.write`."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        write: Write[T] = Write(run, loop.create_future())
        loop.call_soon(self._listeners.deliver, commit_group(self._connection, [write]))
        return await write.future

    async def close(self) -> None:
        """Take no more."""
        self._closed = True
        self._connection.close()
