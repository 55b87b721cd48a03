"""What a user gives arrives as it is: through the manifest, and through what Kubernetes makes of it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import AttemptRef
from spark_jobs.cluster.manifest import job_manifest
from spark_jobs.domain import names
from spark_jobs.domain.parse import parse_spec
from spark_jobs.domain.spec import JobSpec
from tests import specs

REF = AttemptRef(job_id="train-7", attempt=2, claim="c0ffee", namespace="lab", name="spark-abcdefghijkl-2")
# Words in which Kubernetes might see something, as often as not.
WORDS = st.one_of(
    specs.TEXTS, st.lists(st.sampled_from(["$", "(", ")", "A", "SPARK_JOB_ID", " ", "\n", "é", "\\", '"'])).map("".join)
)
ANNOTATIONS_LIMIT = 256 * 1024


def expanded(text: str, env: dict[str, str]) -> str:
    """What the kubelet makes of a word: `$(NAME)` is replaced where NAME is known, `$$` is one `$`, all else stays."""
    out, place = "", 0
    while place < len(text):
        rest = text[place:]
        name, closed, _ = rest[2:].partition(")")
        if rest.startswith("$$"):
            out, place = out + "$", place + 2
        elif rest.startswith("$(") and closed and name in env:
            out, place = out + env[name], place + len(name) + 3
        else:
            out, place = out + rest[0], place + 1
    return out


def manifest(spec: JobSpec) -> dict[str, Any]:
    """As it goes over the wire, and is read there."""
    read: dict[str, Any] = json.loads(json.dumps(job_manifest(REF, spec, instance="inst", ttl_seconds=86_400)))
    return read


@given(words=st.lists(WORDS, min_size=1, max_size=4), values=st.lists(WORDS, max_size=4))
def test_words_and_values_arrive_as_they_are(words: list[str], values: list[str]) -> None:
    env = {chr(ord("A") + place): value for place, value in enumerate(values)}
    spec = JobSpec(image="busybox:1", command=words, args=words, env=dict(env))
    [container] = manifest(spec)["spec"]["template"]["spec"]["containers"]
    known: dict[str, str] = {}
    for variable in container["env"]:
        known[variable["name"]] = expanded(variable["value"], known)
    assert {name: known[name] for name in env} == env
    assert [expanded(word, known) for word in container["command"]] == words
    assert [expanded(word, known) for word in container["args"]] == words


@given(specs.VALID)
def test_whatever_is_accepted_gives_objects_with_names_and_labels_that_kubernetes_takes(plain: dict[str, Any]) -> None:
    spec = parse_spec(plain)
    job = manifest(spec)
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert all(names.is_kubernetes_label(key, value) for key, value in metadata["labels"].items())
        assert all(names.qualified_name_problem(key) is None for key in metadata["annotations"])
        size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata["annotations"].items())
        assert size <= ANNOTATIONS_LIMIT
        assert metadata["annotations"].get(marks.JOB_NAME) == spec.name
        given_back = json.loads(metadata["annotations"].get(marks.LABELS, "{}"))
        assert given_back == spec.labels
    assert job["metadata"]["name"] == REF.name


def test_the_most_that_is_accepted_of_labels_and_name_fits_the_annotations() -> None:
    """A control character takes six bytes in JSON, and four are the most that UTF-8 needs."""
    labels = {f"k{number}": "\x01" * 4000 for number in range(8)}
    spec = parse_spec({"image": "busybox:1", "name": "\U0001f600" * 253, "labels": labels})
    annotations = manifest(spec)["metadata"]["annotations"]
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    assert 190_000 < size <= ANNOTATIONS_LIMIT
