"""What the watches show, held by claim: the memory behind every observation that needs no request.

An object belongs to the claim that it was first known by, or by which its uid is known. People edit annotations; an
object that has lost its claim is none the less what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import msgspec

from spark_jobs.cluster.base import AttemptRef, Observation, PodSeen, Refusal, Terminated
from spark_jobs.cluster.objects import JobObject, PodObject, choose_pod

_MOST_DELETED = 1000

T = TypeVar("T", JobObject, PodObject)


class Shelf(Generic[T]):
    """The objects of one kind. ``changed(claim)`` is called when what an object shows is no longer the same."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._by_namespace: dict[str, dict[str, T]] = {}
        self._by_claim: dict[str, dict[str, T]] = {}
        self._claims: dict[str, str] = {}
        self._last: dict[str, list[T]] = {}

    def of(self, claim: str) -> list[T]:
        """The objects that belong to this claim."""
        return list(self._by_claim.get(claim, {}).values())

    def last(self, claim: str) -> list[T]:
        """What the objects of this claim were like when the watch saw them deleted; of the latest deletes only."""
        return self._last.get(claim, [])

    def claims(self, namespace: str) -> set[str]:
        """The claims of the objects in a namespace."""
        return {self._claims[uid] for uid in self._by_namespace.get(namespace, {})}

    def claim_of(self, item: T) -> str:
        """The claim that an object belongs to: the one that it carries, where it is not known by another one."""
        return self._claims.get(item.metadata.uid or "") or item.metadata.claim

    def adopt(self, namespace: str, uid: str | None, claim: str) -> None:
        """The object with this uid, if it is held, belongs to this claim, whatever it carries."""
        item = self._by_namespace.get(namespace, {}).get(uid or "")
        if uid is not None and item is not None and self._claims[uid] != claim:
            self._drop(namespace, uid)
            self._file(namespace, item, claim)

    def __iter__(self) -> Iterator[T]:
        """All objects."""
        return (each for held in self._by_namespace.values() for each in held.values())

    def put(self, namespace: str, item: T) -> None:
        """An object as it is now, unless a newer state of it is held."""
        before = self._by_namespace.get(namespace, {}).get(item.metadata.uid or "")
        if before is None or _version(before) <= _version(item):
            self._keep(namespace, item, before)

    def _keep(self, namespace: str, item: T, before: T | None) -> None:
        uid, claim = item.metadata.uid or "", self.claim_of(item)
        if before is not None and self._claims[uid] != claim:
            self._drop(namespace, uid)
            before = None
        self._file(namespace, item, claim, before)

    def _file(self, namespace: str, item: T, claim: str, before: T | None = None) -> None:
        uid = item.metadata.uid or ""
        self._claims[uid] = claim
        self._by_namespace.setdefault(namespace, {})[uid] = item
        self._by_claim.setdefault(claim, {})[uid] = item
        if before is None and claim in self._last:  # it is back: only its labels were away
            self._last[claim] = [each for each in self._last[claim] if each.metadata.uid != uid]
        if before is None or before.seen() != item.seen():
            self._changed(claim)

    def delete(self, namespace: str, item: T) -> None:
        """An object that was deleted, as it was then: its end may have come and gone between two looks at it."""
        claim = self.claim_of(item)
        before = self._last.pop(claim, [])
        self._last[claim] = before + [item]  # noqa: RUF005 - a list display loses the type
        if len(self._last) > _MOST_DELETED:
            del self._last[next(iter(self._last))]
        self._drop(namespace, item.metadata.uid or "")

    def _drop(self, namespace: str, uid: str) -> None:
        if self._by_namespace.get(namespace, {}).pop(uid, None) is None:
            return
        claim = self._claims.pop(uid)
        same_claim = self._by_claim.get(claim, {})
        same_claim.pop(uid, None)
        if not same_claim:
            self._by_claim.pop(claim, None)
        self._changed(claim)

    def replace(self, namespace: str, items: Iterable[T], version: str) -> None:
        """All objects of a namespace as a list of that resourceVersion has them. One that was created later than the
        list, and is known from the answer to the create, stays."""
        listed = {item.metadata.uid or "": item for item in items}
        held = self._by_namespace.get(namespace, {})
        for uid in [uid for uid, item in held.items() if uid not in listed and _version(item) <= number(version)]:
            self._drop(namespace, uid)
        for item in listed.values():
            self.put(namespace, item)

    def restart(self, namespace: str, items: Iterable[T]) -> None:
        """As :meth:`replace`, where the versions of what is held mean nothing any more: the cluster's are older now."""
        listed = {item.metadata.uid or "": item for item in items}
        held = dict(self._by_namespace.get(namespace, {}))
        for uid in held.keys() - listed.keys():
            self._drop(namespace, uid)
        for uid, item in listed.items():
            self._keep(namespace, item, held.get(uid))


