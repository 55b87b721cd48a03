"""From plain objects to a spec."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.parse import LARGEST_SPEC, MOST_FAULTS, READERS, parse_defaults, parse_spec
from spark_jobs.domain.spec import EmptyDir, KeyRef, Resources, Toleration, Volume
from tests import specs


def faults_of(plain: object, pointer: str = "#") -> list[Fault]:
    with pytest.raises(InvalidSpec) as raised:
        parse_spec(plain, pointer=pointer)
    return list(raised.value.faults)


def fault_of(**fields: object) -> Fault:
    """The only fault of a spec that is right apart from these fields."""
    (fault,) = faults_of({"image": "busybox:1", **fields})
    return fault


def at(pointer: str, **fields: object) -> str:
    """The detail of the only fault, which must be at this pointer."""
    fault = fault_of(**fields)
    assert fault.pointer == pointer
    return fault.detail


def test_a_spec_with_every_kind_of_field_is_read() -> None:
    spec = parse_spec(
        {
            "image": "busybox:1",
            "command": ["sh", "-c", "echo $$ $HOME"],
            "env": {"A": "", "KEY": {"secret": "db", "key": "pw"}, "POD": {"field": "metadata.name"}},
            "volumes": [
                {"mount": "/data", "pvc": "datasets", "read_only": True, "sub_path": "a/b"},
                {"mount": "/dev/shm", "empty_dir": {"medium": "Memory", "size": "8Gi"}},
            ],
            "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": 1, "example.com/fpga": "1"}},
            "timeout": "1h30m",
            "queue_timeout": "none",
            "tolerations": [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 5, "effect": "NoExecute"}],
            "labels": {"kueue.x-k8s.io/queue-name": "q", "anything at all".replace(" ", "-"): "with blanks, too"},
            "retry_on": ["Evicted", "exit:75"],
        }
    )
    assert spec.command == ["sh", "-c", "echo $$ $HOME"]
    assert spec.env == {"A": "", "KEY": KeyRef(secret="db", key="pw"), "POD": KeyRef(field="metadata.name")}
    assert spec.volumes == [
        Volume(mount="/data", pvc="datasets", read_only=True, sub_path="a/b"),
        Volume(mount="/dev/shm", empty_dir=EmptyDir(medium="Memory", size="8Gi")),
    ]
    assert spec.resources == Resources(requests={"cpu": "100m"}, limits={"cpu": "1", "example.com/fpga": "1"})
    assert (spec.timeout, spec.queue_timeout, spec.start_timeout) == (5400.0, "none", None)
    assert spec.tolerations == [Toleration(key="gpu", operator="Exists", toleration_seconds=5, effect="NoExecute")]


def test_null_is_left_out() -> None:
    assert parse_spec({"image": "a", **dict.fromkeys(READERS.keys() - {"image"})}) == parse_spec({"image": "a"})


def test_every_fault_is_found_at_once() -> None:
    pointers = [
        fault.pointer
        for fault in faults_of(
            {
                "comand": ["ls"],
                "args": ["ok", 5, "a\0b"],
                "env": {"PORT": 8080, "1X": "a"},
                "timeout": -1,
                "memory": "12 potatoes",
                "cpu": "1",
                "resources": {"requests": {"cpu": 2, "memory": "2Gi"}, "limits": {"cpu": 1}},
                "volumes": [{"mount": "data", "hostPath": "/"}, {"mount": "/a"}],
                "retries": "3",
                "labels": {"app.kubernetes.io/name": "x"},
            }
        )
    ]
    assert sorted(pointers) == sorted(
        [
            "#/image",
            "#/comand",
            "#/args/1",
            "#/args/2",
            "#/env/PORT",
            "#/env/1X",
            "#/timeout",
            "#/memory",
            "#/cpu",
            "#/resources/requests/cpu",
            "#/volumes/0/mount",
            "#/volumes/0/hostPath",
            "#/volumes/1",
            "#/retries",
            "#/labels/app.kubernetes.io~1name",
        ]
    )


def test_pointers_begin_where_the_spec_stands() -> None:
    assert [fault.pointer for fault in faults_of({}, "#/jobs/17")] == ["#/jobs/17/image"]


def test_pointers_are_escaped() -> None:
    assert fault_of(env={"a/b~c d%": "x"}).pointer == "#/env/a~1b~0c%20d%25"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("comand", "command"), ("envFrom", "env_from"), ("cmd", "command"), ("Image_Pull_policy", "image_pull_policy")],
)
def test_an_unknown_field_is_named_with_the_nearest_known_one(written: str, meant: str) -> None:
    assert at(f"#/{written}", **{written: None}) == f"unknown field `{written}`; did you mean `{meant}`?"


def test_an_unknown_field_like_none_that_is_known_gets_no_guess() -> None:
    assert at("#/colour", colour="red") == "unknown field `colour`"
    assert "\n" not in at("#/a%0Ab", **{"a\nb": 1})


def test_unknown_fields_are_found_in_inner_objects() -> None:
    assert "`sub_path`" in at("#/volumes/0/subPath", volumes=[{"mount": "/a", "pvc": "b", "subPath": "c"}])
    assert "`tolerationSeconds`" in at(
        "#/tolerations/0/toleration_second", tolerations=[{"key": "a", "toleration_second": 1}]
    )


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (8080, 'got the number 8080, write "8080"'),
        (True, 'got true, write "true"'),
        (None, 'got null, must be text; write "" for empty text'),
        (["a"], "got a list, must be text"),
        (1.5, 'got the number 1.5, write "1.5"'),
        (10**400, "got a very large number, must be text"),
    ],
)
def test_a_value_that_must_be_text_says_so(value: object, detail: str) -> None:
    assert at("#/env/PORT", env={"PORT": value}) == detail


def test_numbers_that_are_secrets_are_not_repeated() -> None:
    fault = fault_of(env={"DB_PASSWORD": 123456})
    assert "123456" not in fault.detail
    assert "in quotes" in fault.detail


def test_the_hidden_value_can_not_be_posted_back() -> None:
    assert "hidden" in at("#/env/TOKEN", env={"TOKEN": "***"})


@pytest.mark.parametrize("field", ["command", "args"])
def test_a_command_line_is_never_split(field: str) -> None:
    detail = at(f"#/{field}", **{field: "echo secret"})
    assert '["sh", "-c", "…"]' in detail
    assert "secret" not in detail


@pytest.mark.parametrize("field", ["tty", "stdin", "interactive"])
def test_terminals_are_refused_with_the_way_out(field: str) -> None:
    assert "kubectl exec" in at(f"#/{field}", **{field: True})


def test_node_folders_are_refused() -> None:
    assert "pvc" in at("#/volumes/0/hostPath", volumes=[{"mount": "/a", "hostPath": {"path": "/"}}])


@pytest.mark.parametrize("image", ["", "  ", None])
def test_an_image_is_needed(image: object) -> None:
    assert [(fault.pointer, fault.code) for fault in faults_of({"image": image})] == [("#/image", "required")]


def test_an_image_that_only_the_cluster_can_judge_is_let_through() -> None:
    assert parse_spec({"image": "UPPER/Case:1"}).image == "UPPER/Case:1"


@pytest.mark.parametrize(
    ("pointer", "fields"),
    [
        ("#/command/0", {"command": ["a\0"]}),
        ("#/command/0", {"command": ["\ud800"]}),
        ("#/command/0", {"command": [""]}),
        ("#/args/0", {"args": ["x" * 131072]}),
        ("#/args/0", {"args": ["é" * 65536]}),
        ("#/env/A", {"env": {"A": "x" * 131070}}),
        ("#/image", {"image": "a\0"}),
        ("#/image", {"image": " a"}),
        ("#/id", {"id": "x" * 64}),
        ("#/id", {"id": "../etc"}),
        ("#/id", {"id": "A"}),
        ("#/id", {"id": "a\n"}),
        ("#/id", {"id": ""}),
        ("#/id", {"id": 5}),
        ("#/name", {"name": "x" * 254}),
        ("#/labels/k8s.io~1a", {"labels": {"k8s.io/a": "b"}}),
        ("#/labels/Sub.Spark-Jobs.dev~1a", {"labels": {"Sub.Spark-Jobs.dev/a": "b"}}),
        ("#/labels/a=b", {"labels": {"a=b": "c"}}),
        ("#/labels/a", {"labels": {"a": 1}}),
        ("#/labels", {"labels": {f"k{i}": "x" * 4000 for i in range(10)}}),
        ("#/env/SPARK_JOB_ID", {"env": {"SPARK_JOB_ID": "x"}}),
        ("#/env/A=B", {"env": {"A=B": "x"}}),
        ("#/env/A", {"env": {"A": {"secret": "s", "config_map": "c", "key": "k"}}}),
        ("#/env/A", {"env": {"A": {}}}),
        ("#/env/A/key", {"env": {"A": {"secret": "s"}}}),
        ("#/env/A/key", {"env": {"A": {"field": "metadata.name", "key": "k"}}}),
        ("#/env/A/field", {"env": {"A": {"field": "spec.secrets"}}}),
        ("#/env/A/key", {"env": {"A": {"secret": "s", "key": "../k"}}}),
        ("#/env_from/0", {"env_from": [{}]}),
        ("#/env_from", {"env_from": {"secret": "s"}}),
        ("#/volumes/0/mount", {"volumes": [{"pvc": "a"}]}),
        ("#/volumes/0/mount", {"volumes": [{"mount": "/", "pvc": "a"}]}),
        ("#/volumes/0/mount", {"volumes": [{"mount": "/a:b", "pvc": "a"}]}),
        ("#/volumes/1/mount", {"volumes": [{"mount": "/a", "pvc": "a"}, {"mount": "/a/", "pvc": "b"}]}),
        ("#/volumes/0", {"volumes": [{"mount": "/a", "pvc": "a", "secret": "b"}]}),
        ("#/volumes/0", {"volumes": ["a"]}),
        ("#/volumes/0/sub_path", {"volumes": [{"mount": "/a", "pvc": "a", "sub_path": "../b"}]}),
        ("#/volumes/0/empty_dir/size", {"volumes": [{"mount": "/a", "empty_dir": {"size": "8m"}}]}),
        ("#/memory", {"memory": "512m"}),
        ("#/memory", {"memory": 0}),
        ("#/memory", {"memory": True}),
        ("#/cpu", {"cpu": float("inf")}),
        ("#/gpu", {"gpu": "500m"}),
        ("#/gpu", {"gpu": 1, "resources": {"limits": {"nvidia.com/gpu": 1}}}),
        ("#/resources/limits/gpu", {"resources": {"limits": {"gpu": 1}}}),
        ("#/resources/requests/memory", {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1000Mi"}}}),
        ("#/resources/requests/a.b~1c", {"resources": {"requests": {"a.b/c": 1}}}),
        ("#/resources/requests/a.b~1c", {"resources": {"requests": {"a.b/c": 1}, "limits": {"a.b/c": 2}}}),
        ("#/resources/limits/hugepages-2Mi", {"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}),
        ("#/resources/limits/hugepages-2Mi", {"cpu": 1, "resources": {"limits": {"hugepages-2Mi": "3Mi"}}}),
        ("#/resources/limits/hugepages-x", {"cpu": 1, "resources": {"limits": {"hugepages-x": "2Mi"}}}),
        ("#/resources/limits/requests.a.b~1c", {"resources": {"limits": {"requests.a.b/c": 1}}}),
        ("#/env", {"env": {f"A{i}": "" for i in range(5001)}}),
        ("#/labels", {"labels": {f"a{i}": "" for i in range(1001)}}),
        ("#/env/A/field", {"env": {"A": {"field": "metadata.labels['a b']"}}}),
        ("#/timeout", {"timeout": 0}),
        ("#/timeout", {"timeout": "soon"}),
        ("#/timeout", {"timeout": False}),
        ("#/termination_grace", {"termination_grace": "none"}),
        ("#/retries", {"retries": -1}),
        ("#/retries", {"retries": 1.5}),
        ("#/retries", {"retries": float("nan")}),
        ("#/retry_on/0", {"retry_on": ["exit:0"]}),
        ("#/retry_on/0", {"retry_on": ["exit:256"]}),
        ("#/retry_on/0", {"retry_on": ["Cancelled"]}),
        ("#/retry_on/0", {"retry_on": ["Nonsense"]}),
        ("#/priority", {"priority": 1001}),
        ("#/namespace", {"namespace": "a.b"}),
        ("#/service_account", {"service_account": "-a"}),
        ("#/node_selector/a", {"node_selector": {"a": "not valid"}}),
        ("#/node_selector/%20", {"node_selector": {" ": "a"}}),
        ("#/tolerations/0/key", {"tolerations": [{}]}),
        ("#/tolerations/0/value", {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}),
        ("#/tolerations/0/tolerationSeconds", {"tolerations": [{"key": "a", "tolerationSeconds": 5}]}),
        ("#/tolerations/0/operator", {"tolerations": [{"key": "a", "operator": "exist"}]}),
        ("#/image_pull_policy", {"image_pull_policy": "always"}),
        ("#/working_dir", {"working_dir": "work"}),
        ("#/run_as_user", {"run_as_user": -1}),
        ("#/run_as_user", {"run_as_user": 0, "security_profile": "restricted"}),
        ("#/read_only_root", {"read_only_root": "true"}),
        ("#/security_profile", {"security_profile": "strict"}),
    ],
)
def test_what_kubernetes_would_not_take_is_refused_by_its_place(pointer: str, fields: dict[str, Any]) -> None:
    assert at(pointer, **fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image_pull_policy": "always"}, "did you mean `Always`"),
        ({"retry_on": ["NonZeroExitt"]}, "did you mean `NonZeroExit`"),
        ({"retries": "3"}, "write 3 without quotes"),
        ({"read_only_root": "true"}, "true or false without quotes"),
        ({"timeout": "soon"}, '"none" means no limit'),
        ({"memory": "512m"}, '"512Mi"'),
    ],
)
def test_a_fault_says_what_to_write(fields: dict[str, Any], words: str) -> None:
    assert words in fault_of(**fields).detail


def test_a_spec_above_one_mebibyte_is_refused_whole() -> None:
    fault = fault_of(args=["x" * 100_000] * (LARGEST_SPEC // 100_000 + 1))
    assert (fault.pointer, fault.code) == ("#", "too_long")
    assert fault_of(args=["$" * 100_000] * 6).code == "too_long"  # doubled for Kubernetes


def test_a_flood_of_faults_is_cut_with_their_number() -> None:
    faults = faults_of({"image": "a", "args": list(range(50_000)), **{f"f{i}": 1 for i in range(1000)}})
    assert len(faults) == MOST_FAULTS + 1
    assert faults[-1].code == "too_many_faults"


@pytest.mark.parametrize("plain", [None, [], "busybox", 5, True])
def test_what_is_no_object_is_refused(plain: object) -> None:
    assert [(fault.pointer, fault.code) for fault in faults_of(plain)] == [("#", "wrong_type")]


def test_names_that_are_not_text_are_faults() -> None:
    assert "quotes" in at("#/env", env={8080: "x"})
    assert faults_of({"image": "a", 1: 2})[0].pointer == "#"


def test_defaults_for_jobs_are_read_by_the_same_rules() -> None:
    assert parse_defaults({"timeout": "5m", "cpu": 1}) == {"timeout": 300.0, "cpu": "1"}
    with pytest.raises(InvalidSpec, match="#/image: each job names its own image"):
        parse_defaults({"image": "a"}, pointer="#")


@given(specs.JSON)
def test_arbitrary_json_gives_a_spec_or_faults_and_nothing_else(plain: object) -> None:
    assert_spec_or_faults(plain)


@given(st.dictionaries(st.sampled_from([*READERS, "tty", "x"]), specs.JSON, max_size=5))
def test_arbitrary_values_of_known_fields_give_a_spec_or_faults(plain: dict[str, Any]) -> None:
    assert_spec_or_faults({"image": "busybox:1", **plain})


@given(specs.VALID, st.data())
def test_one_wrong_value_in_a_good_spec_is_found_below_its_field(plain: dict[str, Any], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(READERS)))
    wrong = data.draw(st.sampled_from([object(), {"x": object()}, [[object()]]]))
    faults = faults_of({**plain, field: wrong})
    assert any(fault.pointer.startswith(f"#/{field}") for fault in faults)


def assert_spec_or_faults(plain: object) -> None:
    try:
        assert parse_spec(plain).image
        faults: tuple[Fault, ...] = ()
    except InvalidSpec as error:
        faults = error.faults or (Fault("", "", ""),)
    for fault in faults:
        assert fault.pointer.startswith("#")
        assert fault.detail
        assert "\n" not in fault.detail
        assert (fault.pointer + fault.detail).encode()
