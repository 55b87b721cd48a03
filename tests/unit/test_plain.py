"""Specs as plain objects: round trips, digests, masks."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.domain.parse import parse_spec
from spark_jobs.domain.plain import digest, mask, spec_to_plain
from spark_jobs.domain.spec import JobSpec
from tests import specs


def digest_of(**fields: object) -> str:
    return digest(parse_spec({"image": "busybox:1", **fields}))


@given(specs.VALID)
def test_a_spec_survives_json(plain: dict[str, Any]) -> None:
    spec = parse_spec(plain)
    again = parse_spec(json.loads(json.dumps(spec_to_plain(spec))))
    assert again == spec
    assert digest(again) == digest(spec)


def test_every_key_is_there_and_null_when_left_out() -> None:
    plain = spec_to_plain(parse_spec({"image": "a"}))
    assert set(plain) == set(JobSpec.__struct_fields__)
    assert plain["timeout"] is None
    assert plain["env"] == {}


def test_durations_come_out_as_plain_numbers() -> None:
    plain = spec_to_plain(parse_spec({"image": "a", "timeout": "5m", "backoff": "500ms", "queue_timeout": "none"}))
    assert json.dumps([plain["timeout"], plain["backoff"], plain["queue_timeout"]]) == '[300, 0.5, "none"]'


@given(specs.VALID, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_order_or_nulls(plain: dict[str, Any], random: Any) -> None:
    keys = list(plain)
    random.shuffle(keys)
    other = {key: plain[key] for key in keys if plain[key] is not None}
    if isinstance(other.get("env"), dict):
        other["env"] = dict(reversed(other["env"].items()))
    assert digest(parse_spec(other)) == digest(parse_spec(plain))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"timeout": "5m"}, {"timeout": 300}),
        ({"timeout": 300.0}, {"timeout": "300"}),
        ({"memory": "1Gi"}, {"memory": "1024Mi"}),
        ({"cpu": 0.5}, {"cpu": "500m"}),
        ({"resources": {"limits": {"cpu": "1"}}}, {"resources": {"limits": {"cpu": "1000m"}, "requests": {}}}),
        ({"env": {}, "args": [], "resources": {}}, {}),
        (
            {"volumes": [{"mount": "/a", "empty_dir": {"size": "1Gi"}}]},
            {"volumes": [{"mount": "/a", "empty_dir": {"size": "1024Mi"}, "read_only": False}]},
        ),
    ],
)
def test_equal_meaning_gives_equal_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest_of(**one) == digest_of(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"timeout": 300}, {}),
        ({"timeout": "none"}, {}),
        ({"retry_on": []}, {}),
        ({"retries": 0}, {}),
        ({"command": ["a b"]}, {"command": ["a", "b"]}),
        ({"command": ["a"]}, {"args": ["a"]}),
        ({"env": {"A": "1"}}, {"env": {"A": "2"}}),
        ({"env": {"A": ""}}, {}),
        ({"command": ["$$"]}, {"command": ["$"]}),
        ({"id": "a"}, {"id": "b"}),
    ],
)
def test_another_meaning_gives_another_digest(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert digest_of(**one) != digest_of(**other)


def test_a_digest_stays_the_same_from_version_to_version() -> None:
    spec = parse_spec({"image": "busybox:1", "command": ["echo", "hé"], "timeout": "5m", "env": {"B": "2", "A": "1"}})
    written = '{"command":["echo","hé"],"env":{"A":"1","B":"2"},"image":"busybox:1","timeout":300}'
    assert digest(spec) == hashlib.sha256(written.encode()).hexdigest()


@pytest.mark.parametrize(
    "name",
    ["DB_PASSWORD", "passwd", "MySecret", "GITHUB_TOKEN", "APIKEY", "api_key", "PRIVATE_X", "DSN", "AWS_CREDENTIALS"],
)
def test_values_of_secret_variables_are_hidden(name: str) -> None:
    spec = parse_spec({"image": "a", "env": {name: "hunter2", "PLAIN": "x", "REF_TOKEN": {"secret": "s", "key": "k"}}})
    shown = mask(spec)
    assert shown.env == {**spec.env, name: "***"}
    assert spec.env[name] == "hunter2"


def test_a_spec_without_secrets_is_shown_as_it_is() -> None:
    spec = parse_spec({"image": "a", "env": {"PLAIN": "x"}})
    assert mask(spec) is spec
