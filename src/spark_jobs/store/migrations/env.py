"""Run by Alembic for every command: migrates the connection that :func:`~spark_jobs.store.migrations.upgrade` hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations(which=context.config.attributes["which"])
