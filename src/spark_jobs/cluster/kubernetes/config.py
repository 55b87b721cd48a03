"""What the Kubernetes cluster needs to be told, and what it tells the metrics."""

from __future__ import annotations

from typing import Protocol

import msgspec


class KubernetesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``kubeconfig``: a path; null takes what `kubectl` would take, or the pod's own account. ``context``: null is the
    kubeconfig's current one. ``namespaces``: the first is the default; empty takes the context's own.

    ``qps`` requests a second on average (0: no limit), ``burst`` at once. ``ttl_seconds``: how long a finished Job may
    stay when nobody deletes it. ``stall_bound``: at most so many seconds a watch can mislead before a list sets it right.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    qps: float = 20.0
    burst: int = 30
    ttl_seconds: int = 86_400
    stall_bound: float = 60.0


class ClusterMetrics(Protocol):
    """What is counted about requests to Kubernetes; all times are seconds."""

    def kubernetes_request(self, verb: str, code: int | str, seconds: float | None = None) -> None:
        """A request was answered; ``code`` is the HTTP status, or a word where there was none."""

    def limiter_waited(self, seconds: float) -> None:
        """A request waited this long for the limiter."""

    def watch_restarted(self, kind: str) -> None:
        """A watch over ``jobs`` or ``pods`` was opened again."""

    def unexpected_error(self, where: str) -> None:
        """Something that should not happen did."""


class NoMetrics:
    """Counts nothing."""

    def kubernetes_request(self, verb: str, code: int | str, seconds: float | None = None) -> None:
        """See :class:`ClusterMetrics`."""

    def limiter_waited(self, seconds: float) -> None:
        """See :class:`ClusterMetrics`."""

    def watch_restarted(self, kind: str) -> None:
        """See :class:`ClusterMetrics`."""

    def unexpected_error(self, where: str) -> None:
        """See :class:`ClusterMetrics`."""
