"""Job files: what was written stays what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_jobs.cli.failures import UsageError
from spark_jobs.cli.jobfile import read_jobs


def read(folder: Path, text: str, name: str = "job.yaml") -> list[dict[str, Any]]:
    """The jobs in a file with this text."""
    file = folder / name
    file.write_text(text)
    return [job.plain for job in read_jobs(file)]


@pytest.mark.parametrize(
    "scalar", ["yes", "No", "on", "12:30", "0777", "0o17", "0x1F", "1_000", "2024-01-01", ".inf", "1."]
)
def test_what_is_text_in_yaml_1_2_stays_the_text_that_was_written(tmp_path: Path, scalar: str) -> None:
    assert read(tmp_path, f"value: {scalar}") == [{"value": scalar}]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("8080", 8080),
        ("-1", -1),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_numbers_and_the_like_stay_so_and_are_not_turned_into_text(tmp_path: Path, scalar: str, value: object) -> None:
    assert read(tmp_path, f"value: {scalar}") == [{"value": value}]
    assert read(tmp_path, f'value: "{scalar}"') == [{"value": scalar}]


def test_a_yaml_file_may_hold_several_jobs_and_use_anchors(tmp_path: Path) -> None:
    text = "image: a\n---\n# nothing\n---\nimage: b\nlabels: &l {A: b}\nenv:\n  <<: *l\n  C: d\n"
    assert read(tmp_path, text) == [{"image": "a"}, {"image": "b", "labels": {"A": "b"}, "env": {"A": "b", "C": "d"}}]


def test_json_and_json_lines_are_read_as_such(tmp_path: Path) -> None:
    assert read(tmp_path, '{\n "image": "a"\n}\n', "job.json") == [{"image": "a"}]
    assert read(tmp_path, '{"image": "a"}\n\n{"image": "b"}\n', "jobs.jsonl") == [{"image": "a"}, {"image": "b"}]
    assert read(tmp_path, '{"image": "a"}\n{"image": "b"}', "jobs") == [{"image": "a"}, {"image": "b"}]


@pytest.mark.parametrize(
    ("text", "name", "lines"),
    [
        ("image: a\n---\n# nothing\n---\n\nimage: b\nname: c\n--- {image: c}\n", "jobs.yaml", [1, 6, 8]),
        ('{"image": "a"}\n\n{"image":\n "b"}\n{"image": "c"}', "jobs.jsonl", [1, 3, 5]),
        ('\n{"image": "a"} {"image": "b"}\n', "jobs.json", [2, 2]),
    ],
)
def test_the_line_where_each_job_begins_is_known(tmp_path: Path, text: str, name: str, lines: list[int]) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert [job.line for job in read_jobs(file)] == lines


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ("", "job.yaml", "no job"),
        ("- image: a", "job.yaml", "found a list"),
        ("just text", "job.yaml", "found text"),
        ("image: [a", "job.yaml", "line 1"),
        ("image: a\nimage: b", "job.yaml", "line 2, column 1: found duplicate key"),
        ("a: &x [*x]", "job.yaml", "Circular"),
        ("? [a]\n: b", "job.yaml", "keys"),
        ("a: !!python/object:os.system x", "job.yaml", "line 1"),
        ("a: \x07", "job.yaml", "x0007"),
        ('{"image": "a", "image": "b"}', "job.json", "'image' is there twice"),
        ('{"image": NaN}', "job.json", "NaN"),
        ('{"image": "a"}\n{"image": ', "jobs.jsonl", "line 2"),
        ("[1]", "job.json", "found a list"),
        ("[" * 100_000, "job.json", "recursion"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_what(tmp_path: Path, text: str, name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        read(tmp_path, text, name)
    assert name in caught.value.message
    assert "\n" not in caught.value.message


def test_a_secret_that_is_there_twice_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "env:\n  PASSWORD: hunter2\n  PASSWORD: hunter3\n")
    assert "hunter" not in caught.value.message


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_jobs(tmp_path / "missing.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_jobs(tmp_path / "binary")
