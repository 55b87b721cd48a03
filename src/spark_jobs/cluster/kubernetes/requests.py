"""The requests about one attempt: create, look, halt, delete. Nothing is touched that does not carry its claim."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from spark_jobs import journal
from spark_jobs.cluster import marks
from spark_jobs.cluster.base import (
    AttemptRef,
    Created,
    CreateRefused,
    CreateUnknown,
    Observation,
    PodSeen,
)
from spark_jobs.cluster.kubernetes.answers import Answer, create_failure
from spark_jobs.cluster.kubernetes.events import note_refusals
from spark_jobs.cluster.kubernetes.index import Index
from spark_jobs.cluster.kubernetes.limiter import Priority
from spark_jobs.cluster.kubernetes.listing import JOBS, PODS, list_all
from spark_jobs.cluster.kubernetes.transport import Call, Transport
from spark_jobs.cluster.kubernetes.unlabelled import bring_back
from spark_jobs.cluster.manifest import job_manifest
from spark_jobs.cluster.objects import JobObject, Owner, PodObject, choose_pod
from spark_jobs.domain.errors import ClusterError, ClusterForbidden, ClusterUnavailable
from spark_jobs.domain.reasons import Reason
from spark_jobs.domain.spec import JobSpec

log = journal.logger(__name__)

_SERVER_LIMIT = "10s"
_NAME_RETRY = 1.0
_STOP_NOW = 1
_RELEASES_AT_ONCE = 4
"""Each that is sent beside others needs a connection of its own, which stays open for a while."""


class Requests:
    """Sends them, and puts what they answer into the index, where the watches will bring the same a little later."""

    def __init__(self, transport: Transport, instance: str, index: Index, *, ttl_seconds: int) -> None:
        self._transport = transport
        self._instance = instance
        self._index = index
        self._ttl_seconds = ttl_seconds
        self._releases = asyncio.Semaphore(_RELEASES_AT_ONCE)

    async def create(self, ref: AttemptRef, spec: JobSpec) -> Created | CreateRefused | CreateUnknown:
        """See the contract."""
        manifest = job_manifest(ref, spec, instance=self._instance, ttl_seconds=self._ttl_seconds)
        call = Call(
            verb="create",
            path=JOBS.path(ref.namespace),
            what=f"create job {ref.name}",
            priority=Priority.CREATE,
            params={"timeout": _SERVER_LIMIT},
            body=msgspec.json.encode(manifest),
        )
        try:
            answer = await self._transport.call(call)
            if answer.ok:
                return self._created(ref, JOBS.read(answer))
            if answer.code == 409 and answer.status.reason == "AlreadyExists":
                return await self._settle_conflict(ref)
        except ClusterError as error:
            if isinstance(error, ClusterUnavailable):
                return CreateUnknown(message=error.message, retry_after=error.retry_after)
            # A refusal is about this one request: the creates behind it are not held back.
            return CreateUnknown(message=error.message, everywhere=False)
        return create_failure(answer)

    def _created(self, ref: AttemptRef, job: JobObject) -> Created:
        self._index.jobs.put(ref.namespace, job)
        return Created(uid=job.metadata.uid or "")

    async def _settle_conflict(self, ref: AttemptRef) -> Created | CreateRefused | CreateUnknown:
        """The name is taken: by an earlier POST of ours, or by somebody else, perhaps not for long."""
        job = await self._get(ref)
        if job is not None and self._index.owns(ref, job):
            return self._created(ref, job)
        if job is None or job.metadata.deletion_timestamp is not None:
            text = f"the name {ref.name} is just being given up by another object"
            return CreateUnknown(message=text, retry_after=_NAME_RETRY, everywhere=False)
        text = f"a Job named {ref.name} that is not Spark's is in namespace {ref.namespace}"
        return CreateRefused(reason=Reason.NAME_CONFLICT, message=text)

    async def look(self, ref: AttemptRef) -> Observation:
        """See the contract."""
        job = await self._get(ref)
        pods = await self._pods(ref)
        ours = job if job is not None and self._index.owns(ref, job) else None
        pod = choose_pod([pod for pod in pods if self._index.owns(ref, pod)], ref.released)
        pod = pod or await bring_back(self._transport, self._instance, self._index, ref)
        if ours is not None and pod is None and ref.released is None:
            with contextlib.suppress(ClusterForbidden):  # an account may well not see events: job and pods were seen
                await note_refusals(self._transport, ref.namespace, self._index)
        return Observation(
            current=True,
            job=ours.seen() if ours else None,
            pod=self._index.shown(pod) if pod else None,
            foreign=job is not None and ours is None,
        )

    async def _pods(self, ref: AttemptRef) -> list[PodObject]:
        """What has the attempt's labels."""
        selector = marks.attempt_selector(self._instance, ref)
        pods, _ = await list_all(self._transport, PODS, ref.namespace, {"labelSelector": selector})
        return pods

    async def release(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """See the contract."""
        # As a merge by name, so that gates that others have put there stay theirs.
        gates = [{"$patch": "delete", "name": marks.GATE}]
        call = Call(
            verb="patch",
            path=_path(ref, pod),
            what=f"release pod {pod.name}",
            priority=Priority.CREATE,
            body=msgspec.json.encode({"metadata": {"uid": pod.uid}, "spec": {"schedulingGates": gates}}),
            media_type="application/strategic-merge-patch+json",
        )
        async with self._releases:
            answer = await self._transport.call(call)
        if answer.code in (404, 409):
            return False
        if not answer.ok:
            raise answer.error()
        self._index.pods.put(ref.namespace, PODS.read(answer))
        return True

    async def withdraw(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """Delete a pod as it was seen; false if it has changed since."""
        preconditions = {"uid": pod.uid, "resourceVersion": pod.version}
        try:
            answer = await self._delete(_path(ref, pod), preconditions, "Background", Priority.STOP)
        except ClusterForbidden as error:
            log.warning("may not delete a pod, deleting its job instead", problem=error.message)
            return True
        if answer.code != 409:
            return True
        for newer in await self._pods(ref):
            self._index.pods.put(ref.namespace, newer)
        return False

    async def halt(self, ref: AttemptRef, pod: PodSeen) -> bool:
        """See the contract."""
        patch = {"metadata": {"uid": pod.uid}, "spec": {"activeDeadlineSeconds": _STOP_NOW}}
        call = Call(
            verb="patch",
            path=_path(ref, pod),
            what=f"stop pod {pod.name}",
            priority=Priority.STOP,
            body=msgspec.json.encode(patch),
            media_type="application/merge-patch+json",
        )
        answer = await self._transport.call(call)
        if answer.ok:
            return True
        error = answer.error()
        if isinstance(error, ClusterUnavailable) and answer.code not in (400, 404, 409, 422):
            raise error
        return False

    async def delete(self, ref: AttemptRef, *, over: bool) -> None:
        """See the contract."""
        priority = Priority.CLEAN if over else Priority.STOP
        uid, owner = ref.uid or await self._uid(ref), None
        if uid is not None:
            path = f"{JOBS.path(ref.namespace)}/{ref.name}"
            answer = await self._delete(path, {"uid": uid}, "Background" if over else "Foreground", priority)
            owner = Owner(uid=uid) if answer.ok else None
        # Pods that do not go with it are still ours: somebody deleted the Job alone, or took the labels off its pod, so
        # that the Job controller let that go.
        for pod in self._index.pods.of(ref.claim):
            if pod.metadata.deletion_timestamp is None and owner not in (pod.metadata.owner_references or []):
                path = f"{PODS.path(ref.namespace)}/{pod.metadata.name}"
                await self._delete(path, {"uid": pod.metadata.uid or ""}, "Background", priority)

    async def _delete(
        self, path: str, preconditions: dict[str, str | None], propagation: str, priority: Priority
    ) -> Answer:
        """Not there (404) is no error, and neither is another object of that name (409), which is not ours to touch."""
        options = {"propagationPolicy": propagation, "preconditions": preconditions}
        call = Call(
            verb="delete",
            path=path,
            what=f"delete {path.rpartition('/')[2]}",
            priority=priority,
            body=msgspec.json.encode(options),
        )
        answer = await self._transport.call(call)
        if not answer.ok and answer.code not in (404, 409):
            raise answer.error()
        return answer

    async def _uid(self, ref: AttemptRef) -> str | None:
        job = await self._get(ref)
        return job.metadata.uid if job is not None and self._index.owns(ref, job) else None

    async def _get(self, ref: AttemptRef) -> JobObject | None:
        """The Job that has the attempt's name, whosever it is."""
        call = Call(
            verb="get",
            path=f"{JOBS.path(ref.namespace)}/{ref.name}",
            what=f"get job {ref.name}",
            priority=Priority.WATCH,
        )
        answer = await self._transport.call(call)
        if answer.code == 404:
            return None
        if not answer.ok:
            raise answer.error()
        return JOBS.read(answer)


def _path(ref: AttemptRef, pod: PodSeen) -> str:
    return f"{PODS.path(ref.namespace)}/{pod.name}"
