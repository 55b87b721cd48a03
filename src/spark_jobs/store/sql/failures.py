"""Which of our errors a failure of the database is."""

from __future__ import annotations

import sqlite3

from spark_jobs.domain.errors import DataDirDamaged, SparkError, StoreUnavailable

_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    }
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY_CODE = 0xFF  # the low byte of an extended result code

RETRY_AFTER = 5.0  # seconds: space does not come back at once


def store_error(error: BaseException) -> SparkError | None:
    """The error that users see; null where the failure is not one of the database as a whole."""
    code = _code(error)
    if code in _UNAVAILABLE:
        return StoreUnavailable(
            f"the database can't be written or read now ({error}); is there space left in the data folder?",
            retry_after=RETRY_AFTER,
        )
    if is_damage(error):
        return DataDirDamaged(f"the database is damaged ({error}); restore the data folder from a copy")
    return None


def is_damage(error: BaseException) -> bool:
    """Whether the database can't make sense of its own file."""
    return _code(error) in _DAMAGED


def _code(error: BaseException) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & _PRIMARY_CODE
