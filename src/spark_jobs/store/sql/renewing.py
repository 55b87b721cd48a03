"""A database that is begun anew while it is in use, once, when it turns out to be damaged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from sqlite3 import Connection
from typing import TypeVar

from spark_jobs import journal
from spark_jobs.domain.errors import DataDirDamaged, DataDirError, StoreUnavailable
from spark_jobs.store.sql.database import Database
from spark_jobs.store.sql.failures import RETRY_AFTER
from spark_jobs.store.sql.writer import Tx

T = TypeVar("T")

log = journal.logger(__name__)


class RenewingDatabase:
    """See :class:`Database`. ``open_it`` opens the file; ``renew`` puts a new one in its place, told why.

    Only a write that fails is a reason: readers pass over what they can't read. And a second time it is not tried, since a
    disk that damages what was just written would be filled with damaged files.
    """

    def __init__(self, open_it: Callable[[], Database], renew: Callable[[str], None]) -> None:
        self._open_it = open_it
        self._renew = renew
        self._database: Database | None = open_it()
        self._renewing: asyncio.Task[None] | None = None

    async def write(self, run: Callable[[Tx], T]) -> T:
        """See :class:`Database`. Raises StoreUnavailable for as long as it is begun anew."""
        database = self._current()
        try:
            return await database.write(run)
        except DataDirDamaged as error:
            if self._renewing is None:
                self._database = None
                self._renewing = asyncio.create_task(self._replace(database, error.message), name="renewing logs")
            elif self._database is database:
                raise
            raise _not_now() from error

    async def read(self, run: Callable[[Connection], T]) -> T:
        """See :class:`Database`. Raises StoreUnavailable for as long as it is begun anew."""
        return await self._current().read(run)

    async def close(self) -> None:
        """See :class:`Database`."""
        if self._renewing is not None:
            await self._renewing
        if self._database is not None:
            await self._database.close()

    def _current(self) -> Database:
        if self._database is None:
            raise _not_now()
        return self._database

    async def _replace(self, damaged: Database, problem: str) -> None:
        try:
            await damaged.close()
            try:
                await asyncio.to_thread(self._renew, problem)
            finally:
                self._database = self._open_it()
        except (DataDirError, sqlite3.Error):
            log.exception("the database of logs could not be begun anew; make room, and start the server again")


def _not_now() -> StoreUnavailable:
    return StoreUnavailable("the database of logs was damaged and is begun anew", retry_after=RETRY_AFTER)
