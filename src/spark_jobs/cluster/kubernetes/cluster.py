"""Kubernetes behind the cluster's contract: requests in, observations out; what they mean is the engine's affair."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta

from spark_jobs.cluster.base import (
    AttemptRef,
    Created,
    CreateRefused,
    CreateUnknown,
    Health,
    LogLines,
    Observation,
    PodSeen,
)
from spark_jobs.cluster.kubernetes.absence import Absence
from spark_jobs.cluster.kubernetes.access import AccessCheck, check_access, rbac_manifest, server_version
from spark_jobs.cluster.kubernetes.config import ClusterMetrics, KubernetesConfig, NoMetrics
from spark_jobs.cluster.kubernetes.credentials import Credentials, load_credentials
from spark_jobs.cluster.kubernetes.events import pod_events
from spark_jobs.cluster.kubernetes.index import Index
from spark_jobs.cluster.kubernetes.informer import Source
from spark_jobs.cluster.kubernetes.limiter import Limiter
from spark_jobs.cluster.kubernetes.logs import read_log
from spark_jobs.cluster.kubernetes.requests import Requests
from spark_jobs.cluster.kubernetes.rounds import Rounds
from spark_jobs.cluster.kubernetes.transport import Transport
from spark_jobs.cluster.kubernetes.views import Views
from spark_jobs.domain.errors import ClusterUnavailable
from spark_jobs.domain.job import PodEvent
from spark_jobs.domain.spec import JobSpec


class KubernetesCluster:
    """Runs attempts as Kubernetes Jobs. For use in one event loop."""

    name = "kubernetes"

    def __init__(
        self,
        config: KubernetesConfig,
        *,
        clock: Callable[[], datetime],
        metrics: ClusterMetrics | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics or NoMetrics()
        self._credentials = credentials
        self._transport: Transport | None = None
        self._parts: _Parts | None = None
        self._stopped = Health(reachable=False, since=clock(), problem="not asked yet")

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that jobs may use; the first is the default.

        Raises:
            CredentialsError: the settings name none, and there is no kubeconfig to take one from.
        """
        return self._config.namespaces or (self._login().namespace,)

    async def start(self, instance: str, changed: Callable[[str], None]) -> None:
        """See the contract."""
        self._parts = _Parts(self._connect(), instance, changed, self._config, self._metrics)
        self._parts.views.of(self.namespaces[0])

    async def stop(self) -> None:
        """See the contract."""
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.stop()
        transport, self._transport = self._transport, None
        if transport is not None:
            self._stopped = transport.contact.health()
            await transport.close()

    async def create(self, ref: AttemptRef, spec: JobSpec) -> Created | CreateRefused | CreateUnknown:
        """See the contract. One POST; an answer that the name is taken is settled by looking whose it is."""
        return await self._running().requests.create(ref, spec)

    def observe(self, ref: AttemptRef) -> Observation:
        """See the contract."""
        parts = self._parts
        if parts is None:
            return Observation(current=False)
        return parts.views.of(ref.namespace).observe(ref)

    async def look(self, ref: AttemptRef) -> Observation:
        """See the contract."""
        return await self._running().requests.look(ref)

    async def release(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """See the contract. The pod's scheduling gate is taken off."""
        return await self._running().requests.release(ref, pod)

    async def halt(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """See the contract. The pod gets a deadline that is over: Kubernetes ends it with its grace and keeps its log."""
        return await self._running().requests.halt(ref, pod)

    async def delete(self, ref: AttemptRef, *, over: bool, idle: PodSeen | None = None) -> bool:
        """See the contract. An idle pod goes first, with its resourceVersion as the precondition."""
        requests = self._running().requests
        if idle is not None and not await requests.withdraw(ref, idle):
            return False
        await requests.delete(ref, over=over)
        return True

    async def gone(self, ref: AttemptRef) -> bool:
        """See the contract."""
        return await self._running().absence.is_gone(ref)

    async def events(self, ref: AttemptRef, pod: str) -> list[PodEvent]:
        """See the contract."""
        return await pod_events(self._running().transport, ref.namespace, pod)

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        """See the contract."""
        transport = self._running().transport
        async for lines in read_log(transport, ref.namespace, pod, since_ns=since_ns, follow=follow):
            yield lines

    def health(self) -> Health:
        """See the contract."""
        return self._transport.contact.health() if self._transport else self._stopped

    def clock_offset(self) -> timedelta:
        """See the contract."""
        return self._transport.contact.clock_offset() if self._transport else timedelta()

    def limiter_wait(self) -> float:
        """Seconds that a request would wait for the limiter now."""
        return self._connect().limiter.wait()

    def strangers(self, known: Callable[[str], bool]) -> list[str]:
        """See the contract."""
        return self._parts.index.strangers(known) if self._parts else []

    async def check_access(self) -> list[AccessCheck]:
        """What the account may do, permission by permission; works without :meth:`start`.

        Raises:
            CredentialsError, ClusterUnavailable, ClusterForbidden: it could not be asked.
        """
        return await check_access(self._connect(), self.namespaces)

    async def server_version(self) -> str:
        """The version of Kubernetes; works without :meth:`start`.

        Raises:
            CredentialsError, ClusterUnavailable, ClusterForbidden: it could not be asked.
        """
        return await server_version(self._connect())

    def rbac_manifest(self) -> dict[str, object]:
        """The objects that give an account what Spark needs in these namespaces, as one List."""
        return rbac_manifest(self.namespaces)

    def _login(self) -> Credentials:
        if self._credentials is None:
            self._credentials = load_credentials(self._config)
        return self._credentials

    def _connect(self) -> Transport:
        if self._transport is None:
            limiter = Limiter(self._config.qps, self._config.burst, waited=self._metrics.limiter_waited)
            self._transport = Transport(self._login(), limiter, self._metrics, clock=self._clock)
        return self._transport

    def _running(self) -> _Parts:
        if self._parts is None:
            raise ClusterUnavailable("the cluster is not watched: it was stopped, or not started yet")
        return self._parts


class _Parts:
    """What there is between start and stop."""

    def __init__(
        self,
        transport: Transport,
        instance: str,
        changed: Callable[[str], None],
        config: KubernetesConfig,
        metrics: ClusterMetrics,
    ) -> None:
        self.transport = transport
        self.index = Index(changed, asyncio.get_running_loop().time)
        self.views = Views(Source(transport, instance, metrics, config.stall_bound), self.index, changed)
        self.requests = Requests(transport, instance, self.index, ttl_seconds=config.ttl_seconds)
        self.absence = Absence(transport, instance)
        self._rounds = asyncio.create_task(Rounds(transport, self.index, metrics).run(), name="rounds")

    async def stop(self) -> None:
        """End every task."""
        self._rounds.cancel()
        await asyncio.gather(self._rounds, return_exceptions=True)
        await self.views.stop()
