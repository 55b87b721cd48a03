"""One database: its writer and its readers, in a file or in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from spark_jobs.domain.errors import StoreUnavailable
from spark_jobs.store.sql.failures import store_error
from spark_jobs.store.sql.sqlite import reading_engine, writing_engine
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
    """A database in a file: a thread that writes, and threads that read."""

    def __init__(self, path: Path, listeners: Listeners, name: str) -> None:
        self._writing = writing_engine(path)
        self._reading = reading_engine(path, READERS)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{name}-read")
        self._writer = ThreadWriter(self._writing.connect(), listeners, f"{name}-write")
        self._closed = False

    async def write(self, run: Callable[[Tx], T]) -> T:
        """See :class:`Database`."""
        return await self._writer.write(run)

    async def read(self, run: Callable[[Connection], T]) -> T:
        """See :class:`Database`."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, _read, self._reading, run)

    async def close(self) -> None:
        """See :class:`Database`."""
        self._closed = True
        await self._writer.close()
        await asyncio.to_thread(self._readers.shutdown)
        self._reading.dispose()
        self._writing.dispose()


class MemoryDatabase:
    """A database in memory: one connection, used in the event loop itself."""

    def __init__(self, engine: Engine, listeners: Listeners) -> None:
        self._engine = engine
        self._writer = InlineWriter(engine.connect(), listeners)
        self._closed = False

    async def write(self, run: Callable[[Tx], T]) -> T:
        """See :class:`Database`."""
        return await self._writer.write(run)

    async def read(self, run: Callable[[Connection], T]) -> T:
        """See :class:`Database`."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        value = _read(self._engine, run)
        await asyncio.sleep(0)  # as on disk, others get a turn
        return value

    async def close(self) -> None:
        """See :class:`Database`."""
        self._closed = True
        await self._writer.close()
        self._engine.dispose()


def _read(engine: Engine, run: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return run(connection)
    except DBAPIError as error:
        raise store_error(error) or error from error
