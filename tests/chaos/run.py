"""One chaos run: server, relay, watchers, jobs and faults, and what is left to look at when all of it has settled."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dev.cluster import Cluster
from spark_jobs.client import Client
from spark_jobs.client.contact import Contact
from spark_jobs.client.logs import LogOptions
from spark_jobs.domain.errors import JobNotFound, NotCancellable, ServerUnreachable, SparkError
from spark_jobs.domain.job import Job, JobEvent
from tests.cases.relayed import flags_for, relay
from tests.chaos import faults, jobs
from tests.chaos.checks import Seen
from tests.chaos.faults import Breaker
from tests.chaos.jobs import Planned
from tests.e2e import kube
from tests.e2e.server import Server
from tests.fakes.passing import pass_by

SETTLE = 240.0
CLEAN = 60.0
_IMAGE_GRACE = "5"


class Wish(NamedTuple):
    """What a run is made from; the same wish makes the same jobs and the same faults."""

    seed: int
    seconds: float
    jobs: int
    slots: int


class Run:
    """One run. ``home`` is where the server keeps its data, and its log and what was watched are left; the cluster is the
    run's own."""

    def __init__(self, wish: Wish, cluster: Cluster, home: Path) -> None:
        self._wish = wish
        self._cluster = cluster
        self._home = home
        rng = random.Random(wish.seed)
        self._planned = jobs.plan(rng, wish.jobs, wish.seconds * 0.8)
        self._faults = faults.plan(rng, wish.seconds)
        self._told: list[JobEvent] = []
        self._submitted: list[str] = []
        self._slowest = 0.0
        self._all_told = asyncio.Event()

    async def run(self) -> tuple[Seen, Mapping[str, int]]:
        """Carry it out; what was seen, and how often each fault came."""
        with ExitStack() as stack:
            where = stack.enter_context(kube.namespace())
            pods = stack.enter_context(kube.watching("pods", where))
            objects = stack.enter_context(kube.watching("jobs", where))
            between, kubeconfig = stack.enter_context(relay(self._home))
            limits = ("--max-concurrent-jobs", str(self._wish.slots), "--image-grace", _IMAGE_GRACE)
            server = Server(self._home, *flags_for(where, kubeconfig, *limits))
            stack.callback(self._keep, server, pods, objects)
            server.start()
            stack.callback(lambda: server.runs and server.end())
            breaker = Breaker(server, between, self._cluster, (pods, objects))
            ended, logs = await self._flow(server, breaker)
            left = await asyncio.to_thread(_left, pods, objects)
        seen = Seen(
            planned=self._planned,
            jobs=ended,
            logs=logs,
            told=self._told,
            pods=pods.events,
            objects=objects.events,
            left=left,
            deleted=breaker.deleted,
            slots=self._wish.slots,
            errors=server.unexpected(),
            slowest=self._slowest,
        )
        return seen, breaker.done

    def _keep(self, server: Server, pods: kube.Watcher, objects: kube.Watcher) -> None:
        """What a person needs who asks why, beside the server's data."""
        (self._home / "server.log").write_text("\n".join(server.lines), encoding="utf-8")
        (self._home / "pods.json").write_text(json.dumps(pods.events), encoding="utf-8")
        (self._home / "jobs.json").write_text(json.dumps(objects.events), encoding="utf-8")

    async def _flow(
        self, server: Server, breaker: Breaker
    ) -> tuple[dict[str, Job | None], dict[tuple[str, int], bytes]]:
        """Submit, cancel and break at the planned times; then wait for the ends and read the logs."""
        async with Client(server.url) as client:
            background = [asyncio.create_task(self._follow(client)), asyncio.create_task(self._read(client, breaker))]
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(breaker.run(self._faults))
                    tasks.create_task(self._submit(client, tasks))
                deadline = time.monotonic() + SETTLE
                jobs = {planned.id: await _end(client, planned.id, deadline) for planned in self._planned}
                logs = {
                    (job.id, attempt.attempt): await _log(client, job.id, attempt.attempt)
                    for job in jobs.values()
                    if job is not None
                    for attempt in job.attempts
                }
                await self._told_all()
            finally:
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
        return jobs, logs

    async def _submit(self, client: Client, tasks: asyncio.TaskGroup) -> None:
        began = time.monotonic()
        for planned in self._planned:
            await pass_by(began + planned.at - time.monotonic())
            await client.submit(planned.spec, timeout=SETTLE)
            self._submitted.append(planned.id)
            if planned.cancel_after is not None:
                tasks.create_task(_cancel(client, planned))

    async def _follow(self, client: Client) -> None:
        ended: set[str] = set()
        async for event in client.events(after=0, contact=Contact(SETTLE)):
            self._told.append(event)
            if event.target.is_terminal:
                ended.add(event.job_id)
            if len(ended) == len(self._planned):
                self._all_told.set()

    async def _told_all(self) -> None:
        """The follower may be a little behind: wait for it, but not for ever."""
        try:
            async with asyncio.timeout(10):
                await self._all_told.wait()
        except TimeoutError:
            return  # what it was not told is seen by the checks

    async def _read(self, client: Client, breaker: Breaker) -> None:
        """Read one job after the other, as clients do, and measure the slowest answer of a server that was there."""
        for number in itertools.count():
            if self._submitted and breaker.serving:
                began = time.monotonic()
                try:
                    await client.get(self._submitted[number % len(self._submitted)])
                except ServerUnreachable:
                    continue  # it was ended in between
                finally:
                    await pass_by(0.2)
                if breaker.serving:
                    self._slowest = max(self._slowest, time.monotonic() - began - 0.2)
            else:
                await pass_by(0.2)


async def _cancel(client: Client, planned: Planned) -> None:
    """Cancel it, once the server is there to hear of it."""
    assert planned.cancel_after is not None
    await pass_by(planned.cancel_after)
    contact = Contact(SETTLE)
    while True:
        try:
            await client.cancel(planned.id)
        except NotCancellable:
            return  # it was over before
        except SparkError as error:
            await contact.lost(error)
        else:
            return


async def _end(client: Client, job_id: str, deadline: float) -> Job | None:
    """The job once it is over, or as it is at the deadline; null if the server does not know it."""
    try:
        return await client.wait(job_id, timeout=max(0.1, deadline - time.monotonic()))
    except TimeoutError:
        return await client.get(job_id)
    except JobNotFound:
        return None


async def _log(client: Client, job_id: str, attempt: int) -> bytes:
    return b"".join([part async for part in client.logs(job_id, LogOptions(attempt=attempt))])


def _left(pods: kube.Watcher, objects: kube.Watcher) -> list[str]:
    """What is still there a while after the last job's end."""
    deadline = time.monotonic() + CLEAN
    for watcher in (objects, pods):
        try:
            watcher.until(partial(_is_empty, watcher), seconds=max(1.0, deadline - time.monotonic()))
        except AssertionError:
            continue
    return [*objects.left(), *pods.left()]


def _is_empty(watcher: kube.Watcher, _events: object) -> bool:
    return watcher.left() == []
