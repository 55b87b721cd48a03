"""The reasons: each has a hint and is given by something."""

from __future__ import annotations

from pathlib import Path

import pytest

import spark_jobs
from spark_jobs.domain import reasons
from spark_jobs.domain.reasons import HINTS, HINTS_BY_WORDS, HintByWords, Reason, hint

SOURCES = [
    path.read_text(encoding="utf-8")
    for path in Path(spark_jobs.__file__).parent.rglob("*.py")
    if path != Path(reasons.__file__)
]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_to_do_in_one_line(reason: Reason) -> None:
    assert hint(reason) == HINTS[reason]
    assert HINTS[reason][-1] in ".?"
    assert len(HINTS[reason]) <= 120


@pytest.mark.parametrize(
    ("reason", "special"), [(reason, each) for reason, specials in HINTS_BY_WORDS.items() for each in specials]
)
def test_every_hint_by_words_says_what_to_do_in_one_line(reason: Reason, special: HintByWords) -> None:
    for words in special.words:
        assert hint(reason, f"before {words} behind") == special.advice
    assert special.advice != HINTS[reason]
    assert special.advice[-1] in ".?"
    assert len(special.advice) <= 120


# As Kubernetes 1.34 with containerd and runc says it.
_RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: "
)
_MOUNT = f'{_RUNC}error during container init: error mounting "/var/lib/kubelet/volume-0" to rootfs at'
MESSAGES = [
    (
        Reason.EVICTED,
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ",
        "ephemeral-storage",
    ),
    (Reason.EVICTED, 'Container main exceeded its local ephemeral storage limit "1Mi". ', "ephemeral-storage"),
    (Reason.EVICTED, 'Usage of EmptyDir volume "volume-0" exceeds the limit "1Mi". ', "empty_dir"),
    (
        Reason.EVICTED,
        "The node was low on resource: ephemeral-storage. Container main has larger consumption of ephemeral-storage. ",
        "The node needed",
    ),
    (Reason.EVICTED, None, "The node needed"),
    (
        Reason.CREATE_CONTAINER_CONFIG_ERROR,
        'container has runAsNonRoot and image will run as root (pod: "x_lab(4a1b)", container: main)',
        "run_as_user",
    ),
    (
        Reason.CREATE_CONTAINER_CONFIG_ERROR,
        "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is non-root",
        "run_as_user",
    ),
    (Reason.CREATE_CONTAINER_CONFIG_ERROR, "container's runAsUser breaks non-root policy", "run_as_user"),
    (Reason.CREATE_CONTAINER_CONFIG_ERROR, 'secret "nope" not found', "missing"),
    (Reason.CREATE_CONTAINER_CONFIG_ERROR, "couldn't find key k in ConfigMap lab/settings", "missing"),
    (
        Reason.CREATE_CONTAINER_CONFIG_ERROR,
        "failed to sync configmap cache: timed out waiting for the condition",
        "tries again",
    ),
    (
        Reason.CREATE_CONTAINER_CONFIG_ERROR,
        "services have not yet been read at least once, cannot construct envvars",
        "tries again",
    ),
    (
        Reason.CREATE_CONTAINER_CONFIG_ERROR,
        'failed to prepare subPath for volumeMount "volume-0" of container "main"',
        "sub_path",
    ),
    (Reason.UNSCHEDULABLE, '0/1 nodes are available: persistentvolumeclaim "nopvc" not found.', "claim of a volume"),
    (
        Reason.UNSCHEDULABLE,
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. no new claims to deallocate",
        "claim of a volume",
    ),
    (
        Reason.UNSCHEDULABLE,
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available",
        "No node has room",
    ),
    (Reason.START_ERROR, f'{_MOUNT} "/bin/busybox": mount a:b, flags: 0x5000: not a directory', "`mount`"),
    (
        Reason.START_ERROR,
        f'{_MOUNT} "/proc": "/run/rootfs/proc" cannot be mounted because it is not of type proc',
        "mount",
    ),
    (Reason.START_ERROR, f"{_RUNC}error during container init: mkdir /bin/sh: not a directory", "`working_dir` can"),
    (
        Reason.START_ERROR,
        f'{_RUNC}chdir to cwd ("/root") set in config.json failed: permission denied',
        "`working_dir` can",
    ),
    (Reason.START_ERROR, f'{_RUNC}exec: "/nope": stat /nope: no such file or directory', "command can't be started"),
    (Reason.START_ERROR, f'{_RUNC}exec: "nope": executable file not found in $PATH', "command can't be started"),
    (
        Reason.START_ERROR,
        f"{_RUNC}unable to setup user: stat /dev/null: no such file or directory",
        "check the command, `working_dir` and the `mount`",
    ),
]


@pytest.mark.parametrize(("reason", "message", "names"), MESSAGES)
def test_the_hint_fits_the_message(reason: Reason, message: str | None, names: str) -> None:
    assert names in (hint(reason, message) or "")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_given_by_something(reason: Reason) -> None:
    assert any(f"Reason.{reason.name}" in source for source in SOURCES)


def test_a_word_that_is_none_of_ours_has_no_hint() -> None:
    assert hint(None) is None
    assert hint("SomethingElse") is None
    assert hint("SomethingElse", "runAsNonRoot") is None
    assert hint(None, "runAsNonRoot") is None
