"""The commands that are about a server: their flags are the settings table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from spark_jobs.config import flags_of
from tests.cli.conftest import Spark


@pytest.mark.parametrize("command", ["server", "dev", "doctor"])
def test_every_setting_is_a_flag_and_no_secret_is(spark: Spark, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    shown = spark(command, "--help").out
    assert all(f"{setting.flag} " in shown for setting in flags_of(command))
    assert "--token " not in shown


def test_settings_are_shown_with_their_origin(spark: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "spark.toml"
    file.write_text("queue_size = 7\nport = 9\n")
    monkeypatch.setenv("SPARK_MAX_CONCURRENT_JOBS", "3")
    monkeypatch.setenv("SPARK_TOKEN", "hunter2hunter2hunter2")
    done = spark("config", "view", "-o", "json", "--config", str(file), "--port", "81")
    rows = {row["name"]: (row["value"], row["origin"]) for row in json.loads(done.out)["settings"]}
    assert rows["queue_size"] == ("7", str(file))
    assert rows["port"] == ("81", "--port")
    assert rows["max_concurrent_jobs"] == ("3", "SPARK_MAX_CONCURRENT_JOBS")
    assert rows["start_timeout"] == ("10m", "default")
    assert "hunter2" not in done.out
    assert spark("config", "view").out.split()[:3] == ["NAME", "VALUE", "ORIGIN"]


@pytest.mark.parametrize("command", [["config", "view"], ["server"], ["dev"], ["doctor"]])
def test_a_wrong_setting_is_named_with_exit_code_2(spark: Spark, command: list[str]) -> None:
    done = spark(*command, "--port", "http")
    assert done.code == 2
    assert done.err.startswith("spark: --port: ")


def test_a_near_miss_in_the_environment_is_warned_about(spark: Spark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_QUEUE_SIZ", "7")
    assert "SPARK_QUEUE_SIZ" in spark("config", "view").err


@pytest.mark.parametrize("command", ["server", "dev", "doctor"])
def test_a_missing_extra_is_named(spark: Spark, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setitem(sys.modules, "litestar", None)
    done = spark(command)
    assert done.code == 2
    assert f"`spark {command}`" in done.err
    assert "pip install 'spark-jobs[server]'" in done.err
