"""What an installation fills in, and what it refuses."""

from typing import Any

import pytest
from hypothesis import given

from spark_jobs.domain.defaults import Defaults, fill
from spark_jobs.domain.errors import InvalidSpec
from spark_jobs.domain.limits import JobLimits, check_limits, parse_limits
from spark_jobs.domain.parse import parse_defaults, parse_spec
from spark_jobs.domain.spec import JobSpec, Resources
from tests import specs


def filled(spec: dict[str, Any], defaults: dict[str, Any] | None = None) -> JobSpec:
    return fill(parse_spec({"image": "a", **spec}), Defaults(job=parse_defaults(defaults or {})))


def test_an_installation_has_times_of_its_own() -> None:
    spec = filled({})
    assert (spec.timeout, spec.start_timeout, spec.queue_timeout, spec.termination_grace) == (300, 600, "none", 30)
    assert (spec.retries, spec.priority, spec.security_profile) == (0, 0, "none")


def test_the_job_comes_first_then_job_defaults_then_the_installation() -> None:
    spec = filled({"timeout": 5, "retries": 0}, {"timeout": 10, "start_timeout": 20, "retries": 3, "priority": 7})
    assert (spec.timeout, spec.start_timeout, spec.retries, spec.priority) == (5, 20, 0, 7)


def test_an_empty_list_of_reasons_to_retry_on_is_the_jobs_own_word() -> None:
    """It means "for none of them", which leaving the list out does not."""
    assert filled({"retry_on": []}, {"retry_on": ["Evicted"]}).retry_on == []
    assert filled({}, {"retry_on": ["Evicted"]}).retry_on == ["Evicted"]


def test_maps_merge_and_lists_do_not() -> None:
    defaults = {"labels": {"team": "x", "a": "1"}, "env": {"A": "1"}, "image_pull_secrets": ["one"], "args": ["d"]}
    spec = filled({"labels": {"a": "2"}, "env": {"B": "2"}, "args": ["own"]}, defaults)
    assert spec.labels == {"team": "x", "a": "2"}
    assert spec.env == {"A": "1", "B": "2"}
    assert spec.image_pull_secrets == ["one"]
    assert spec.args == ["own"]


@pytest.mark.parametrize(
    ("own", "defaults", "memory", "resources"),
    [
        ({}, {"memory": "1Gi"}, "1Gi", None),
        (
            {"memory": "2Gi"},
            {"resources": {"limits": {"memory": "1Gi", "cpu": "1"}}},
            "2Gi",
            Resources(limits={"cpu": "1"}),
        ),
        (
            {"resources": {"limits": {"memory": "1Gi"}}},
            {"memory": "2Gi", "resources": {"limits": {"cpu": "1"}}},
            None,
            Resources(limits={"cpu": "1", "memory": "1Gi"}),
        ),
        (
            {"resources": {"limits": {"memory": "1Gi"}}},
            {"resources": {"requests": {"memory": "2Gi"}}},
            None,
            Resources(limits={"memory": "1Gi"}),
        ),
    ],
)
def test_what_a_job_says_of_a_resource_counts_whole(
    own: dict[str, Any], defaults: dict[str, Any], memory: str | None, resources: Resources | None
) -> None:
    spec = filled(own, defaults)
    assert spec.memory == memory
    assert spec.resources == resources


def test_a_job_that_does_not_go_with_the_defaults_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="#/run_as_user"):
        filled({"run_as_user": 0}, {"security_profile": "restricted"})


@given(specs.VALID)
def test_a_filled_spec_posts_back_unchanged(plain: dict[str, Any]) -> None:
    once = fill(parse_spec(plain), Defaults(namespace="jobs"))
    assert fill(once, Defaults(timeout=1, start_timeout=1, queue_timeout=1, namespace="other")) == once


LIMITS = JobLimits(namespaces=["jobs"], service_accounts=[], max_timeout=3600, max_cpu="2", max_memory="4Gi")


@pytest.mark.parametrize(
    ("fields", "pointer", "words"),
    [
        ({"namespace": "other"}, "#/namespace", "`namespaces`; allowed: jobs"),
        ({"service_account": "admin"}, "#/service_account", "`service_accounts`; allowed: none"),
        ({"timeout": "2h"}, "#/timeout", "`max_timeout` of 1h"),
        ({"timeout": "none"}, "#/timeout", "`max_timeout` is 1h"),
        ({"cpu": "2001m"}, "#/cpu", "`max_cpu` of 2"),
        ({"memory": "5Gi"}, "#/memory", "`max_memory` of 4Gi"),
        ({"resources": {"limits": {"cpu": "3"}}}, "#/resources/limits/cpu", "`max_cpu` of 2"),
        ({"resources": {"requests": {"memory": "5Gi"}}}, "#/resources/requests/memory", "`max_memory` of 4Gi"),
    ],
)
def test_a_refusal_names_the_limit(fields: dict[str, Any], pointer: str, words: str) -> None:
    with pytest.raises(InvalidSpec) as raised:
        check_limits(filled(fields), LIMITS)
    (fault,) = raised.value.faults
    assert fault.pointer == pointer
    assert words in fault.detail


def test_a_job_within_the_limits_passes_and_no_limits_let_everything_pass() -> None:
    modest = filled({"namespace": "jobs", "timeout": "1h", "cpu": "2", "memory": "4096Mi"})
    assert check_limits(modest, LIMITS) is None  # type: ignore[func-returns-value]  # that it returns is the point
    large = filled({"namespace": "x", "timeout": "none", "cpu": "999"})
    assert check_limits(large, JobLimits()) is None  # type: ignore[func-returns-value]  # that it returns is the point


def test_limits_are_read_with_every_fault() -> None:
    assert parse_limits({"max_timeout": "1h", "max_memory": "4Gi"}) == JobLimits(max_timeout=3600, max_memory="4Gi")
    with pytest.raises(InvalidSpec) as raised:
        parse_limits({"max_timeouts": 1, "max_cpu": "x"})
    assert [fault.pointer for fault in raised.value.faults] == ["#/max_timeouts", "#/max_cpu"]
