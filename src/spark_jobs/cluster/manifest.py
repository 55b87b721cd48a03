"""From a JobSpec to the Kubernetes Job that runs it: pure, and the only place that writes one.

The objects are plain dicts in Kubernetes' own words, ready for JSON.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import AttemptRef
from spark_jobs.domain.spec import EnvFrom, JobSpec, KeyRef, Volume, limit_seconds

GPU = "nvidia.com/gpu"
SHORTEST_TTL = 3600
NET_MARGIN = 600.0
NO_START_LIMIT = 86_400.0

_LARGEST_SECONDS = 2**31 - 1
_JOB_ID_ENV = "SPARK_JOB_ID"
_ATTEMPT_ENV = "SPARK_JOB_ATTEMPT"

Json = dict[str, Any]


def job_manifest(ref: AttemptRef, spec: JobSpec, *, instance: str, ttl_seconds: int) -> Json:
    """The Job object of one attempt. ``ttl_seconds``: how long a finished Job may stay when nobody deletes it (at least
    an hour)."""
    labels = marks.kubernetes_labels(spec.labels) | marks.own_labels(instance, ref)
    annotations = _annotations(ref, spec)
    pod_net, job_net = deadline_nets(spec)
    job_spec: Json = {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": max(ttl_seconds, SHORTEST_TTL),
        "template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": _pod_spec(ref, spec, pod_net),
        },
    }
    if job_net is not None:
        job_spec["activeDeadlineSeconds"] = job_net
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": ref.name, "namespace": ref.namespace, "labels": labels, "annotations": annotations},
        "spec": job_spec,
    }


def deadline_nets(spec: JobSpec) -> tuple[int | None, int | None]:
    """The pod's and the Job's ``activeDeadlineSeconds``, nets for the case that nobody is there to enforce the limits;
    null where the job has no time limit.

    The pod's counts from the moment the node accepts the pod, so it must leave room for pulling the image: ten minutes,
    or as long as the job may take to start. The Job's counts from its creation and takes the pod's log with it, so it is
    for pods that never reach a node and comes after the other one in every case.
    """
    timeout = limit_seconds(spec.timeout)
    if timeout is None:
        return None, None
    start = limit_seconds(spec.start_timeout)
    start = NO_START_LIMIT if start is None else start
    pod_net = timeout + max(start, NET_MARGIN)
    return _whole_seconds(pod_net), _whole_seconds(start + pod_net)


def _whole_seconds(seconds: float) -> int:
    return min(math.ceil(seconds), _LARGEST_SECONDS)


def _annotations(ref: AttemptRef, spec: JobSpec) -> dict[str, str]:
    annotations = {marks.CLAIM: ref.claim, marks.JOB_ID: ref.job_id}
    if spec.name is not None:
        annotations[marks.JOB_NAME] = spec.name
    if spec.labels:
        annotations[marks.LABELS] = msgspec.json.encode(spec.labels, order="sorted").decode()
    return annotations


def _pod_spec(ref: AttemptRef, spec: JobSpec, net: int | None) -> Json:
    pod: Json = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        # A Job controller that starts anew may make a second pod for a Job whose first one it has not seen yet. No pod is
        # placed before Spark takes this gate off it, which it does for one pod of an attempt.
        "schedulingGates": [{"name": marks.GATE}],
        # As process 1 of its own namespace a program without a handler for TERM does not hear it: a plain `sleep` would
        # outlive its time limit by the whole grace. Sharing the pod's namespace makes TERM end it, and reaps zombies.
        "shareProcessNamespace": True,
        "containers": [_container(ref, spec)],
    }
    if spec.service_account is None:
        pod["automountServiceAccountToken"] = False
    if spec.volumes:
        pod["volumes"] = [_volume(index, volume) for index, volume in enumerate(spec.volumes)]
    optional: Json = {
        "activeDeadlineSeconds": net,
        "terminationGracePeriodSeconds": _grace(spec.termination_grace),
        "serviceAccountName": spec.service_account,
        "nodeSelector": spec.node_selector or None,
        "tolerations": [msgspec.to_builtins(toleration) for toleration in spec.tolerations] or None,
        "runtimeClassName": spec.runtime_class,
        "priorityClassName": spec.priority_class,
        "imagePullSecrets": [{"name": name} for name in spec.image_pull_secrets] or None,
        "securityContext": _pod_security(spec) or None,
    }
    return pod | _given(optional)


def _grace(seconds: float | None) -> int | None:
    return None if seconds is None else _whole_seconds(seconds)


def _container(ref: AttemptRef, spec: JobSpec) -> Json:
    container: Json = {
        "name": marks.CONTAINER,
        "image": spec.image,
        "env": _env(ref, spec),
        "terminationMessagePolicy": "File",
    }
    optional: Json = {
        "command": _literal_words(spec.command),
        "args": _literal_words(spec.args),
        "workingDir": spec.working_dir,
        "imagePullPolicy": spec.image_pull_policy,
        "envFrom": [_env_from(source) for source in spec.env_from] or None,
        "volumeMounts": [_mount(index, volume) for index, volume in enumerate(spec.volumes)] or None,
        "resources": _resources(spec) or None,
        "securityContext": _container_security(spec) or None,
    }
    return container | _given(optional)


def _given(optional: Json) -> Json:
    return {key: value for key, value in optional.items() if value is not None}


def _literal(text: str) -> str:
    """Kubernetes expands ``$(NAME)``; ``$$`` is its way to write one ``$``."""
    return text.replace("$", "$$")


def _literal_words(words: list[str] | None) -> list[str] | None:
    return None if words is None else [_literal(word) for word in words]


def _env(ref: AttemptRef, spec: JobSpec) -> list[Json]:
    ours = {_JOB_ID_ENV: ref.job_id, _ATTEMPT_ENV: str(ref.attempt)}
    users = [_variable(name, value) for name, value in spec.env.items() if name not in ours]
    return [{"name": name, "value": value} for name, value in ours.items()] + users


def _variable(name: str, value: str | KeyRef) -> Json:
    if isinstance(value, str):
        return {"name": name, "value": _literal(value)}
    if value.field is not None:
        source: Json = {"fieldRef": {"fieldPath": value.field}}
    elif value.secret is not None:
        source = {"secretKeyRef": {"name": value.secret, "key": value.key}}
    else:
        source = {"configMapKeyRef": {"name": value.config_map, "key": value.key}}
    return {"name": name, "valueFrom": source}


def _env_from(source: EnvFrom) -> Json:
    if source.secret is not None:
        return {"secretRef": {"name": source.secret}}
    return {"configMapRef": {"name": source.config_map}}


def _volume(index: int, volume: Volume) -> Json:
    if volume.pvc is not None:
        source: Json = {"persistentVolumeClaim": {"claimName": volume.pvc}}
    elif volume.secret is not None:
        source = {"secret": {"secretName": volume.secret}}
    elif volume.config_map is not None:
        source = {"configMap": {"name": volume.config_map}}
    else:
        scratch = volume.empty_dir
        source = {"emptyDir": _given({"medium": scratch.medium, "sizeLimit": scratch.size}) if scratch else {}}
    return {"name": _volume_name(index), **source}


def _mount(index: int, volume: Volume) -> Json:
    mount: Json = {"name": _volume_name(index), "mountPath": volume.mount}
    if volume.read_only:
        mount["readOnly"] = True
    if volume.sub_path is not None:
        mount["subPath"] = volume.sub_path
    return mount


def _volume_name(index: int) -> str:
    return f"volume-{index}"


def _resources(spec: JobSpec) -> Json:
    requests = dict(spec.resources.requests) if spec.resources else {}
    limits = dict(spec.resources.limits) if spec.resources else {}
    if spec.cpu is not None:
        requests["cpu"] = spec.cpu
    if spec.memory is not None:
        requests["memory"] = limits["memory"] = spec.memory
    if spec.gpu is not None:
        limits[GPU] = spec.gpu
    return _given({"requests": requests or None, "limits": limits or None})


def _pod_security(spec: JobSpec) -> Json:
    context: Json = _given({"runAsUser": spec.run_as_user, "runAsGroup": spec.run_as_group, "fsGroup": spec.fs_group})
    if spec.security_profile in ("baseline", "restricted"):
        context["seccompProfile"] = {"type": "RuntimeDefault"}
    if spec.security_profile == "restricted":
        context["runAsNonRoot"] = True
    return context


def _container_security(spec: JobSpec) -> Json:
    context: Json = _given({"readOnlyRootFilesystem": spec.read_only_root})
    if spec.security_profile == "restricted":
        context["allowPrivilegeEscalation"] = False
        context["capabilities"] = {"drop": ["ALL"]}
    return context
