"""The folder of one attempt: its working folder, its log, and the record that a later server finds it by."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from pathlib import Path

import msgspec

from spark_jobs.cluster.base import Terminated

RESULT_BYTES = 4096

_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Record(msgspec.Struct, kw_only=True):
    """What must be known of an attempt after its server has died.

    ``identity`` tells the process from a later one with the same ``pid``. ``lost``: it was ended with the server, so
    how it would have ended is not known.
    """

    job_id: str
    attempt: int
    claim: str
    namespace: str
    name: str
    uid: str
    pid: int | None = None
    identity: str | None = None
    end: Terminated | None = None
    halted: bool = False
    lost: bool = False


class AttemptFolder:
    """Paths below one folder, which nobody but us may read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.log = path / "log"
        self.termination_log = self.work / "termination-log"
        self._record = path / "attempt.json"

    @classmethod
    def of(cls, parent: Path, name: str) -> AttemptFolder:
        """The folder for an attempt of this name; a name that no folder should have is replaced by its hash."""
        safe = name if _SAFE_NAME.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()
        return cls(parent / safe)

    def make(self, record: Record) -> None:
        """Make everything, the record first, so that nothing ever runs without one.

        Raises:
            FileExistsError: there is such a folder.
            OSError: it can't be made.
        """
        self.path.mkdir(mode=0o700)
        self.write(record)
        self.work.mkdir(mode=0o700)
        self.termination_log.touch(mode=0o600)
        self.log.touch(mode=0o600)

    def write(self, record: Record) -> None:
        """Replace the record in one step."""
        new = self._record.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(record))
        new.replace(self._record)

    def read(self) -> Record | None:
        """The record; null where there is none that can be read."""
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=Record)
        except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
            return None

    def age(self, now: float) -> float:
        """Seconds since the record was written."""
        return now - self._record.stat().st_mtime

    def result(self) -> str | None:
        """The last 4 KiB of what the program left as its result; null if it left nothing, or no plain file."""
        try:
            # The program may have put anything there: a link to another file, or a pipe that would block us.
            handle = os.open(self.termination_log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                return None
            file.seek(max(0, status.st_size - RESULT_BYTES))
            return file.read(RESULT_BYTES).decode(errors="replace") or None

    def empty(self) -> None:
        """Remove all but the record."""
        _remove(self.work)
        self.log.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove it with everything in it. Raises OSError if that can't be done."""
        _remove(self.path)


def _remove(path: Path) -> None:
    if not path.exists():
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        _open_up(path)
        shutil.rmtree(path)


def _open_up(path: Path) -> None:
    """Programs leave folders that nobody may write to; they are still ours to remove."""
    path.chmod(0o700)
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _open_up(Path(entry))
