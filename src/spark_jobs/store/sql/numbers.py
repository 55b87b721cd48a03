"""Numbers that are given out in the order of commits, each once: of jobs, claims and events."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import bindparam, select, update

from spark_jobs.store.sql.prepared import Prepared
from spark_jobs.store.sql.tables import installation
from spark_jobs.store.sql.writer import Tx

Sequence = Literal["job_seq", "claim_seq", "event_seq"]
_SEQUENCES: tuple[Sequence, ...] = ("job_seq", "claim_seq", "event_seq")

# Not RETURNING: SQLite has it since 3.35 only, and RHEL 9 comes with 3.34.
_TAKE = {
    name: Prepared(update(installation).values({name: installation.c[name] + bindparam("how_many")}))
    for name in _SEQUENCES
}
LAST = {name: Prepared(select(installation.c[name])) for name in _SEQUENCES}


def take(tx: Tx, sequence: Sequence, how_many: int = 1) -> int:
    """The first of so many new numbers."""
    _TAKE[sequence].run(tx.connection, {"how_many": how_many})
    return int(LAST[sequence].value(tx.connection)) - how_many + 1
