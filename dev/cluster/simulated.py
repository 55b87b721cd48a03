"""Nodes and pods that kwok plays: what it does at which moment, and the node objects themselves. Pure.

A simulated pod of a Job ends at once with exit code 0, unless the first words of its command say otherwise:
`sleep SECONDS` takes that long, `false` ends with 1.
"""

import json
from typing import Any

# All words of the first container's command, as kwok's jq expressions see them.
_WORDS = ".spec.containers[0] | ((.command // []) + (.args // []))"
_SLEEP = f'{_WORDS} | if (.[0] // "") == "sleep" then .[1] + "s" else "0s" end'
_FAILS = f'{_WORDS} | if (.[0] // "") == "false" then "yes" else "no" end'

_NODE_READY = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
addresses:
- type: Hostname
  address: localhost
daemonEndpoints:
  kubeletEndpoint:
    Port: {{ NodePort }}
phase: Running
"""

_POD_RUNNING = """
{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
conditions:
{{ range (list "PodReadyToStartContainers" "Initialized" "Ready" "ContainersReady") }}
- type: {{ . | Quote }}
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  containerID: {{ printf "kwok://%s" .name | Quote }}
  ready: true
  started: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
"""

_POD_ENDED = """
{{ $now := Now }}
{{ $started := .status.startTime }}
phase: PHASE
conditions:
{{ range (list "Ready" "ContainersReady") }}
- type: {{ . | Quote }}
  status: "False"
  reason: PodCompleted
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  containerID: {{ printf "kwok://%s" .name | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: CODE
      reason: REASON
      startedAt: {{ $started | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
"""

LOG = """\
2024-01-01T00:00:00.000000001Z stdout F simulated line 1
2024-01-01T00:00:00.000000002Z stdout F simulated line 2
"""
"""What every simulated container wrote, in the format of the kubelet's files."""


def config(log_file: str) -> str:
    """kwok's configuration: stages of nodes and pods, and the log that every pod has."""
    alive = _when(".metadata.deletionTimestamp", "DoesNotExist")
    of_job = _when(".metadata.ownerReferences.[].kind", "In", "Job")
    running = [alive, of_job, _when(".status.phase", "In", "Running")]
    is_ready = '.status.conditions.[] | select(.type == "Ready") | .status'
    sleeping = {"durationFrom": {"expressionFrom": _SLEEP}}
    beat = {"durationMilliseconds": 600_000, "jitterDurationMilliseconds": 610_000}
    documents = [
        _stage("node-initialize", "Node", [_when(is_ready, "NotIn", "True")], _NODE_READY),
        _stage("node-heartbeat", "Node", [_when(is_ready, "In", "True")], _NODE_READY, beat),
        _stage("pod-ready", "Pod", [alive, _when(".status.phase", "In", "Pending")], _POD_RUNNING),
        _stage(
            "pod-succeed", "Pod", [*running, _when(_FAILS, "In", "no")], _ended("Succeeded", 0, "Completed"), sleeping
        ),
        _stage("pod-fail", "Pod", [*running, _when(_FAILS, "In", "yes")], _ended("Failed", 1, "Error")),
        _stage("pod-delete", "Pod", [_when(".metadata.deletionTimestamp", "Exists")], None),
        {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "ClusterLogs",
            "metadata": {"name": "all"},
            "spec": {"logs": [{"logsFile": log_file, "follow": False}]},
        },
    ]
    return "---\n".join(json.dumps(document, indent=1) + "\n" for document in documents)


def node(number: int) -> dict[str, Any]:
    """One simulated node, with room for 1,000 pods."""
    name = f"simulated-{number}"
    room = {"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "simulated"},
        },
        "status": {"allocatable": room, "capacity": room},
    }


def _ended(phase: str, code: int, reason: str) -> str:
    return _POD_ENDED.replace("PHASE", phase).replace("CODE", str(code)).replace("REASON", reason)


def _when(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _stage(
    name: str, kind: str, when: list[dict[str, Any]], status: str | None, delay: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What happens to objects of a kind that match `when`; no status means that the object is deleted."""
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": when},
        "next": {"delete": True} if status is None else {"statusTemplate": status},
    }
    if delay:
        spec["delay"] = delay
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}
