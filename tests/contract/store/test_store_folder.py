"""Which data folders are refused, and how it is said; and that a refusal lets go of the folder."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from spark_jobs.domain.errors import (
    DataDirDamaged,
    DataDirError,
    DataDirForeign,
    DataDirNewer,
    DataDirNotWritable,
)
from spark_jobs.store import migrations
from spark_jobs.store.sql import SqlStore, sqlite
from spark_jobs.store.sql.tables import REVISION
from tests.contract.store.acts import Clock, add


@pytest.fixture
async def folder(tmp_path: Path, clock: Clock) -> Path:
    """A folder of this version with some hundred jobs in it, closed."""
    store = SqlStore(tmp_path / "data", clock=clock)
    await store.open()
    await add(store, *(f"job-{i}" for i in range(20)), env={"TEXT": "x" * 4000})
    await store.close()
    return tmp_path / "data"


async def refusal(folder: Path, kind: type[DataDirError]) -> str:
    """The message that a folder is refused with, the same one a second time."""
    with pytest.raises(kind) as first:
        await SqlStore(folder, clock=Clock()).open()
    with pytest.raises(kind) as second:
        await SqlStore(folder, clock=Clock()).open()
    assert first.value.message == second.value.message
    return first.value.message


def change(file: Path, statement: str) -> None:
    """Do something to a database behind the store's back."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(statement)


FIRST_INSTALLATION = "INSERT INTO installation VALUES (1, 'abcdefgh', 1, 0, 0, 0, 0)"


def make_of_the_first_version(file: Path, which: Literal["jobs", "logs"], *statements: str) -> None:
    """A database as the first version left it."""
    with closing(sqlite.connect_writer(file)) as connection:
        migrations.upgrade(connection, which, "0001")
        for statement in statements:
            connection.execute(statement)
        sqlite.mark_as_ours(connection)


async def test_a_folder_of_the_first_version_is_brought_up_to_date(tmp_path: Path, clock: Clock) -> None:
    make_of_the_first_version(tmp_path / "spark.db", "jobs", FIRST_INSTALLATION)
    make_of_the_first_version(tmp_path / "logs.db", "logs")
    store = SqlStore(tmp_path, clock=clock)
    await store.open()
    assert (store.instance, await store.usage()) == ("abcdefgh", (0, True))
    await add(store, "one")
    await store.close()
    with closing(sqlite3.connect(tmp_path / "spark.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (REVISION,)


@pytest.mark.parametrize("file", ["spark.db", "logs.db"])
async def test_a_folder_of_a_newer_version(folder: Path, file: str) -> None:
    change(folder / file, "UPDATE alembic_version SET version_num = '9999'")
    message = await refusal(folder, DataDirNewer)
    assert "9999" in message
    assert file in message


async def test_a_database_of_another_program(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    change(tmp_path / "data" / "spark.db", "CREATE TABLE songs (title)")
    assert "another program" in await refusal(tmp_path / "data", DataDirForeign)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"spark.db", "lock"}


def _overwrite(file: Path, at: int, data: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(data)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "no database at all": lambda file: _overwrite(file, 0, b"Dear diary, " * 10),
    "cut in the middle": lambda file: os.truncate(file, file.stat().st_size // 2),
    "a table is gone": lambda file: change(file, "DROP TABLE IF EXISTS events"),
    "a page is overwritten": lambda file: _overwrite(file, 4096 * 3, b"\xff" * 4096),
    "the schema is overwritten": lambda file: _overwrite(file, 100, b"\xff" * 500),
    "no revision": lambda file: change(file, "DELETE FROM alembic_version"),
    "no installation": lambda file: change(file, "DELETE FROM installation"),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_database(folder: Path, damage: str) -> None:
    DAMAGE[damage](folder / "spark.db")
    message = await refusal(folder, DataDirDamaged)
    assert "spark.db" in message
    assert "restore" in message


async def test_a_folder_that_has_lost_its_logs(folder: Path) -> None:
    (folder / "logs.db").unlink()
    assert "logs.db" in await refusal(folder, DataDirDamaged)


async def test_a_crash_while_the_folder_was_made_leaves_it_usable(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "data").mkdir()
    for name in ("lock", "logs.db", "spark.db"):
        (tmp_path / "data" / name).touch()
    (tmp_path / "data" / "spark.db.new").write_bytes(b"half of a database")
    store = SqlStore(tmp_path / "data", clock=clock)
    await store.open()
    await add(store, "one")
    await store.close()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "--data-dir" in await refusal(tmp_path / "file" / "data", DataDirNotWritable)


@pytest.fixture
def read_only(folder: Path) -> Iterator[Path]:
    """A folder that this process may read at most."""
    for path in (folder, *folder.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # the administrator may write everywhere
    yield folder
    os.seteuid(user)


async def test_a_folder_without_the_right_to_write(read_only: Path) -> None:
    assert "can't be written" in await refusal(read_only, DataDirNotWritable)
