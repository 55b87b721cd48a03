"""The cluster that is this machine: a process for each attempt, for development and tests without Kubernetes.

The image is not used: the command runs as the server's own user, with what this machine has installed, in a session and
a working folder of its own and a clean environment. Nothing isolates it from the machine, and limits of CPU and memory,
placement and security settings have no effect. What refers to objects of Kubernetes (secrets, config maps, volumes) is
refused.

An attempt ends with its server. What a killed server has left running is ended by the next one's start.
"""

from spark_jobs.cluster.local.cluster import LocalCluster

__all__ = ["LocalCluster"]
