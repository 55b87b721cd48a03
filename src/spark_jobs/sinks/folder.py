"""A folder as a sink: another disk of this machine, or one of the network."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from functools import partial
from io import BufferedWriter
from pathlib import Path
from urllib.parse import quote

from spark_jobs.domain.errors import SinkUnavailable
from spark_jobs.sinks.threads import clean_up, in_thread


class FolderSink:
    """Keeps objects as files below a folder, which must exist: where a disk is not mounted, nothing is written under it.

    A file is written under another name, synced and then renamed. Folders are made with mode 0700, files with 0600.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """See ``Sink.put``."""
        file = _File(self._root, name)
        try:
            await self._do(file.open)
            async for piece in pieces:
                await self._do(partial(file.write, piece))
            await self._do(file.finish)
        finally:
            await clean_up(file.discard)

    async def delete(self, name: str) -> None:
        """See ``Sink.delete``."""
        await self._do(partial((self._root / name).unlink, missing_ok=True))

    def address(self, name: str) -> str:
        """See ``Sink.address``."""
        return f"file://{quote(str(self._root / name))}"

    async def _do(self, call: Callable[[], None]) -> None:
        try:
            await in_thread(call)
        except OSError as error:
            raise SinkUnavailable(f"the folder {self._root} can't be written to: {error.strerror or error}") from error


class _File:
    """A file that is written under another name. Its methods may raise OSError."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._path = root / name
        self._unfinished = self._path.with_name(f".{self._path.name}.part")
        self._file: BufferedWriter | None = None

    def open(self) -> None:
        """Begin, in the place of what an earlier writer left unfinished."""
        _make(self._root, self._path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self._unfinished, flags, 0o600), "wb")

    def write(self, piece: bytes) -> None:
        """Add to it."""
        self._opened.write(piece)

    def finish(self) -> None:
        """Give it its name, once it is on the disk."""
        self._opened.flush()
        os.fsync(self._opened.fileno())
        self._unfinished.rename(self._path)
        _sync(self._path.parent)

    def discard(self) -> None:
        """Close it, once what is being written is; what was not finished is removed."""
        if self._file is None:
            return
        try:
            self._file.close()
        finally:
            self._unfinished.unlink(missing_ok=True)

    @property
    def _opened(self) -> BufferedWriter:
        if self._file is None:
            raise ValueError("not open")
        return self._file


def _make(root: Path, folder: Path) -> None:
    """Make what is missing of a folder below ``root``; raises FileNotFoundError where that does not exist itself."""
    if folder == root or folder.is_dir():
        return
    _make(root, folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return  # another log of the same day was faster
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