class Index:
    """Jobs, pods and refusals of all attempts that the watches show. ``now``: seconds of a steady clock."""

    def __init__(self, changed: Callable[[str], None], now: Callable[[], float]) -> None:
        self.jobs: Shelf[JobObject] = Shelf(self._job_changed)
        self.pods: Shelf[PodObject] = Shelf(self._pod_changed)
        self.unready_nodes: frozenset[str] = frozenset()
        self._changed = changed
        self._now = now
        self._names: dict[tuple[str, str], str] = {}
        self._name_of: dict[str, tuple[str, str]] = {}
        self._podless: dict[str, tuple[str, float]] = {}
        self._refusals: dict[str, Refusal] = {}
        self._deleted_alive: dict[str, None] = {}

    def owns(self, ref: AttemptRef, item: JobObject | PodObject) -> bool:
        """Whether an object is the attempt's, by what is known of its uid, else by its claim."""
        claim = self.jobs.claim_of(item) if isinstance(item, JobObject) else self.pods.claim_of(item)
        return claim == ref.claim or (item.metadata.uid or "") in (ref.uid, ref.released)

    def observe(self, ref: AttemptRef, *, current: bool) -> Observation:
        """What is held of an attempt."""
        self.jobs.adopt(ref.namespace, ref.uid, ref.claim)
        self.pods.adopt(ref.namespace, ref.released, ref.claim)
        job = next(iter(self.jobs.of(ref.claim)), None)
        pod = choose_pod(self.pods.of(ref.claim), ref.released)
        last = choose_pod(self.pods.last(ref.claim), ref.released) if pod is None else None
        claim_of_name = self._names.get((ref.namespace, ref.name), ref.claim)
        return Observation(
            current=current,
            job=job.seen() if job else None,
            pod=self.shown(pod) if pod else None,
            last_pod=self.shown(last) if last else None,
            refusal=self._refusals.get(ref.claim),
            foreign=claim_of_name != ref.claim,
        )

    def shown(self, pod: PodObject) -> PodSeen:
        """The pod, with what is known of its node, and of the order in which it was deleted and ended."""
        seen = pod.seen()
        return msgspec.structs.replace(
            seen,
            version=pod.metadata.resource_version,
            node_ready=seen.node not in self.unready_nodes,
            deleted_alive=seen.uid in self._deleted_alive,
        )

    def claims(self, namespace: str) -> set[str]:
        """Every claim that something in the namespace belongs to."""
        return self.jobs.claims(namespace) | self.pods.claims(namespace)

    def strangers(self, known: Callable[[str], bool]) -> list[str]:
        """Names of objects whose claim nobody knows."""
        jobs = {job.metadata.name or "" for job in self.jobs if not known(self.jobs.claim_of(job))}
        return sorted(jobs | {pod.metadata.name or "" for pod in self.pods if not known(self.pods.claim_of(pod))})

    def has_running_pods(self) -> bool:
        """Whether any pod is on a node and not over."""
        return any(seen.node is not None and not seen.over for seen in (pod.seen() for pod in self.pods))

    def set_unready_nodes(self, names: frozenset[str]) -> None:
        """The nodes that do not answer now."""
        differ = names ^ self.unready_nodes
        self.unready_nodes = names
        for claim in {self.pods.claim_of(pod) for pod in self.pods if pod.spec and pod.spec.node_name in differ}:
            self._changed(claim)

    def podless(self, seconds: float) -> dict[str, set[str]]:
        """By namespace, the uids of Jobs that have had no pod for so long."""
        found: dict[str, set[str]] = {}
        for claim, (namespace, since) in self._podless.items():
            if self._now() - since >= seconds:
                found.setdefault(namespace, set()).update(job.metadata.uid or "" for job in self.jobs.of(claim))
        return found

    def refuse(self, refusals: dict[str, Refusal]) -> None:
        """Why there is no pod, by the Job's uid."""
        for claim in list(self._podless):
            for job in self.jobs.of(claim):
                refusal = refusals.get(job.metadata.uid or "")
                if refusal is not None and self._refusals.get(claim) != refusal:
                    self._refusals[claim] = refusal
                    self._changed(claim)

    def _job_changed(self, claim: str) -> None:
        jobs = self.jobs.of(claim)
        for job in jobs:
            name = job.metadata.namespace or "", job.metadata.name or ""
            self._names[name], self._name_of[claim] = claim, name
        if not jobs:
            self._forget(claim)
        elif not self.pods.of(claim) and claim not in self._podless:
            self._podless[claim] = (jobs[0].metadata.namespace or "", self._now())
        self._changed(claim)

    def _pod_changed(self, claim: str) -> None:
        for pod in self.pods.of(claim):
            seen = pod.seen()
            if seen.deleted_at is not None and not seen.over and not isinstance(seen.container, Terminated):
                self._deleted_alive[seen.uid] = None
        while len(self._deleted_alive) > _MOST_DELETED:
            del self._deleted_alive[next(iter(self._deleted_alive))]
        self._podless.pop(claim, None)
        self._refusals.pop(claim, None)
        self._changed(claim)

    def _forget(self, claim: str) -> None:
        self._podless.pop(claim, None)
        self._refusals.pop(claim, None)
        if (name := self._name_of.pop(claim, None)) is not None and self._names.get(name) == claim:
            del self._names[name]


def _version(item: JobObject | PodObject) -> int:
    return number(item.metadata.resource_version)


def number(version: str | None) -> int:
    """Kubernetes' resourceVersions are numbers that grow, in every store there is; anything else counts as oldest."""
    return int(version) if version and version.isdigit() else 0
