"""The stable reasons of an end or of a long wait, each with a hint that says what a person can do next."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Reason(enum.StrEnum):
    """Why a job ended as it did, or what it waits for. The names are Kubernetes' own where it has one."""

    NON_ZERO_EXIT = "NonZeroExit"
    SIGNALLED = "Signalled"
    OOM_KILLED = "OOMKilled"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    NODE_REFUSED = "NodeRefused"
    START_ERROR = "StartError"
    START_INTERRUPTED = "StartInterrupted"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    ERR_IMAGE_PULL = "ErrImagePull"
    ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
    INVALID_IMAGE_NAME = "InvalidImageName"
    CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
    CREATE_CONTAINER_ERROR = "CreateContainerError"
    FAILED_MOUNT = "FailedMount"
    FAILED_SANDBOX = "FailedCreatePodSandBox"
    INIT_CONTAINER_FAILED = "InitContainerFailed"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_DENIED = "AdmissionDenied"
    FORBIDDEN = "Forbidden"
    NAMESPACE_NOT_FOUND = "NamespaceNotFound"
    NAME_CONFLICT = "NameConflict"
    CLUSTER_UNREACHABLE = "ClusterUnreachable"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    START_TIMEOUT = "StartTimeout"
    QUEUE_TIMEOUT = "QueueTimeout"
    CANCELLED = "Cancelled"
    DELETED_EXTERNALLY = "DeletedExternally"
    LOST = "Lost"
    RETRY_BACKOFF = "RetryBackoff"


HINTS: dict[Reason, str] = {
    Reason.NON_ZERO_EXIT: "The program itself reported a failure; its log says why: spark logs JOB.",
    Reason.SIGNALLED: "The program was killed by a signal that Spark did not send; its log may say why: spark logs JOB.",
    Reason.OOM_KILLED: "The container used more memory than its limit; raise `memory` or make the program use less.",
    Reason.EVICTED: "The node needed its resources back; set `cpu` and `memory` requests, or allow `retries` on Evicted.",
    Reason.PREEMPTED: "A pod of higher priority took the node's room; set `priority_class`, or allow `retries`.",
    Reason.NODE_LOST: "The node stopped answering; the container may still run there. Look at the node before a retry.",
    Reason.NODE_REFUSED: "The node that was chosen refused the pod, mostly since its room was gone by then; allow `retries`.",
    Reason.START_ERROR: "It can't be started: check the command, `working_dir` and the `mount` of volumes against the image.",
    Reason.START_INTERRUPTED: "The node was stopped, or too slow, while it started the container; allow `retries`.",
    Reason.IMAGE_PULL_BACK_OFF: "The image can't be pulled: check its name and tag, and `image_pull_secrets`.",
    Reason.ERR_IMAGE_PULL: "The image can't be pulled: check its name and tag, and `image_pull_secrets`.",
    Reason.ERR_IMAGE_NEVER_PULL: "`image_pull_policy` is Never and the node does not have the image.",
    Reason.INVALID_IMAGE_NAME: "The image's name is not a valid reference: lower case, `registry/name:tag`.",
    Reason.CREATE_CONTAINER_CONFIG_ERROR: "Something that the container refers to is missing: a secret, a config map or a key.",
    Reason.CREATE_CONTAINER_ERROR: "The node can't create the container; the message is the container runtime's own.",
    Reason.FAILED_MOUNT: "A volume can't be mounted: does its secret, config map or claim exist? The job goes on once it does.",
    Reason.FAILED_SANDBOX: "The node can't prepare the pod (its network or its runtime class); that is for the cluster's keeper.",
    Reason.INIT_CONTAINER_FAILED: "A container that the cluster put before the job's own has failed; ask the cluster's keeper.",
    Reason.UNSCHEDULABLE: "No node has room for this job, or none fits its selectors and tolerations; see the message.",
    Reason.QUOTA_EXCEEDED: "The namespace's quota is used up: wait for other work to end, or ask for less.",
    Reason.ADMISSION_DENIED: "The cluster refuses this pod: a policy, a limit, or an account that is not there; see the message.",
    Reason.FORBIDDEN: "Spark's account may not create this here; `spark doctor` lists the permissions.",
    Reason.NAMESPACE_NOT_FOUND: "The namespace does not exist in this cluster; create it or name another one.",
    Reason.NAME_CONFLICT: "An object that is not Spark's has the name this attempt was to get; it was left alone. Retry the job.",
    Reason.CLUSTER_UNREACHABLE: "The cluster does not answer as it should; the job goes on once it does. See `spark doctor`.",
    Reason.DEADLINE_EXCEEDED: "The container ran into its time limit; raise `timeout` if it needs longer.",
    Reason.START_TIMEOUT: "The container did not start within `start_timeout`; see the message for what it waited for.",
    Reason.QUEUE_TIMEOUT: "No slot came free within `queue_timeout`; raise it, or `max_concurrent_jobs`.",
    Reason.CANCELLED: "It was cancelled; `spark retry JOB` runs the same spec again.",
    Reason.DELETED_EXTERNALLY: "Somebody or something other than Spark deleted the pod or its Job.",
    Reason.LOST: "The attempt's objects are no longer in the cluster, so how it ended can't be known. Check before a retry.",
    Reason.RETRY_BACKOFF: "The last attempt failed; another one follows after the backoff.",
}


