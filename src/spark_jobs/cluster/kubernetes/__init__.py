"""Kubernetes as a cluster: credentials, requests behind one limiter, shared watches, logs."""

from spark_jobs.cluster.kubernetes.access import AccessCheck, rbac_manifest
from spark_jobs.cluster.kubernetes.cluster import KubernetesCluster
from spark_jobs.cluster.kubernetes.config import ClusterMetrics, KubernetesConfig
from spark_jobs.cluster.kubernetes.credentials import Credentials, load_credentials

__all__ = [
    "AccessCheck",
    "ClusterMetrics",
    "Credentials",
    "KubernetesCluster",
    "KubernetesConfig",
    "load_credentials",
    "rbac_manifest",
]
