"""From flags and files to what is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from spark_jobs.domain.parse import parse_spec
from spark_jobs.domain.spec import JobSpec
from tests.cli.conftest import Spark
from tests.cli.jobs import queued, wire
from tests.cli.scripted import Reply, ScriptedServer

# Each flag with the field that it makes.
FLAGS: dict[str, tuple[list[str], Any]] = {
    "image": (["--image", "busybox:1"], "busybox:1"),
    "command": (["--", "sh", "-c", "echo $HOME | tr a b"], ["sh", "-c", "echo $HOME | tr a b"]),
    "args": (["--entrypoint-args", "--", "-x"], ["-x"]),
    "id": (["--id", "mine"], "mine"),
    "name": (["--name", "Nightly run"], "Nightly run"),
    "labels": (["-l", "team=a", "--label", "stage="], {"team": "a", "stage": ""}),
    "env": (["-e", "A=b=c", "--env-secret", "P=db/password"], {"A": "b=c", "P": {"secret": "db", "key": "password"}}),
    "env_from": (["--env-from", "secret/db", "--env-from", "configmap/c"], [{"secret": "db"}, {"config_map": "c"}]),
    "volumes": (
        ["--volume", "pvc/datasets:/data:ro,sub_path=a/b", "--volume", "empty_dir:/tmp:size=1Gi", "--shm-size", "2Gi"],
        [
            {"mount": "/data", "read_only": True, "sub_path": "a/b", "pvc": "datasets"},
            {"mount": "/tmp", "empty_dir": {"size": "1Gi"}},
            {"mount": "/dev/shm", "empty_dir": {"medium": "Memory", "size": "2Gi"}},
        ],
    ),
    "cpu": (["--cpu", "500m"], "500m"),
    "memory": (["--memory", "1Gi"], "1Gi"),
    "gpu": (["--gpu", "1"], "1"),
    "resources": (
        ["--request", "ephemeral-storage=1Gi", "--limit", "ephemeral-storage=2Gi"],
        {"requests": {"ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "2Gi"}},
    ),
    "timeout": (["--timeout", "1h30m"], "1h30m"),
    "start_timeout": (["--start-timeout", "none"], "none"),
    "queue_timeout": (["--queue-timeout", "5m"], "5m"),
    "termination_grace": (["--termination-grace", "5"], "5"),
    "retries": (["--retries", "3"], 3),
    "backoff": (["--backoff", "10s"], "10s"),
    "retry_on": (["--retry-on", "Evicted", "--retry-on", "exit:3"], ["Evicted", "exit:3"]),
    "priority": (["--priority", "-5"], -5),
    "namespace": (["--namespace", "batch"], "batch"),
    "service_account": (["--service-account", "runner"], "runner"),
    "node_selector": (["--node-selector", "disk=ssd"], {"disk": "ssd"}),
    "tolerations": (
        ["--toleration", "gpu:NoSchedule", "--toleration", "a=b"],
        [
            {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "a", "operator": "Equal", "value": "b"},
        ],
    ),
    "runtime_class": (["--runtime-class", "gvisor"], "gvisor"),
    "priority_class": (["--priority-class", "low"], "low"),
    "image_pull_policy": (["--image-pull-policy", "Never"], "Never"),
    "image_pull_secrets": (["--image-pull-secret", "registry"], ["registry"]),
    "working_dir": (["--working-dir", "/work"], "/work"),
    "run_as_user": (["--run-as-user", "1000"], 1000),
    "run_as_group": (["--run-as-group", "1000"], 1000),
    "fs_group": (["--fs-group", "0"], 0),
    "read_only_root": (["--read-only-root"], True),
    "security_profile": (["--security-profile", "restricted"], "restricted"),
}


@pytest.fixture
def submitted(server: ScriptedServer, spark: Spark) -> Any:
    """Submit with these words, and return what the server got."""
    server.on("POST /v1/jobs", Reply(201, wire(queued())))

    def submit(*args: str) -> Any:
        done = spark("submit", *args)
        assert done.code == 0, done.err
        return server.requests[-1].json()

    return submit


def test_every_field_of_a_job_has_a_flag() -> None:
    assert set(FLAGS) == {field.name for field in fields(JobSpec)}


@pytest.mark.parametrize("field", FLAGS)
def test_a_flag_makes_its_field_and_nothing_else(submitted: Any, field: str) -> None:
    words, value = FLAGS[field]
    assert submitted(*words) == {field: value}
    if field != "image":
        parse_spec({"image": "busybox:1", field: value})


def test_the_first_word_ends_the_flags(submitted: Any) -> None:
    plain = submitted("--image", "busybox:1", "ls", "-l", "--image", "x")
    assert plain == {"image": "busybox:1", "command": ["ls", "-l", "--image", "x"]}
    assert submitted("--image", "busybox:1", "--", "ls", "-l", "--image", "x") == plain


def test_a_word_that_looks_like_a_flag_comes_after_two_dashes(submitted: Any) -> None:
    assert submitted("--image", "a", "--", "--help", "--")["command"] == ["--help", "--"]


def test_a_variable_named_alone_comes_from_this_shell(submitted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEN", "a=b c")
    assert submitted("-e", "TAKEN")["env"] == {"TAKEN": "a=b c"}


def test_env_files_are_literal_and_flags_come_after_them(submitted: Any, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_bytes('# comment\n\nA="quoted" # not a comment\r\nB=1\u2028still\nC=\n'.encode())
    env = submitted("--env-file", str(file), "-e", "C=flag")["env"]
    assert env == {"A": '"quoted" # not a comment', "B": "1\u2028still", "C": "flag"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-e", "NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE=VALUE"),
        (["-e", "=x"], "NAME=VALUE"),
        (["-l", "alone"], "KEY=VALUE"),
        (["--env-secret", "A=b"], "A=NAME/KEY"),
        (["--env-from", "pvc/x"], "secret/NAME or config_map/NAME"),
        (["--volume", "/etc:/etc"], "pvc/NAME"),
        (["--volume", "pvc/a"], "SOURCE:/PATH"),
        (["--volume", "pvc/a:/b:rx"], "'rx'"),
        (["--volume", "pvc/a:/b:size=1Gi"], "size=1Gi"),
        (["--env-file", "/does/not/exist"], "No such file"),
        (["--entrypoint-args"], "--entrypoint-args needs"),
        (["--retries", "many"], "'--retries': 'many'"),
        (["--no-such-flag"], "No such option"),
    ],
)
def test_a_flag_in_the_wrong_form_says_what_to_write(
    server: ScriptedServer, spark: Spark, words: list[str], told: str
) -> None:
    done = spark("submit", "--image", "a", *words)
    assert (done.code, server.requests) == (2, [])
    assert told in done.err


def test_a_secret_in_a_bad_env_file_is_not_shown(spark: Spark, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("=hunter2\n")
    done = spark("submit", "--image", "a", "--env-file", str(file))
    assert done.code == 2
    assert "line 1" in done.err
    assert "hunter2" not in done.err


def test_flags_override_the_file_and_maps_are_merged(submitted: Any, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("image: a\ncpu: '1'\ncommand: [x]\nenv: {A: '1', B: '2'}\nlabels: {l: m}\n")
    job = submitted("-f", str(file), "--image", "b", "-e", "B=3", "-e", "C=4", "--", "y")
    assert job == {
        "image": "b",
        "cpu": "1",
        "command": ["y"],
        "env": {"A": "1", "B": "3", "C": "4"},
        "labels": {"l": "m"},
    }