class HintByWords(NamedTuple):
    """Another advice, where the cluster's message holds any of these words."""

    words: tuple[str, ...]
    advice: str


NOT_READ_YET = ("failed to sync", "not registered", "have not yet been read", "no relationship found between node")
"""What the kubelet says (1.34) as long as it has not read a secret, a config map or the services that a container refers
to: no word on whether they exist."""


HINTS_BY_WORDS: dict[Reason, tuple[HintByWords, ...]] = {
    Reason.EVICTED: (
        HintByWords(
            ("ephemeral local storage usage exceeds the total limit", "exceeded its local ephemeral storage limit"),
            "It wrote more than its own limit of `ephemeral-storage` allows; raise that, or make the program write less.",
        ),
        HintByWords(
            ("Usage of EmptyDir volume",),
            "It put more into an `empty_dir` volume than the volume's own `size`; raise that, or make it write less.",
        ),
    ),
    Reason.START_ERROR: (
        HintByWords(
            ("error mounting",),
            "A volume can't be mounted where its `mount` says; the message tells why. Choose another path.",
        ),
        HintByWords(
            ("container init: mkdir", "chdir to cwd"),
            "`working_dir` can't be entered: it leads through a file of the image, or its user may not go there.",
        ),
        HintByWords(
            ('exec: "',),
            "The container's command can't be started: does the file exist in the image, is it executable?",
        ),
    ),
    Reason.CREATE_CONTAINER_CONFIG_ERROR: (
        HintByWords(
            ("runAsNonRoot", "non-root policy"),
            "It may not run as root, and its image does, or does not say: set `run_as_user`, or use another image.",
        ),
        HintByWords(
            ("subPath",),
            "The `sub_path` of a volume can't be used: it leads through a file, or out of the volume.",
        ),
        HintByWords(
            NOT_READ_YET,
            "The node could not read what the container refers to in time; it tries again. If it lasts, look at the node.",
        ),
    ),
    Reason.UNSCHEDULABLE: (
        HintByWords(
            ("persistentvolumeclaim", "PersistentVolumeClaim"),
            "The claim of a volume is not there, or not bound: see `kubectl get pvc` in the job's namespace.",
        ),
    ),
}
"""One reason of Kubernetes may have several causes, which only its words tell apart; the first that fits counts."""


NEVER_RETRIED = frozenset({Reason.CANCELLED, Reason.RETRY_BACKOFF, Reason.QUEUE_TIMEOUT, Reason.DEADLINE_EXCEEDED})
"""What never leads to another attempt: no failure of an attempt, or one that was asked for."""

PROGRAMS_OWN = frozenset({Reason.NON_ZERO_EXIT, Reason.SIGNALLED, Reason.OOM_KILLED, Reason.START_ERROR})
"""The failures of the program itself: its container ran, or could not run for a reason of its own, and ended. All others
are the cluster's, and `retries` counts the two apart."""


def is_programs_own(reason: str | None) -> bool:
    """Whether an end for this reason is the program's own failure, not one of the cluster around it."""
    return reason in PROGRAMS_OWN


def hint(reason: str | None, message: str | None = None) -> str | None:
    """What a person can do about it, by the reason and the words of the message that goes with it; null for no reason or
    one that is only the cluster's."""
    try:
        known = Reason(reason or "")
    except ValueError:
        return None
    for special in HINTS_BY_WORDS.get(known, ()):
        if any(words in (message or "") for words in special.words):
            return special.advice
    return HINTS[known]
