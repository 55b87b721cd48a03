"""From settings to parts: which store, which cluster, what policy."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

import msgspec

from spark_jobs.app.core import Parts, utc_now
from spark_jobs.cluster.base import Cluster
from spark_jobs.cluster.fake import FakeCluster
from spark_jobs.config import Settings
from spark_jobs.domain.errors import MissingExtra, SettingError
from spark_jobs.engine.settings import EngineSettings
from spark_jobs.metrics import Metrics
from spark_jobs.service import Policy
from spark_jobs.sinks.address import FolderAddress, SinkAddress
from spark_jobs.sinks.base import Sink
from spark_jobs.sinks.folder import FolderSink
from spark_jobs.store.sql import SqlStore

if TYPE_CHECKING:
    from spark_jobs.cluster.kubernetes import KubernetesConfig

_PROMPT = 0.05
"""Seconds between a delete and the look whether it is done, where nothing can appear late."""


def choose(settings: Settings) -> Parts:
    """The parts that these settings ask for; nothing is opened yet. Raises CredentialsError, SettingError."""
    metrics = Metrics()
    cluster, namespaces, limiter_wait = _cluster(settings, metrics)
    return Parts(
        store=SqlStore(settings.data_dir, clock=utc_now),
        cluster=cluster,
        policy=_policy(settings, namespaces),
        rules=_rules(settings, namespaces),
        metrics=metrics,
        instance=settings.instance,
        sink=None if settings.log_sink is None else sink_at(settings.log_sink),
        limiter_wait=limiter_wait,
    )


def choose_fake(settings: Settings, cluster: object, *, in_memory: bool) -> Parts:
    """The parts around a fake cluster, or around a new one for ``fake``. Its clock is everybody's, so that time may be
    virtual, and nothing is waited for that only a real cluster needs. Raises SettingError for anything else.
    """
    if cluster == "fake":
        cluster = FakeCluster()
    if not isinstance(cluster, FakeCluster):
        text = "cluster: write kubernetes, local or fake, or give a FakeCluster of spark_jobs.testing"
        raise SettingError(text, setting="cluster")
    return Parts(
        store=SqlStore(None if in_memory else settings.data_dir, clock=cluster.clock),
        cluster=cluster,
        policy=msgspec.structs.replace(_policy(settings, ()), command_required=False),
        rules=msgspec.structs.replace(_rules(settings, ()), gone_pause=_PROMPT),
        metrics=Metrics(),
        instance=settings.instance,
        clock=cluster.clock,
    )


def _cluster(settings: Settings, metrics: Metrics) -> tuple[Cluster, tuple[str, ...], Callable[[], float]]:
    """The cluster, the namespaces that jobs may use there, and how to ask how long requests wait for its limiter."""
    # A cluster is imported when it is asked for: the library starts faster without the other one's packages.
    if settings.cluster == "local":
        from spark_jobs.cluster.local import LocalCluster

        return LocalCluster(settings.data_dir / "local", clock=utc_now), (), lambda: 0.0
    from spark_jobs.cluster.kubernetes import KubernetesCluster

    cluster = KubernetesCluster(kubernetes_config(settings), clock=utc_now, metrics=metrics)
    return cluster, cluster.namespaces, cluster.limiter_wait


def kubernetes_config(settings: Settings) -> KubernetesConfig:
    """How to reach Kubernetes."""
    from spark_jobs.cluster.kubernetes import KubernetesConfig

    return KubernetesConfig(
        kubeconfig=settings.kubeconfig,
        context=settings.context,
        namespaces=settings.namespace,
        qps=settings.kube_qps,
        burst=settings.kube_burst,
        ttl_seconds=int(EngineSettings().ttl),
    )


def sink_at(address: SinkAddress) -> Sink:
    """The sink at an address; nothing is sent yet. Raises MissingExtra, SettingError."""
    if isinstance(address, FolderAddress):
        return FolderSink(address.path)
    try:
        from spark_jobs.sinks.s3 import S3Sink
    except ImportError as error:
        text = "an object store as log sink needs more packages: pip install 'spark-jobs[server,s3]'"
        raise MissingExtra(text, setting="log_sink") from error
    return S3Sink(address)


def _policy(settings: Settings, namespaces: tuple[str, ...]) -> Policy:
    return Policy(
        defaults=settings.defaults(namespaces[0] if namespaces else None),
        limits=settings.job_limits,
        namespaces=namespaces,
        command_required=settings.cluster == "local",
        queue_size=settings.queue_size,
        slots=settings.max_concurrent_jobs,
    )


def _rules(settings: Settings, namespaces: tuple[str, ...]) -> EngineSettings:
    return EngineSettings(
        slots=settings.max_concurrent_jobs,
        gone_pause=_PROMPT if settings.cluster == "local" else EngineSettings().gone_pause,
        default_namespace=namespaces[0] if namespaces else "default",
        image_grace=settings.image_grace,
        keep_objects=settings.keep_objects,
        keep_failed_objects=settings.keep_failed_objects,
        retain_jobs=inf if settings.retain_jobs is None else settings.retain_jobs,
        retain_logs=inf if settings.retain_logs is None else settings.retain_logs,
        max_log_bytes=settings.max_log_bytes,
        log_cap=settings.log_cap,
        archive=settings.log_sink is not None,
    )
