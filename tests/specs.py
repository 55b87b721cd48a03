"""Hypothesis strategies for specs as users write them: valid ones that use every field, and arbitrary JSON."""

from typing import Any

from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ENV_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,15}", fullmatch=True).filter(lambda name: "SPARK_JOB" not in name)
SECONDS = st.one_of(st.integers(1, 10**6), st.floats(0.001, 10**6), st.sampled_from(["90", "90s", "5m", "1h30m", "2d"]))
LIMITS = st.one_of(SECONDS, st.just("none"))
CPU = st.sampled_from(["1", "500m", "0.5", "2", 1, 0.25])
BYTES = st.sampled_from(["512Mi", "1Gi", "1024Mi", "0.5Gi", "1e9", 1073741824])
GPUS = st.sampled_from(["1", 2])
LABEL_KEYS = st.one_of(NAMES, NAMES.map(lambda name: f"example.com/{name}"), st.just("kueue.x-k8s.io/queue-name"))

KEY_REFS = st.one_of(
    st.fixed_dictionaries({"secret": NAMES, "key": NAMES}),
    st.fixed_dictionaries({"config_map": NAMES, "key": NAMES}),
    st.fixed_dictionaries({"field": st.sampled_from(["metadata.name", "status.podIP", "metadata.labels['a/b']"])}),
)
SOURCES = st.one_of(st.fixed_dictionaries({"secret": NAMES}), st.fixed_dictionaries({"config_map": NAMES}))
EMPTY_DIRS = st.fixed_dictionaries({}, optional={"medium": st.just("Memory"), "size": BYTES})
VOLUMES = st.builds(
    lambda mount, source, more: {"mount": f"/{mount}", **source, **more},
    NAMES,
    st.one_of(SOURCES, st.fixed_dictionaries({"pvc": NAMES}), st.fixed_dictionaries({"empty_dir": EMPTY_DIRS})),
    st.fixed_dictionaries({}, optional={"read_only": st.booleans(), "sub_path": NAMES}),
)
TOLERATIONS = st.one_of(
    st.just({"operator": "Exists"}),
    st.fixed_dictionaries({"key": NAMES}, optional={"value": NAMES, "effect": st.just("NoSchedule")}),
    st.just({"key": "a", "effect": "NoExecute", "tolerationSeconds": 5}),
)
AMOUNTS = st.one_of(
    st.fixed_dictionaries({}, optional={"cpu": CPU, "memory": BYTES, "gpu": GPUS}),
    st.fixed_dictionaries(
        {
            "resources": st.fixed_dictionaries(
                {},
                optional={
                    "requests": st.fixed_dictionaries({}, optional={"cpu": st.just("100m"), "memory": st.just("1Mi")}),
                    "limits": st.fixed_dictionaries(
                        {}, optional={"cpu": CPU, "memory": BYTES, "example.com/fpga": GPUS}
                    ),
                },
            )
        }
    ),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "command": st.lists(TEXTS.filter(bool), max_size=3),
    "args": st.lists(TEXTS, max_size=3),
    "id": NAMES,
    "name": TEXTS.filter(bool),
    "labels": st.dictionaries(LABEL_KEYS, TEXTS, max_size=3),
    "env": st.dictionaries(ENV_NAMES, st.one_of(TEXTS.filter(lambda text: text != "***"), KEY_REFS), max_size=3),
    "env_from": st.lists(SOURCES, max_size=2),
    "volumes": st.lists(VOLUMES, max_size=3, unique_by=lambda volume: volume["mount"]),
    "timeout": LIMITS,
    "start_timeout": LIMITS,
    "queue_timeout": LIMITS,
    "termination_grace": SECONDS,
    "retries": st.integers(0, 1000),
    "backoff": st.one_of(SECONDS, st.just(0)),
    "retry_on": st.lists(st.sampled_from(["NonZeroExit", "Evicted", "exit:1", "exit:255"]), max_size=3),
    "priority": st.integers(-1000, 1000),
    "namespace": NAMES,
    "service_account": NAMES,
    "node_selector": st.dictionaries(LABEL_KEYS, NAMES, max_size=2),
    "tolerations": st.lists(TOLERATIONS, max_size=2),
    "runtime_class": NAMES,
    "priority_class": NAMES,
    "image_pull_policy": st.sampled_from(["Always", "IfNotPresent", "Never"]),
    "image_pull_secrets": st.lists(NAMES, max_size=2),
    "working_dir": NAMES.map(lambda name: f"/{name}"),
    "run_as_user": st.integers(1, 2**31 - 1),
    "run_as_group": st.integers(0, 2**31 - 1),
    "fs_group": st.integers(0, 2**31 - 1),
    "read_only_root": st.booleans(),
    "security_profile": st.sampled_from(["none", "baseline", "restricted"]),
}
OPTIONAL = {name: st.one_of(st.none(), values) for name, values in FIELDS.items()}

VALID: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda spec, amounts: {**spec, **amounts},
    st.fixed_dictionaries({"image": NAMES}, optional=OPTIONAL),
    AMOUNTS,
)

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
