"""Names, ids, near misses, times."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.domain.ids import is_job_id, new_claim, new_job_id, new_kubernetes_name
from spark_jobs.domain.names import env_name_problem, is_kubernetes_label, reserved_domain
from spark_jobs.domain.nearest import edits, nearest
from spark_jobs.domain.times import format_time, parse_rfc3339, parse_time

NOW = datetime(2031, 5, 4, 12, 30, tzinfo=UTC)
WORDS = st.text("abc", max_size=6)


def test_generated_ids_keep_to_the_rule_and_use_the_given_randomness() -> None:
    assert re.fullmatch("spark-job-[a-z0-9]{15}", new_job_id())
    assert new_job_id(lambda letters: letters[-1]) == "spark-job-" + "9" * 15
    assert is_job_id(new_job_id())
    assert len({new_job_id() for _ in range(100)}) == 100


def test_kubernetes_names_and_claims_are_random() -> None:
    assert re.fullmatch("spark-[a-z2-7]{12}-3", new_kubernetes_name(3))
    assert re.fullmatch("[0-9a-f]{32}", new_claim())
    assert new_claim() != new_claim()


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a/b", "..", "a\n", "é", "x" * 64])
def test_what_is_no_id(text: str) -> None:
    assert not is_job_id(text)


@pytest.mark.parametrize("text", ["a", "0", "a-b", "x" * 63, "spark-job-4k2m9q0x1c5va7f"])
def test_what_is_an_id(text: str) -> None:
    assert is_job_id(text)


@pytest.mark.parametrize(
    ("key", "domain"),
    [
        ("kubernetes.io/a", "kubernetes.io"),
        ("app.kubernetes.io/name", "kubernetes.io"),
        ("a.b.K8s.io/x", "k8s.io"),
        ("spark-jobs.dev/job", "spark-jobs.dev"),
        ("kueue.x-k8s.io/queue-name", None),
        ("notkubernetes.io/a", None),
        ("kubernetes.io", None),
        ("team", None),
    ],
)
def test_reserved_prefixes(key: str, domain: str | None) -> None:
    assert reserved_domain(key) == domain


@pytest.mark.parametrize(
    ("key", "value", "fits"),
    [
        ("team", "ml", True),
        ("example.com/team", "", True),
        ("team", "with blanks", False),
        ("x" * 64, "a", False),
        ("a/b/c", "a", False),
        ("/a", "b", False),
        ("", "b", False),
    ],
)
def test_which_labels_kubernetes_takes(key: str, value: str, fits: bool) -> None:
    assert is_kubernetes_label(key, value) is fits


@pytest.mark.parametrize("name", ["A", "_", "a.b-c", ".hidden", "Z9"])
def test_env_names_that_every_kubernetes_takes(name: str) -> None:
    assert env_name_problem(name) is None


@pytest.mark.parametrize("name", ["", "1", "A B", "A=B", "..", "..a", ".", "É", "SPARK_JOB_ATTEMPT"])
def test_env_names_that_are_refused(name: str) -> None:
    assert env_name_problem(name)


@given(WORDS, WORDS)
def test_edits_are_a_distance(one: str, other: str) -> None:
    assert edits(one, other) == edits(other, one)
    assert (edits(one, other) == 0) is (one == other)
    assert abs(len(one) - len(other)) <= edits(one, other) <= max(len(one), len(other))


@pytest.mark.parametrize(
    ("one", "other", "count"), [("ab", "ba", 1), ("port", "prot", 1), ("kitten", "sitting", 3), ("", "abc", 3)]
)
def test_edits_count_swapped_neighbours_once(one: str, other: str, count: int) -> None:
    assert edits(one, other) == count


def test_the_nearest_word_is_within_two_edits() -> None:
    assert nearest("timeot", ["timeout", "start_timeout"]) == "timeout"
    assert nearest("serviceAccount", ["service_account"]) == "service_account"
    assert nearest("xyz", ["cpu", "gpu"]) is None
    assert nearest("t" * 100_000, ["timeout"]) is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2031-05-04T12:30:00Z", NOW),
        ("2031-05-04t12:30:00z", NOW),
        ("2031-05-04T14:30:00+02:00", NOW),
        ("2031-05-04T12:30:00.5Z", NOW + timedelta(milliseconds=500)),
        ("2031-05-04T12:30:00.123456789Z", NOW + timedelta(microseconds=123456)),
    ],
)
def test_rfc3339_is_read_as_utc(text: str, time: datetime) -> None:
    assert parse_rfc3339(text) == time
    assert parse_time(text, NOW) == time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "today",
        "2031-05-04",
        "2031-05-04T12:30:00",
        "2031-13-04T12:30:00Z",
        "0001-01-01T00:00:00+23:59",
        "20310504T123000Z",
    ],
)
def test_what_is_no_time_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="2031"):
        parse_rfc3339(text)


def test_a_duration_is_a_time_ago() -> None:
    assert parse_time("30m", NOW) == datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
    assert parse_time("0s", NOW) == NOW
    with pytest.raises(ValueError, match="30m"):
        parse_time("yesterday", NOW)


def test_times_come_out_in_utc() -> None:
    assert format_time(NOW) == "2031-05-04T12:30:00Z"
    assert (
        format_time(NOW.astimezone(timezone(timedelta(hours=2))) + timedelta(microseconds=5))
        == "2031-05-04T12:30:00.000005Z"
    )
    with pytest.raises(ValueError, match="zone"):
        format_time(datetime(2031, 5, 4))  # noqa: DTZ001  # a time without a zone is what is tried


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # bounds are naive by hypothesis' rule
def test_a_time_survives_being_written(time: datetime) -> None:
    assert parse_rfc3339(format_time(time)) == time
