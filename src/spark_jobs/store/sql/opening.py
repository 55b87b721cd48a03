"""From a folder to two databases of the newest revision. Damage to the jobs' is refused; the logs' is begun anew, with what
can be read of it, since no damage to logs may keep jobs from running."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from sqlite3 import Connection

from spark_jobs import journal
from spark_jobs.domain.errors import DataDirDamaged
from spark_jobs.store.sql import logs, retention, sqlite
from spark_jobs.store.sql.folder import DataFolder
from spark_jobs.store.sql.salvage import Hole, salvage
from spark_jobs.store.sql.schema import accept, make
from spark_jobs.store.sql.tables import JOBS, LOGS
from spark_jobs.store.sql.writer import Tx

log = journal.logger(__name__)


def prepare_folder(folder: DataFolder) -> None:
    """Bring both databases of a locked folder to the newest revision.

    Raises:
        DataDirNewer, DataDirForeign, DataDirDamaged, DataDirNotWritable: see there.
    """
    fresh = folder.lacks(folder.jobs)
    if not fresh:
        accept(folder.jobs, JOBS)
    # The logs' file is made first, so that a folder with jobs and without logs has lost something.
    if not folder.lacks(folder.logs):
        try:
            accept(folder.logs, LOGS)
        except DataDirDamaged as error:
            renew_logs(folder, error.message)
    elif fresh:
        make(folder, folder.logs, LOGS)
    else:  # most likely somebody's mistake, which can be undone; what is said to be lost can't
        raise DataDirDamaged(f"{folder.logs} is missing; restore it, or start with another folder (--data-dir)")
    if fresh:
        make(folder, folder.jobs, JOBS)


def renew_logs(folder: DataFolder, problem: str) -> None:
    """Begin a new database for logs with what can be read of the old one, which is kept under another name.

    Which logs are lost, or have holes, is written down first: after a crash in between none counts as whole on trust.

    Raises:
        DataDirNotWritable: it can't be made; the old one is where it was.
    """
    aside = f"{folder.logs.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    what = f"was damaged; what is left of it is in {aside}"
    log.error("the database of logs can't be used: a new one takes over what can be read", problem=problem)

    def fill(target: Connection) -> None:
        holes = _salvaged(folder, target)
        lost = 0 if folder.lacks(folder.jobs) else _written_down(folder, target, holes, what)
        folder.set_aside(folder.logs, aside)
        log.error(
            "a new database of logs was begun; nothing needs to be done, and what was set aside can be deleted",
            file=str(folder.logs),
            because=f"the old one {what}",
            logs_lost=lost,
            logs_with_holes=len(holes),
        )

    make(folder, folder.logs, LOGS, fill)


def _salvaged(folder: DataFolder, target: Connection) -> Sequence[Hole]:
    size = folder.logs.stat().st_size
    if shutil.disk_usage(folder.path).free < size:
        log.error("there is not the room to take over what can be read", bytes=size)
        return []
    with closing(sqlite.connect_to_damaged(folder.logs)) as source:
        return salvage(source, target)


def _written_down(folder: DataFolder, target: Connection, holes: Sequence[Hole], what: str) -> int:
    """Say in the jobs' database what the new one lacks; how many logs are lost."""
    with closing(sqlite.connect_writer(folder.jobs, wal=False)) as jobs, sqlite.transaction(jobs):
        tx = Tx(jobs)
        for hole in holes:
            text = f"after byte {hole.offset}: {hole.missing} bytes are lost, as the database of logs {what}"
            retention.mark_hole(tx, hole.key, text)
        for key in retention.collecting(jobs):
            if not logs.end(target, key):
                text = f"read once more, from where the node still had it, as the database of logs {what}"
                retention.mark_hole(tx, key, text)
        lost = [key for key in retention.stored(jobs) if not logs.end(target, key)]
        retention.mark(tx, lost, f"lost, as the database of logs {what}")
        retention.mark_gone(tx, lost)
    return len(lost)
