"""The address of a sink: what it means, and what is refused."""

import re
from pathlib import Path

import pytest

from spark_jobs.sinks.address import BucketAddress, FolderAddress, SinkAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("file:///archive/spark", FolderAddress(Path("/archive/spark"))),
        ("file:///archive/spark/", FolderAddress(Path("/archive/spark"))),
        ("file://localhost/archive", FolderAddress(Path("/archive"))),
        ("file:///archive/two%20words", FolderAddress(Path("/archive/two words"))),
        ("s3://bucket", BucketAddress("bucket")),
        ("s3://bucket/", BucketAddress("bucket")),
        ("s3://my.bucket-1/of/spark/", BucketAddress("my.bucket-1", "of/spark")),
        ("s3://bucket/team=data/v1.0", BucketAddress("bucket", "team=data/v1.0")),
    ],
)
def test_what_an_address_means(text: str, address: SinkAddress) -> None:
    assert parse_address(text) == address
    assert parse_address(address.url) == address


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("/archive/spark", "file:///archive/spark"),
        ("archive", "file:///archive/spark"),
        ("https://bucket.s3.amazonaws.com/prefix", "s3://bucket/prefix"),
        ("gs://bucket", "s3://bucket/prefix"),
        ("file://archive/spark", "three slashes"),
        ("file:archive", "three slashes"),
        ("file:///archive/../etc", "`..`"),
        ("file:///archive/%2e%2e/etc", "`..`"),
        ("file:///archive%00", "three slashes"),
        ("s3://", "no bucket"),
        ("s3:///prefix", "no bucket"),
        ("s3://-bucket/x", "no bucket"),
        ("s3://bucket/a//b", "single slashes"),
        ("s3://bucket/../other", "prefix"),
        ("s3://bucket/a b", "prefix"),
        ("s3://bucket/a?versionId=1", "after ?"),
        ("s3://bucket/a#b", "after ?"),
    ],
)
def test_what_is_none_is_refused_with_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)):
        parse_address(text)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID") as raised:
        parse_address("s3://key:s3cr3t@bucket/prefix")
    assert "s3cr3t" not in str(raised.value)
