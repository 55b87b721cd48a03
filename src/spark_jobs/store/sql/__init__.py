"""The store over SQL: SQLAlchemy Core on SQLite, in a data folder or in memory."""

from spark_jobs.store.sql.store import SqlStore

__all__ = ["SqlStore"]
