"""Sinks to try, with a look at what is behind them, and ways to take it away and to bring it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from spark_jobs.sinks.base import Sink
from spark_jobs.sinks.folder import FolderSink
from tests.fakes.s3 import ObjectStore

BUCKET, PREFIX = "logs", "of/spark"


class Stage(Protocol):
    """A sink and what is behind it. While it is away nothing can be looked at."""

    @property
    def sink(self) -> Sink:
        """The sink that is tried."""

    def names(self) -> list[str]:
        """The names of all objects, without what is unfinished."""

    def unfinished(self) -> list[str]:
        """Traces of objects that did not come about."""

    def read(self, name: str) -> bytes | None:
        """An object; null where there is none."""

    def go_away(self) -> None:
        """Let nothing more be stored."""

    def come_back(self) -> None:
        """Let it be as before, empty or not."""


class FolderStage:
    """A folder, which goes away by another name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.sink: Sink = FolderSink(folder)

    def names(self) -> list[str]:
        """See :class:`Stage`."""
        return [str(path.relative_to(self.folder)) for path in self._files() if not path.name.startswith(".")]

    def unfinished(self) -> list[str]:
        """See :class:`Stage`."""
        return [path.name for path in self._files() if path.name.startswith(".")]

    def read(self, name: str) -> bytes | None:
        """See :class:`Stage`."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def go_away(self) -> None:
        """See :class:`Stage`."""
        self.folder.rename(self.folder.with_name("elsewhere"))

    def come_back(self) -> None:
        """See :class:`Stage`."""
        self.folder.with_name("elsewhere").rename(self.folder)

    def _files(self) -> list[Path]:
        return [path for path in sorted(self.folder.rglob("*")) if path.is_file()]


class BucketStage:
    """A bucket, whose store goes away with all that is in it."""

    def __init__(self, store: ObjectStore, sink: Sink) -> None:
        self.store = store
        self.sink = sink

    def names(self) -> list[str]:
        """See :class:`Stage`."""
        return [name.removeprefix(f"{PREFIX}/") for name in self.store.names(BUCKET)]

    def unfinished(self) -> list[str]:
        """See :class:`Stage`."""
        return self.store.unfinished(BUCKET)

    def read(self, name: str) -> bytes | None:
        """See :class:`Stage`."""
        return self.store.read(BUCKET, f"{PREFIX}/{name}")

    def go_away(self) -> None:
        """See :class:`Stage`."""
        self.store.stop()

    def come_back(self) -> None:
        """See :class:`Stage`."""
        self.store.start()
        self.store.make_bucket(BUCKET)


async def pieces(*each: bytes) -> AsyncIterator[bytes]:
    """An object in these pieces."""
    for piece in each:
        yield piece
