"""The data folder: its files, who may read them, and the lock that keeps a second server out."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spark_jobs.domain.errors import DataDirInUse, DataDirNotWritable

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


class DataFolder:
    """The folder with the two databases and the lock. Other files in it are not touched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs = path / "spark.db"
        self.logs = path / "logs.db"
        self._lock: int | None = None

    def acquire(self) -> None:
        """Make the folder if need be, and lock it.

        Raises:
            DataDirInUse: another process has locked it.
            DataDirNotWritable: it can't be made or written.
        """
        try:
            self._make()
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        except OSError as error:
            raise self._not_writable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                os.close(descriptor)
                raise self._not_writable(error) from error
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise DataDirInUse(
                f"the data folder {self.path} is in use by process {holder or 'unknown'}; "
                "stop that one, or name another folder with --data-dir"
            ) from error
        self._lock = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def lacks(self, file: Path) -> bool:
        """True if there is no such file, or an empty one.

        Raises:
            DataDirNotWritable: it can't be written.
        """
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise self._not_writable(error) from error
        try:
            return os.fstat(descriptor).st_size == 0
        finally:
            os.close(descriptor)

    @contextmanager
    def making(self, file: Path) -> Iterator[Path]:
        """A new empty file that becomes ``file`` once all went well: after a crash there is no half of one.

        Raises:
            DataDirNotWritable: it can't be made.
        """
        new = file.with_name(f"{file.name}.new")
        try:
            new.unlink(missing_ok=True)
            os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))
            yield new
            new.replace(file)
            self._sync()
        except OSError as error:
            raise self._not_writable(error) from error

    def set_aside(self, file: Path, name: str) -> None:
        """Give a database, with its journal, another name, under which it can still be opened.

        Where the file system can, it also keeps its own name until another file takes it, so that there always is one.
        """
        try:
            file.with_name(name).hardlink_to(file)
        except OSError:
            file.rename(file.with_name(name))
        with suppress(FileNotFoundError):
            file.with_name(f"{file.name}-wal").rename(file.with_name(f"{name}-wal"))
        file.with_name(f"{file.name}-shm").unlink(missing_ok=True)

    def _sync(self) -> None:
        """Make new files' names durable."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Unlock. The lock's file stays: removing it would let two others lock two different files."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make(self) -> None:
        self.path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        # A folder with other things in it (somebody's home) keeps its mode; the files are private in any case.
        if not any(self.path.iterdir()):
            self.path.chmod(_FOLDER_MODE)

    def _not_writable(self, error: OSError) -> DataDirNotWritable:
        return DataDirNotWritable(
            f"the data folder {self.path} can't be written ({error.strerror}); "
            "give this user the right to, or name another folder with --data-dir"
        )
