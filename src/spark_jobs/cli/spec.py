"""From flags and words to a job, as plain objects; what is wrong with it is found by the server, all at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spark_jobs.cli.envfile import read_env_file
from spark_jobs.cli.failures import UsageError
from spark_jobs.cli.flags import Flag

WHAT, ENVIRONMENT, RESOURCES, LIMITS, PLACE, POD = (
    "What to run",
    "Environment and files",
    "Resources",
    "Limits and retries",
    "Where it runs",
    "Container and pod",
)
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a path inside the container
_KV, _DURATION = "KEY=VALUE", "DURATION"


def _flag(name: str, kind: Any, panel: str, help_text: str, *shorts: str, metavar: str | None = None) -> Flag:
    return Flag(name, (f"--{name.replace('_', '-')}", *shorts), kind, help_text, panel, metavar=metavar)


# Flags whose name is the field's and whose value is the field's, as it is.
_PLAIN: tuple[Flag, ...] = (
    _flag("image", str, WHAT, "The container image."),
    _flag("id", str, WHAT, "The job's id; a repeat starts nothing new (default: generated)."),
    _flag("name", str, WHAT, "A name for people, not unique."),
    _flag("cpu", str, RESOURCES, "Processors asked for: 2, 500m.", metavar="QUANTITY"),
    _flag("memory", str, RESOURCES, "Memory, asked for and limit: 512Mi, 4Gi.", metavar="QUANTITY"),
    _flag("gpu", str, RESOURCES, "Number of nvidia.com/gpu.", metavar="QUANTITY"),
    _flag("timeout", str, LIMITS, "Time from the container's start to its end, or none.", metavar=_DURATION),
    _flag("start_timeout", str, LIMITS, "Time until the container runs, or none.", metavar=_DURATION),
    _flag("queue_timeout", str, LIMITS, "Time in the queue, or none.", metavar=_DURATION),
    _flag("termination_grace", str, LIMITS, "Time between TERM and KILL.", metavar=_DURATION),
    _flag("retries", int, LIMITS, "Further attempts after a failure."),
    _flag("backoff", str, LIMITS, "Time before the first further attempt.", metavar=_DURATION),
    _flag("retry_on", list[str], LIMITS, "Only retry for this reason, or exit:N (repeatable).", metavar="REASON"),
    _flag("priority", int, PLACE, "-1000 to 1000, higher first."),
    _flag("namespace", str, PLACE, "The Kubernetes namespace.", "-n"),
    _flag("service_account", str, PLACE, "The service account."),
    _flag("runtime_class", str, POD, "The runtime class."),
    _flag("priority_class", str, PLACE, "The Kubernetes priority class."),
    _flag("image_pull_policy", str, POD, "Always, IfNotPresent or Never."),
    _flag("working_dir", str, POD, "The working directory."),
    _flag("run_as_user", int, POD, "The user's number."),
    _flag("run_as_group", int, POD, "The group's number."),
    _flag("fs_group", int, POD, "The group that owns volumes."),
    Flag("read_only_root", ("--read-only-root/--no-read-only-root",), bool, "The image's files can't be changed.", POD),
    _flag("security_profile", str, POD, "none, baseline or restricted."),
)
_OTHERS: tuple[Flag, ...] = (
    _flag("label", list[str], WHAT, "A label (repeatable).", "-l", metavar=_KV),
    _flag("entrypoint_args", bool, WHAT, "The words are arguments of the image's own entry point."),
    _flag(
        "env",
        list[str],
        ENVIRONMENT,
        "A variable; NAME alone: from this shell (repeatable).",
        "-e",
        metavar="NAME=VALUE",
    ),
    _flag(
        "env_file", list[Path], ENVIRONMENT, "A file of NAME=VALUE lines, taken literally (repeatable).", metavar="FILE"
    ),
    _flag("env_secret", list[str], ENVIRONMENT, "A variable from a secret (repeatable).", metavar="VAR=NAME/KEY"),
    _flag(
        "env_config_map", list[str], ENVIRONMENT, "A variable from a config map (repeatable).", metavar="VAR=NAME/KEY"
    ),
    _flag("env_field", list[str], ENVIRONMENT, "A variable from a pod field (repeatable).", metavar="VAR=FIELD"),
    _flag(
        "env_from", list[str], ENVIRONMENT, "All of secret/NAME or config_map/NAME (repeatable).", metavar="KIND/NAME"
    ),
    _flag(
        "volume",
        list[str],
        ENVIRONMENT,
        "pvc/NAME, secret/NAME, config_map/NAME or empty_dir; options: ro, sub_path=P, size=Q, medium=Memory.",
        metavar="SOURCE:/PATH[:OPTIONS]",
    ),
    _flag("shm_size", str, ENVIRONMENT, "Memory at /dev/shm.", metavar="QUANTITY"),
    _flag("request", list[str], RESOURCES, "Any resource to ask for (repeatable).", metavar="RESOURCE=QUANTITY"),
    _flag("limit", list[str], RESOURCES, "Any resource's limit (repeatable).", metavar="RESOURCE=QUANTITY"),
    _flag("node_selector", list[str], PLACE, "A label that the node must have (repeatable).", metavar=_KV),
    _flag("toleration", list[str], PLACE, "A taint to tolerate (repeatable).", metavar="KEY[=VALUE][:EFFECT]"),
    _flag("image_pull_secret", list[str], POD, "A secret for the image's registry (repeatable).", metavar="NAME"),
    Flag("interactive", ("--interactive", "-i"), bool, "Refused.", hidden=True),
    Flag("tty", ("--tty", "-t"), bool, "Refused.", hidden=True),
)
SPEC_FLAGS = tuple(
    sorted(
        _PLAIN + _OTHERS, key=lambda flag: (WHAT, ENVIRONMENT, RESOURCES, LIMITS, PLACE, POD, None).index(flag.panel)
    )
)

_NESTED = ("env", "labels", "node_selector")


def spec_from_flags(flags: Mapping[str, Any], words: Iterable[str]) -> dict[str, object]:
    """The fields of a job that the flags and words name; fields that they do not name are absent.

    Raises:
        UsageError: a flag's value has not the form that it needs.
    """
    if flags.get("interactive") or flags.get("tty"):
        raise UsageError("jobs have no terminal and no standard input, so there is no -i and no -t; see `kubectl exec`")
    spec: dict[str, object] = {
        flag.parameter: flags[flag.parameter] for flag in _PLAIN if flags.get(flag.parameter) is not None
    }
    if word_list := list(words):
        spec["args" if flags.get("entrypoint_args") else "command"] = word_list
    elif flags.get("entrypoint_args"):
        raise UsageError("--entrypoint-args needs the arguments after the flags")
    parts = {
        "labels": _pairs("--label", flags.get("label")),
        "node_selector": _pairs("--node-selector", flags.get("node_selector")),
        "env": _environment(flags),
        "env_from": [_env_from(text) for text in flags.get("env_from") or ()],
        "volumes": _volumes(flags),
        "resources": _resources(flags),
        "tolerations": [_toleration(text) for text in flags.get("toleration") or ()],
        "image_pull_secrets": flags.get("image_pull_secret"),
    }
    return spec | {field: value for field, value in parts.items() if value}


def overridden(base: Mapping[str, object], flags: Mapping[str, object]) -> dict[str, object]:
    """A job from a file with what the flags say: maps are merged name by name, everything else is replaced."""
    merged = dict(base)
    for field, value in flags.items():
        old = merged.get(field)
        if field in _NESTED and isinstance(old, dict) and isinstance(value, dict):
            merged[field] = {**old, **value}
        else:
            merged[field] = value
    return merged


def _environment(flags: Mapping[str, Any]) -> dict[str, object]:
    env: dict[str, object] = {}
    for path in flags.get("env_file") or ():
        env.update(read_env_file(path))
    for text in flags.get("env") or ():
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError("-e: a variable needs a name; write NAME=VALUE")
        if not equals and name not in os.environ:
            raise UsageError(f"-e {name}: this shell has no variable of that name; write {name}=VALUE")
        env[name] = value if equals else os.environ[name]
    for source in ("secret", "config_map"):
        flag = f"--env-{source.replace('_', '-')}"
        for name, place in _pairs(flag, flags.get(f"env_{source}")).items():
            holder, slash, key = place.partition("/")
            if not (slash and holder and key):
                raise UsageError(f"{flag} {name}={place}: write {name}=NAME/KEY")
            env[name] = {source: holder, "key": key}
    env.update({name: {"field": path} for name, path in _pairs("--env-field", flags.get("env_field")).items()})
    return env


def _pairs(flag: str, texts: Iterable[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not (equals and key):
            raise UsageError(f"{flag} {text}: write KEY=VALUE")
        pairs[key] = value
    return pairs


def _kind_and_name(flag: str, text: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    kind = kind.replace("configmap", "config_map").replace("config-map", "config_map")
    if not (slash and name and kind in kinds):
        raise UsageError(f"{flag} {text}: write {' or '.join(f'{known}/NAME' for known in kinds)}")
    return kind, name


def _env_from(text: str) -> dict[str, str]:
    kind, name = _kind_and_name("--env-from", text, ("secret", "config_map"))
    return {kind: name}


def _volumes(flags: Mapping[str, Any]) -> list[dict[str, object]]:
    volumes = [_volume(text) for text in flags.get("volume") or ()]
    if size := flags.get("shm_size"):
        volumes.append({"mount": SHARED_MEMORY, "empty_dir": {"medium": "Memory", "size": size}})
    return volumes


def _volume(text: str) -> dict[str, object]:
    source, _, rest = text.partition(":")
    mount, _, options = rest.partition(":")
    if not mount:
        raise UsageError(f"--volume {text}: write SOURCE:/PATH[:OPTIONS], such as pvc/datasets:/data:ro")
    volume: dict[str, object] = {"mount": mount}
    empty: dict[str, str] = {}
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if option in {"ro", "rw"}:
            volume["read_only"] = option == "ro"
        elif name == "sub_path" and value:
            volume["sub_path"] = value
        elif name in {"size", "medium"} and value and source in {"empty_dir", "empty-dir"}:
            empty[name] = value
        else:
            raise UsageError(
                f"--volume {text}: {option!r} is none of ro, rw, sub_path=P (empty_dir: size=Q, medium=Memory)"
            )
    if source in {"empty_dir", "empty-dir"}:
        return volume | {"empty_dir": empty}
    kind, name = _kind_and_name("--volume", source, ("pvc", "secret", "config_map"))
    return volume | {kind: name}


def _resources(flags: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    both = {
        "requests": _pairs("--request", flags.get("request")),
        "limits": _pairs("--limit", flags.get("limit")),
    }
    return {field: pairs for field, pairs in both.items() if pairs}


def _toleration(text: str) -> dict[str, str]:
    taint, colon, effect = text.rpartition(":")
    key, equals, value = (taint if colon else text).partition("=")
    toleration = {"key": key, "operator": "Equal", "value": value} if equals else {"key": key, "operator": "Exists"}
    return toleration | ({"effect": effect} if colon else {})
