"""What only a folder does as a sink."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spark_jobs.domain.errors import SinkUnavailable
from spark_jobs.sinks.folder import FolderSink
from tests.contract.sinks.stage import FolderStage, pieces

NAME = "inst/2026/01/02/job/1.log.zst"


async def test_folders_and_files_are_for_the_owners_eyes_alone(folder: FolderStage) -> None:
    before = os.umask(0)
    try:
        await folder.sink.put(NAME, pieces(b"text"))
    finally:
        os.umask(before)
    made = [folder.folder / NAME, *(folder.folder / NAME).parents][:6]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o600, *[0o700] * 5]


async def test_a_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """Where a disk is not mounted, its logs do not go under the place where it belongs."""
    with pytest.raises(SinkUnavailable, match="No such file"):
        await FolderSink(tmp_path / "not mounted").put(NAME, pieces(b"text"))
    assert list(tmp_path.iterdir()) == []


async def test_nothing_is_written_through_a_link_that_lies_in_wait(folder: FolderStage, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    place = folder.folder / NAME
    place.parent.mkdir(parents=True)
    place.with_name(f".{place.name}.part").symlink_to(victim)
    with pytest.raises(SinkUnavailable):
        await folder.sink.put(NAME, pieces(b"text"))
    assert victim.read_bytes() == b"mine"


async def test_what_an_earlier_process_left_unfinished_is_replaced(folder: FolderStage) -> None:
    place = folder.folder / NAME
    place.parent.mkdir(parents=True)
    place.with_name(f".{place.name}.part").write_bytes(b"half a log, and longer than the whole one")
    await folder.sink.put(NAME, pieces(b"text"))
    assert (folder.read(NAME), folder.unfinished()) == (b"text", [])


@pytest.mark.needs("root")
async def test_a_full_disk_is_said_and_leaves_nothing(small_disk: Path) -> None:
    sink = FolderSink(small_disk)

    async def too_much() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(1024 * 1024)

    with pytest.raises(SinkUnavailable, match="No space left on device"):
        await sink.put(NAME, too_much())
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    await sink.put(NAME, pieces(b"text"))
    assert (small_disk / NAME).read_bytes() == b"text"
