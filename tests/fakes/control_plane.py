"""A scripted API server behind which a Job controller and a node act: Jobs get pods, pods run as their command says.

Commands: ``run SECONDS [CODE]`` prints `begin`, runs, prints `end` and ends; ``stubborn SECONDS`` does not heed TERM;
``polite SECONDS`` ends with 0 on TERM; ``never`` does not start, ``later SECONDS`` not before it may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

from aiohttp import web

from tests.fakes.answering import Json, begin, send, status
from tests.fakes.api_server import ApiServer
from tests.fakes.seeing import name_in

POD_AFTER, START_AFTER = 0.1, 0.4
"""Seconds from a Job to its pod, and from there to its container's start."""

GONE_AFTER, CONDITION_AFTER, HALT_AFTER = 1.0, 2.0, 0.5
"""Seconds from a deleted pod's end to its absence; from a pod's end to its Job's condition; from a deadline to TERM."""

OVER_AFTER = 0.2
"""Seconds from the news of a container's own end to that of its pod's."""

TERM, KILL = 143, 137


class Pace(NamedTuple):
    """How clocks differ: the API server's and the node's, each minus the tests' own."""

    api: timedelta = timedelta()
    node: timedelta = timedelta()


class Kubernetes(ApiServer):
    """Its clock goes with the event loop's. ``pods_ever`` and ``most_alive`` say how many pods there were;
    ``tells_after``: so many seconds after a container's own end its node tells of it."""

    def __init__(self, pace: Pace | None = None) -> None:
        super().__init__()
        self.pace = pace or Pace()
        self.lives: dict[str, Life] = {}
        self.pods_ever: list[str] = []
        self.most_alive = 0
        self.orphans_stay = False
        self.refuses_pods = False
        self.tells_after = 0.0
        self.zone = timedelta()
        self._loop = asyncio.get_running_loop()
        self._epoch = time.time() - self._loop.time()
        self._tasks: set[asyncio.Task[None]] = set()
        self.clock = lambda: self.now() + self.pace.api

    def now(self) -> datetime:
        """The time, without any clock's error."""
        return datetime.fromtimestamp(self._epoch + self._loop.time(), UTC)

    def create(self, resource: str, item: Json) -> web.StreamResponse:
        """Store it; a Job is acted on."""
        made = super().create(resource, item)
        if resource == "jobs" and made.status == 201:
            self.soon(self._run(self.objects["jobs"][item["metadata"]["name"]]))
        return made

    def make_pods(self) -> None:
        """For the Jobs whose pods were refused."""
        made = {life.job["metadata"]["name"] for life in self.lives.values()}
        for name, job in self.objects["jobs"].items():
            if name not in made:
                self.soon(self._run(job))

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in the background, until the server ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def alive(self) -> int:
        """How many pods are not over."""
        return sum(pod["status"]["phase"] not in ("Succeeded", "Failed") for pod in self.objects["pods"].values())

    def job_of(self, job_id: str) -> Json:
        """The Job of a job's last attempt, where there is one."""
        return [job for job in self.objects["jobs"].values() if _job_id(job) == job_id][-1]

    def life_of(self, job_id: str) -> Life:
        """The pod of a job's last attempt, gone or not."""
        return [life for life in self.lives.values() if life.job_id == job_id][-1]

    async def _run(self, job: Json) -> None:
        name = job["metadata"]["name"]
        await asyncio.sleep(POD_AFTER)
        if (
            self.refuses_pods
            or name not in self.objects["jobs"]
            or "deletionTimestamp" in self.objects["jobs"][name]["metadata"]
        ):
            return
        life = self._life(job, "pod")
        await life.run()
        await asyncio.sleep(CONDITION_AFTER)
        if (left := self.objects["jobs"].get(name)) is not None and not life.gone.is_set():
            succeeded = life.phase == "Succeeded"
            kinds = ("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed")
            self.put("jobs", {**left, "status": {"conditions": [{"type": kind, "status": "True"} for kind in kinds]}})

    def make_another_pod(self, job_id: str) -> Life:
        """As a Job controller does that starts anew and has not seen the first one."""
        life = self._life(self.job_of(job_id), "second-pod")
        self.soon(life.run())
        return life

    def _life(self, job: Json, kind: str) -> Life:
        life = Life(self, job, kind)
        self.lives[life.name] = life
        self.pods_ever.append(life.name)
        return life

    def put(self, resource: str, item: Json) -> Json:
        """Make or change an object."""
        item = super().put(resource, item)
        if resource == "pods":
            self.most_alive = max(self.most_alive, self.alive())
        return item

    def deleted(self, resource: str, item: Json, options: Json) -> None:
        """In the foreground the pods go first, else the Job goes at once and its pods a moment later."""
        name = item["metadata"]["name"]
        if resource == "pods":
            self.lives[name].delete()
        elif options.get("propagationPolicy") == "Foreground":
            self.soon(self._foreground(item))
        else:
            self.remove(resource, name)
            self.soon(self._collect_garbage(name))

    async def _foreground(self, job: Json) -> None:
        name = job["metadata"]["name"]
        at = stamp(self.now() + self.pace.api, self.zone)
        self.put("jobs", {**job, "metadata": {**job["metadata"], "deletionTimestamp": at}})
        for life in self._lives_of(name):
            life.delete()
            await life.gone.wait()
        if name in self.objects["jobs"]:
            self.remove("jobs", name)

    async def _collect_garbage(self, job_name: str) -> None:
        await asyncio.sleep(GONE_AFTER)
        if not self.orphans_stay:
            for life in self._lives_of(job_name):
                life.delete()

    def _lives_of(self, job_name: str) -> list[Life]:
        """The pods that go with a Job: not one that has lost its owner."""
        pods = self.objects["pods"]
        free = {name for name, pod in pods.items() if pod["metadata"].get("ownerReferences") == []}
        lives = self.lives.values()
        return [life for life in lives if life.job["metadata"]["name"] == job_name and life.name not in free]

    def patched(self, resource: str, item: Json, patch: Json) -> None:
        """A deadline on a pod ends it and keeps it; one without gates is placed."""
        life = self.lives[item["metadata"]["name"]]
        if "activeDeadlineSeconds" in patch["spec"]:
            life.halt()
        if not item["spec"].get("schedulingGates"):
            life.placed.set()

    async def log(self, request: web.Request) -> web.StreamResponse:
        """What the pod's container has printed, and with `follow` what it prints until its end."""
        name = name_in(request.path)
        life = self.lives.get(name)
        if life is None or name not in self.objects["pods"]:
            return status(404, f'pods "{name}" not found', "NotFound")
        if not life.started.is_set():
            return status(400, f'container "main" in pod "{name}" is waiting to start: ContainerCreating')
        response = await begin(request)
        sent = life.first_since(request.query.get("sinceTime"))
        while True:
            over, news = life.over.is_set(), life.news
            for line in life.lines[sent:]:
                await send(response, line)
            sent = len(life.lines)
            if over or "follow" not in request.query:
                return response
            await news.wait()

    async def close(self) -> None:
        """Everybody stops acting."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Life:
    """One pod, from its creation until it is gone."""

    def __init__(self, kubernetes: Kubernetes, job: Json, kind: str) -> None:
        self.job = job
        self.name = f"{job['metadata']['name']}-{kind}"
        self.lines: list[bytes] = []
        self.phase = "Pending"
        self.started, self.over, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.news = asyncio.Event()
        self.job_id = _job_id(job)
        self._kubernetes = kubernetes
        self.annotations: dict[str, str] = {}
        self.may_start, self.placed, self._stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._own_code: int | None = None
        self._halted = False
        self._deleted_at: datetime | None = None
        self._began: datetime | None = None
        spec = job["spec"]["template"]["spec"]
        self._word, *self._words = spec["containers"][0]["command"]
        self._grace = float(spec.get("terminationGracePeriodSeconds", 30))
        self._gates = spec.get("schedulingGates", [])

    async def run(self) -> None:
        """From creation to the container's end."""
        self.show({})
        if not await self._starts():
            self._end_as("Failed", {})
            return
        self._began = self._now()
        self.started.set()
        self.phase = "Running"
        self.print("begin")
        self.show({"running": {"startedAt": self._stamp(self._began)}})
        code = await self._run_container()
        end = {"exitCode": code, "startedAt": self._stamp(self._began), "finishedAt": self._stamp(self._now())}
        if self._kubernetes.tells_after and not self._halted:
            await asyncio.sleep(self._kubernetes.tells_after)
            self.show({"terminated": end})
            await asyncio.sleep(OVER_AFTER)
        self._end_as("Failed" if code or self._halted else "Succeeded", {"terminated": end})

    async def _starts(self) -> bool:
        """Whether its container starts before it is stopped."""
        if self._gates:
            await _first(self._stop, self.placed)
            if self._stop.is_set():
                return False
        self.placed.set()
        self.show({})
        if self._word == "never":
            await self._stop.wait()
        elif self._word == "later":
            await _first(self._stop, self.may_start)
        else:
            await _happens(self._stop, START_AFTER)
        return not self._stop.is_set()

    async def _run_container(self) -> int:
        by_itself = not await _happens(self._stop, float(self._words[0])) or self._own_code is not None
        if by_itself:
            self._halted = False
            self.print("end")
            return self._own_code or (int(self._words[1]) if len(self._words) > 1 else 0)
        if self._word == "stubborn":
            await asyncio.sleep(self._grace)
            return KILL
        return 0 if self._word == "polite" else TERM

    def _end_as(self, phase: str, state: Json) -> None:
        self.phase = phase
        self.over.set()
        self.ring()
        self.show(state)
        if self._deleted_at is not None:
            self._kubernetes.soon(self._go())

    def finish(self, code: int = 0) -> None:
        """Its program ends now, by itself."""
        self._own_code = code
        self._stop.set()

    def delete(self) -> None:
        """Somebody deletes it."""
        if self.name not in self._kubernetes.objects["pods"]:
            self.gone.set()
        elif self._deleted_at is None:
            self._delete()

    def _delete(self) -> None:
        self._deleted_at = self._kubernetes.now() + self._kubernetes.pace.api + timedelta(seconds=self._grace)
        self.show(self._kubernetes.objects["pods"][self.name]["status"]["containerStatuses"][0]["state"])
        self._stop.set()
        if self.over.is_set():
            self._kubernetes.soon(self._go())

    def halt(self) -> None:
        """Its deadline is over."""

        async def act() -> None:
            await asyncio.sleep(HALT_AFTER)
            if not self.over.is_set():
                self._halted = True
                self._stop.set()

        self._kubernetes.soon(act())

    async def _go(self) -> None:
        await asyncio.sleep(GONE_AFTER)
        if self.name in self._kubernetes.objects["pods"]:
            self._kubernetes.remove("pods", self.name)
        self.gone.set()

    def show(self, state: Json) -> None:
        """Write it down as it is now."""
        template, meta = self.job["spec"]["template"]["metadata"], self.job["metadata"]
        marks = self._kubernetes.objects["pods"].get(self.name, {"metadata": template})["metadata"]
        metadata = {"name": self.name, "uid": f"uid-{self.name}", "namespace": meta["namespace"]}
        metadata |= {"labels": marks["labels"], "annotations": marks["annotations"] | self.annotations}
        metadata["ownerReferences"] = marks.get("ownerReferences", [{"uid": meta["uid"]}])
        if self._deleted_at is not None:
            metadata["deletionTimestamp"] = self._stamp(self._deleted_at)
        shown: Json = {"phase": self.phase, "containerStatuses": [{"name": "main", "state": state}]}
        if self._halted and self.over.is_set():
            shown |= {"reason": "DeadlineExceeded", "message": "Pod was active on the node longer than the deadline"}
        spec = {} if self._word == "never" else {"nodeName": "node-1"}
        if not self.placed.is_set():
            spec = {"schedulingGates": self._gates}
        self._kubernetes.put("pods", {"metadata": metadata, "spec": spec, "status": shown})

    def print(self, text: str) -> None:
        """The container prints a line."""
        now = self._now()
        self.lines.append(f"{_in_zone(now, self._kubernetes.zone, '%Y-%m-%dT%H:%M:%S.%f')} {text}\n".encode())
        self.ring()

    @property
    def text(self) -> str:
        """What it has printed."""
        return b"".join(line.partition(b" ")[2] for line in self.lines).decode()

    def first_since(self, since: str | None) -> int:
        """The number of lines before this time."""
        if since is None:
            return 0
        bound = datetime.fromisoformat(since)
        return sum(datetime.fromisoformat(line.split(b" ")[0].decode()) < bound for line in self.lines)

    def _stamp(self, at: datetime) -> str:
        return stamp(at, self._kubernetes.zone)

    def _now(self) -> datetime:
        return self._kubernetes.now() + self._kubernetes.pace.node

    def ring(self) -> None:
        """Its lines have changed."""
        self.news.set()
        self.news = asyncio.Event()


def stamp(at: datetime, zone: timedelta = timedelta()) -> str:
    """A time in whole seconds, as Kubernetes shows it."""
    return _in_zone(at, zone, "%Y-%m-%dT%H:%M:%S")


def _in_zone(at: datetime, zone: timedelta, how: str) -> str:
    if not zone:
        return f"{at:{how}}Z"
    local = at.astimezone(timezone(zone))
    return f"{local:{how}}{local:%z}"[:-2] + ":" + f"{local:%z}"[-2:]


def _job_id(job: Json) -> str:
    return str(job["metadata"]["annotations"]["spark-jobs.dev/job-id"])


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _happens(event: asyncio.Event, within: float) -> bool:
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True
