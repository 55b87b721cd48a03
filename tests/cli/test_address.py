"""Which server, and which token."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from spark_jobs.auth import announcement_path
from spark_jobs.client import Mode, find_address
from spark_jobs.domain.errors import SettingError

# No process has this number: it is above what the kernel gives.
NOBODY = 2**22 + 1


def announce(port: int, token: str, *, pid: int | None = None) -> None:
    """Do as a server does that starts."""
    path = announcement_path(port)
    path.parent.mkdir(parents=True, exist_ok=True)
    token_file = path.with_suffix(".token")
    token_file.write_text(token + "\n")
    about = {"addresses": [f"http://127.0.0.1:{port}"], "token_file": str(token_file), "pid": pid or os.getpid()}
    path.write_text(json.dumps(about))


def test_the_default_is_port_8000_of_this_machine() -> None:
    address = find_address(environ={})
    assert (address.url, address.loopback, address.token) == ("http://127.0.0.1:8000", True, None)


def test_the_argument_comes_before_the_environment() -> None:
    environ = {"SPARK_SERVER": "https://spark.example.com/jobs/"}
    assert find_address(environ=environ).url == "https://spark.example.com/jobs"
    assert find_address("localhost:81", environ=environ).url == "http://localhost:81"


def test_the_mode_picks_the_default_address_and_the_scheme_of_one_that_has_none() -> None:
    assert find_address(mode=Mode.GRPC, environ={}).url == "grpc://127.0.0.1:9000"
    assert find_address(mode=Mode.REST, environ={}).url == "http://127.0.0.1:8000"
    assert find_address("spark.example.com:81", mode=Mode.GRPC, environ={}).url == "grpc://spark.example.com:81"
    assert find_address("https://spark.example.com", mode=Mode.REST, environ={}).mode is Mode.REST


@pytest.mark.parametrize(
    ("server", "mode"), [("http://localhost", Mode.GRPC), ("https://a", Mode.GRPC), ("grpcs://localhost", Mode.REST)]
)
def test_a_mode_that_does_not_go_with_the_address_is_refused(server: str, mode: Mode) -> None:
    for given, environ in ((server, {}), (None, {"SPARK_SERVER": server})):
        with pytest.raises(SettingError, match=f"not an address for --mode {mode}"):
            find_address(given, mode=mode, environ=environ)


def test_a_server_announces_its_token_for_the_port_of_grpc_too() -> None:
    announce(9000, "announced")
    assert find_address("grpc://localhost", environ={}).token == "announced"
    assert find_address(mode=Mode.GRPC, environ={}).token == "announced"


def test_a_kubernetes_service_link_is_no_server_and_no_token() -> None:
    environ = {"SPARK_SERVER": "tcp://10.0.0.1:8000", "SPARK_TOKEN": "tcp://10.0.0.1:1"}
    address = find_address(environ=environ)
    assert (address.url, address.token) == ("http://127.0.0.1:8000", None)


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("grpc://localhost:9000/jobs", "no paths; write grpc://localhost:9000"),
        ("grpcs://", r"no host.* grpc://127\.0\.0\.1:9000"),
        ("ftp://localhost", "http://"),
        ("http://", "no host"),
        ("http://localhost:99999", "Port out of range"),
        ("http://user:hunter2@localhost", "SPARK_TOKEN"),
        ("http://localhost?x=1", "a host, a port"),
    ],
)
def test_an_address_that_can_not_be_used_says_why(server: str, told: str) -> None:
    with pytest.raises(SettingError, match=told) as caught:
        find_address(server, environ={})
    assert "hunter2" not in caught.value.message


def test_a_token_comes_from_the_file_then_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    environ = {"SPARK_TOKEN": "from-environment"}
    assert find_address(token_file=file, environ=environ).token == "from-file"
    assert find_address(environ=environ).token == "from-environment"
    assert find_address(environ={"SPARK_TOKEN_FILE": str(file)}).token == "from-file"


def test_a_token_file_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="missing"):
        find_address(token_file=tmp_path / "missing", environ={})
    (tmp_path / "empty").touch()
    with pytest.raises(SettingError, match="empty"):
        find_address(token_file=tmp_path / "empty", environ={})


def test_a_server_on_this_machine_has_announced_its_token() -> None:
    announce(8123, "announced")
    assert find_address("http://localhost:8123", environ={}).token == "announced"
    assert find_address("http://localhost:8124", environ={}).token is None


def test_an_announced_token_is_for_this_machine_only() -> None:
    announce(8123, "announced")
    assert find_address("http://192.0.2.1:8123", environ={}).token is None


def test_what_a_killed_server_left_is_not_believed() -> None:
    announce(8123, "announced", pid=NOBODY)
    assert find_address("http://localhost:8123", environ={}).token is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x", "token_file": 3}', '{"pid": 1}'])
def test_an_announcement_that_is_damaged_counts_as_none(content: str) -> None:
    path = announcement_path(8123)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert find_address("http://localhost:8123", environ={}).token is None


def test_a_token_does_not_show_when_an_address_is_printed() -> None:
    address = find_address(token="hunter2hunter2", environ={})
    assert "hunter2" not in repr(address)


@pytest.mark.parametrize("token", ["two words", "umläut", "line\nbreak"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(SettingError, match="one word") as caught:
        find_address(token=token, environ={})
    assert token not in caught.value.message
