"""One database: its writer and its readers, in a file or in memory."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from sqlite3 import Connection
from typing import Protocol, TypeVar

from spark_jobs.domain.errors import StoreUnavailable
from spark_jobs.store.sql.failures import store_error
from spark_jobs.store.sql.sqlite import connect_reader, connect_writer
from spark_jobs.store.sql.writer import InlineWriter, Listeners, ThreadWriter, Tx

T = TypeVar("T")

READERS = 4  # threads that read, each with its own connection


class Database(Protocol):
    """What the rest of the store does with a database."""

    async def write(self, run: Callable[[Tx], T]) -> T:
        """The value of ``run``, once it is committed; raises StoreUnavailable where it can't be."""

    async def read(self, run: Callable[[Connection], T]) -> T:
        """The value of ``run``, which sees one committed state; never waits for writes."""

    async def close(self) -> None:
        """Commit what waits, and close all connections."""


class DiskDatabase:
    """A database in a file: a thread that writes, and threads that read, each with a connection of its own."""

    def __init__(self, path: Path, listeners: Listeners, name: str) -> None:
        self._path = path
        self._own = threading.local()
        self._connections: list[Connection] = []
        self._readers = ThreadPoolExecutor(READERS, f"{name}-read", self._connect)
        self._writer = ThreadWriter(connect_writer(path), listeners, f"{name}-write")
        self._closed = False

    async def write(self, run: Callable[[Tx], T]) -> T:
        """See :class:`Database`."""
        return await self._writer.write(run)

    async def read(self, run: Callable[[Connection], T]) -> T:
        """See :class:`Database`."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, run)

    async def close(self) -> None:
        """See :class:`Database`."""
        self._closed = True
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._connections:
            connection.close()
        await self._writer.close()  # the last to close: SQLite then takes over the journal and removes it

    def _connect(self) -> None:
        self._own.connection = connect_reader(self._path)
        self._connections.append(self._own.connection)

    def _read(self, run: Callable[[Connection], T]) -> T:
        return _read(self._own.connection, run)


class MemoryDatabase:
    """A database in memory: one connection, used in the event loop itself."""

    def __init__(self, connection: Connection, listeners: Listeners) -> None:
        self._connection = connection
        self._writer = InlineWriter(connection, listeners)
        self._closed = False

    async def write(self, run: Callable[[Tx], T]) -> T:
        """See :class:`Database`."""
        return await self._writer.write(run)

    async def read(self, run: Callable[[Connection], T]) -> T:
        """See :class:`Database`."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        value = _read(self._connection, run)
        await asyncio.sleep(0)  # as on disk, others get a turn
        return value

    async def close(self) -> None:
        """See :class:`Database`."""
        self._closed = True
        await self._writer.close()


def _read(connection: Connection, run: Callable[[Connection], T]) -> T:
    """Run in a transaction, which sees one state of the database throughout."""
    try:
        connection.execute("BEGIN")
        try:
            return run(connection)
        finally:
            connection.execute("ROLLBACK")  # where the file was found damaged, a commit would complain once more
    except StopIteration as error:  # the one error that no future holds: whoever waits would do so for ever
        raise RuntimeError("a read took one more of something than there was") from error
    except sqlite3.Error as error:
        raise store_error(error) or error from error
