"""Who may call: tokens, the rule for when one is asked for, and where clients find it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from spark_jobs.auth import (
    Access,
    AccessSettings,
    FixedToken,
    TokenFile,
    announced,
    announcement_path,
    decide_access,
    is_loopback,
    make_token,
    state_home,
)
from spark_jobs.domain.errors import SettingError, Unauthenticated

TOKEN = "correct-horse-battery-staple"


def settings(tmp_path: Path, **changes: Any) -> AccessSettings:
    given: dict[str, Any] = {
        "auth": "auto",
        "host": "127.0.0.1",
        "local_cluster": False,
        "data_dir": tmp_path,
        **changes,
    }
    return AccessSettings(**given)


def written(path: Path, content: str = TOKEN, mode: int = 0o600) -> Path:
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    return path


def admits(access: Access, token: str) -> bool:
    try:
        access.check([f"Bearer {token}".encode()])
    except Unauthenticated:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("LocalHost", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.1.2.3", False),
        ("spark.example", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("changes", "required"),
    [
        ({}, False),
        ({"auth": "none"}, False),
        ({"auth": "none", "host": "0.0.0.0"}, False),
        ({"auth": "token"}, True),
        ({"token": TOKEN}, False),
        ({"auth": "token", "token": TOKEN}, True),
        ({"host": "0.0.0.0", "token": TOKEN}, True),
        ({"local_cluster": True}, True),
        ({"local_cluster": True, "auth": "token"}, True),
    ],
)
def test_a_token_is_asked_for_where_others_could_call(tmp_path: Path, changes: dict[str, Any], required: bool) -> None:
    access = decide_access(settings(tmp_path, **changes))
    assert access.required is required
    assert (tmp_path / "token").exists() is (required and "token" not in changes)


def test_a_named_token_file_is_meant(tmp_path: Path) -> None:
    access = decide_access(settings(tmp_path, token_file=written(tmp_path / "mine")))
    assert admits(access, TOKEN)
    assert access.token_file == tmp_path / "mine"


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"local_cluster": True, "host": "0.0.0.0"}, "host"),
        ({"local_cluster": True, "auth": "none"}, "auth"),
        ({"local_cluster": True, "host": "0.0.0.0", "auth": "token", "token": TOKEN}, "host"),
        ({"host": "0.0.0.0"}, "token_file"),
        ({"host": "0.0.0.0", "auth": "token"}, "token_file"),
        ({"auth": "token", "token": "short"}, "token_file"),
        ({"auth": "token", "token": "with spaces in the middle"}, "token_file"),
        ({"auth": "token", "token_file": Path("/nowhere/token")}, "token_file"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], setting: str) -> None:
    with pytest.raises(SettingError) as refused:
        decide_access(settings(tmp_path, **changes))
    assert refused.value.setting == setting
    assert TOKEN not in str(refused.value)


def test_an_open_public_address_is_said_at_every_start(tmp_path: Path) -> None:
    assert "anybody" in " ".join(decide_access(settings(tmp_path, auth="none", host="0.0.0.0")).notes)
    assert decide_access(settings(tmp_path, auth="none")).notes == ()


def test_a_made_token_has_256_bits_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "token"
    made = make_token(path).current()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(made) >= 43  # 256 bits in base64
    assert make_token(path).current() == made
    assert make_token(tmp_path / "other").current() != made


def test_a_folder_that_can_not_be_written_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--token-file"):
        make_token(written(tmp_path / "file") / "token")


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o620])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SettingError, match="chmod 600"):
        TokenFile(written(tmp_path / "token", mode=mode))


@pytest.mark.parametrize("content", ["", "short", "two words are no token", "t\u00f6ken" * 5, "x" * 5000])
def test_a_file_without_a_usable_token_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(SettingError, match="visible ASCII"):
        TokenFile(written(tmp_path / "token", content))


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "token", TOKEN + "\n")
    access = Access(TokenFile(path))
    assert admits(access, TOKEN)
    written(path, "another-token-of-some-length")
    assert not admits(access, TOKEN)
    assert admits(access, "another-token-of-some-length")


def test_a_replaced_file_counts_at_once_even_with_the_same_size_and_time(tmp_path: Path) -> None:
    path = written(tmp_path / "token", "a" * 20)
    access = Access(TokenFile(path))
    before = path.stat()
    other = written(tmp_path / "new", "b" * 20)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert admits(access, "b" * 20)


def test_the_last_good_token_stays_valid_while_the_file_is_not_usable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "token")
    access = Access(TokenFile(path))
    written(path, "")
    assert admits(access, TOKEN)
    assert "not usable" in caplog.text
    path.unlink()
    assert admits(access, TOKEN)
    assert not admits(access, "")
    assert TOKEN not in caplog.text


def test_no_message_holds_the_token() -> None:
    access = Access(FixedToken(TOKEN))
    for given in ([], [b"Bearer x"], [b"Basic x"], [f"Bearer {TOKEN}x".encode()]):
        with pytest.raises(Unauthenticated) as refused:
            access.check(given)
        assert TOKEN not in str(refused.value)


def test_clients_of_this_user_find_the_server_while_it_runs(tmp_path: Path) -> None:
    access = Access(make_token(tmp_path / "token"))
    with announced(8123, ["http://127.0.0.1:8123"], access, home=tmp_path) as path:
        assert path == tmp_path / "spark-jobs" / "servers" / "8123.json"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert json.loads(path.read_text()) == {
            "addresses": ["http://127.0.0.1:8123"],
            "token_file": str(tmp_path / "token"),
            "pid": os.getpid(),
        }
    assert list(path.parent.iterdir()) == []


def test_the_file_of_a_later_server_on_the_same_port_stays(tmp_path: Path) -> None:
    with announced(8123, ["http://127.0.0.1:8123"], Access(), home=tmp_path) as path:
        path.write_text('{"addresses": [], "token_file": null, "pid": 1}')
    assert path.exists()


def test_the_state_home_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert announcement_path(1) == tmp_path / "spark-jobs" / "servers" / "1.json"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_home() == Path.home() / ".local" / "state"
