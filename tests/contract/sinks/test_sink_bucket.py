"""What only an object store does as a sink."""

from __future__ import annotations

import pytest

from spark_jobs.app.choose import sink_at
from spark_jobs.domain.errors import SettingError, SinkUnavailable
from spark_jobs.sinks.address import parse_address
from tests.contract.sinks.stage import BucketStage, pieces
from tests.fakes.s3 import SECRET


async def refusal(url: str) -> str:
    """What it says to a small object."""
    with pytest.raises(SinkUnavailable) as raised:
        await sink_at(parse_address(url)).put("1.log.zst", pieces(b"text"))
    said = raised.value.message
    assert said.startswith(f"{url}: ")
    assert "\n" not in said
    assert SECRET not in said
    return said


async def test_a_bucket_that_does_not_exist_is_named(bucket: BucketStage) -> None:
    assert (await refusal("s3://nothing")).endswith("NoSuchBucket: The specified bucket does not exist")
    assert bucket.names() == []


async def test_why_an_endpoint_can_not_be_reached_is_said(bucket: BucketStage, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.go_away()
    assert "(Connection refused)" in await refusal("s3://logs/of/spark")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://somebody:{SECRET}@127.0.0.1:1")
    assert "//***@127.0.0.1:1" in await refusal("s3://logs/of/spark")
    bucket.come_back()


async def test_what_an_interrupted_process_began_is_replaced_whole(bucket: BucketStage) -> None:
    """Parts that were left behind never become part of an object."""
    bucket.store.begin("logs", "of/spark/1.log.zst")
    await bucket.sink.put("1.log.zst", pieces(b"text"))
    assert bucket.read("1.log.zst") == b"text"
    assert bucket.unfinished() == ["of/spark/1.log.zst"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "minio.example.com:9000"),
        ("AWS_ENDPOINT_URL_S3", f"http://key:{SECRET}@[bad"),
        ("AWS_ENDPOINT_URL", "http://"),
        ("AWS_ENDPOINT", "http://a:99999"),
        ("AWS_CHECKSUM_ALGORITHM", "md99"),
    ],
)
def test_an_environment_that_makes_no_sense_is_a_wrong_setting(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as raised:
        sink_at(parse_address("s3://logs"))
    assert raised.value.setting == "log_sink"
    assert "AWS_" in raised.value.message
    assert SECRET not in raised.value.message
