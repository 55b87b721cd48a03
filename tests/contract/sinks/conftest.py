"""The sinks that the suite runs over."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark_jobs.app.choose import sink_at
from spark_jobs.sinks.address import parse_address
from tests.contract.sinks.stage import BUCKET, PREFIX, BucketStage, FolderStage, Stage
from tests.fakes.s3 import ObjectStore, object_store


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    """An object store without a bucket."""
    with object_store() as store:
        yield store


@pytest.fixture
def bucket(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> BucketStage:
    """An empty bucket."""
    server.reset()
    server.make_bucket(BUCKET)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return BucketStage(server, sink_at(parse_address(f"s3://{BUCKET}/{PREFIX}")))


@pytest.fixture
def folder(tmp_path: Path) -> FolderStage:
    """An empty folder."""
    return FolderStage(tmp_path / "sink")


@pytest.fixture(params=["folder", "bucket"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Every kind of sink, empty."""
    stage: Stage = request.getfixturevalue(request.param)
    return stage


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for 8 MiB. Needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
