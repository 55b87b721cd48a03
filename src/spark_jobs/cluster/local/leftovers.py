"""What an earlier server has left in the folder: processes to end, ends to show again, losses to remember for a while."""

from __future__ import annotations

from pathlib import Path

from spark_jobs.cluster.local import family
from spark_jobs.cluster.local.folder import AttemptFolder, Record
from spark_jobs.cluster.local.plan import MARKER

REMEMBER = 86_400.0
"""Seconds for which a lost attempt's record is kept, so that nobody starts it a second time."""


def settle(parent: Path, *, now: float) -> list[tuple[AttemptFolder, Record]]:
    """End every process that an earlier server started. Returns the attempts that are still of interest: those with an
    ``end``, whole, and those that are ``lost``, of which only the record remains."""
    found = []
    for path in sorted(parent.iterdir()):
        folder = AttemptFolder(path)
        record = folder.read()
        if record is not None and record.end is not None:
            found.append((folder, record))
            continue
        _end(folder, record)
        if record is None or (record.lost and folder.age(now) > REMEMBER):
            folder.remove()
            continue
        folder.empty()
        if not record.lost:
            record.lost = True
            folder.write(record)
        found.append((folder, record))
    return found


def _end(folder: AttemptFolder, record: Record | None) -> None:
    """Kill its processes: the recorded one and its session if it is still the same, and all that carry its mark."""
    leader = record.pid if record is not None and not record.lost else None
    if record is not None and leader is not None and family.identity(leader) != record.identity:
        leader = None
    family.end_family(f"{MARKER}={folder.termination_log}", leader=leader)
