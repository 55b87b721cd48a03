"""JobService: the one door behind every interface. It writes jobs and wishes to the store and reads from it; it never
talks to a cluster, so a cluster that is away slows nobody here (invariant 9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec

from spark_jobs.bus import EVERY_JOB, Bus
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.defaults import Defaults, fill
from spark_jobs.domain.errors import AttemptNotFound, Draining, Fault, InvalidSpec, JobNotFound, NotRetryable
from spark_jobs.domain.ids import new_job_id
from spark_jobs.domain.job import Attempt, Job, JobEvent, LogState
from spark_jobs.domain.limits import JobLimits, check_limits
from spark_jobs.domain.parse import parse_spec
from spark_jobs.domain.plain import digest, mask
from spark_jobs.domain.schedule import Outlook, SlotUse, Waiting
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.domain.spec import JobSpec
from spark_jobs.logs import LogBook
from spark_jobs.search.query import LogSearch
from spark_jobs.search.searches import LogSearches
from spark_jobs.store.base import JobFilter, JobPage, LogChunk, NewJob, QueueBound, ServiceStore, Submitted

SHOWN = 20
"""How many of the jobs that wait the queue shows."""

EVENTS_AT_ONCE = 8
"""So many events are held for a reader, who may be slow."""

LOOK_AGAIN = 60.0
"""Seconds after which a reader of one job's events looks whether the job is still there."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What this installation gives to and asks of every job.

    ``namespaces``: those that jobs may run in, the first by default (empty: the cluster knows none).
    """

    defaults: Defaults
    limits: JobLimits = JobLimits()
    namespaces: tuple[str, ...] = ()
    command_required: bool = False
    queue_size: int = 10_000
    slots: int = 5


class ClusterNow(msgspec.Struct, frozen=True, kw_only=True):
    """What the service is told of the cluster. ``limiter_wait``: seconds that a request would wait for the limiter;
    ``away_since``: since when the cluster does not answer, null while it does."""

    limiter_wait: float = 0.0
    away_since: datetime | None = None


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """The queue as users see it. ``oldest_wait`` and ``limiter_wait`` are seconds; ``waiting`` are the first that wait,
    in the order in which they will be started; ``lost`` of the running ones are slots that are held for what may still
    run on a node that does not answer."""

    depth: int
    backoff: int
    capacity: int
    running: int
    slots: int
    oldest_wait: float | None
    paused: bool
    limiter_wait: float
    waiting: list[Waiting] = []
    lost: int = 0


class LogPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of one attempt's log, as stored; one without bytes says where what comes of that attempt begins."""

    attempt: int
    chunk: LogChunk


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """What to read of a job's log: from byte ``offset``, the last ``tail`` lines, or the lines ``since``; of the latest
    attempt, of one, or of all, one after the other: then ``tail`` and ``since`` are of each that there is now.

    ``timestamps``: with the time of each line; else the pieces have none, which is less work.
    """

    attempt: int | None = None
    all_attempts: bool = False
    follow: bool = False
    offset: int = 0
    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False


WHOLE_LOG = LogPart()


class LogExtent(msgspec.Struct, frozen=True, kw_only=True):
    """How much of an attempt's log is stored now. ``settled``: nothing can be added any more; ``awaited``: a reader would
    wait for the rest, since the attempt is over and its log is still being collected. ``created_at`` is the job's."""

    created_at: datetime
    attempt: int
    bytes: int
    settled: bool
    awaited: bool

    @property
    def version(self) -> str:
        """Differs whenever the log does; an id may name another job later."""
        end = "all" if self.settled else "growing"
        return f"{self.created_at:%y%m%d%H%M%S%f}-{self.attempt}-{self.bytes}-{end}"


class JobService:
    """Submit, get, list, cancel, retry, wait, logs: every interface calls this and nothing else."""

    def __init__(
        self,
        store: ServiceStore,
        logs: LogBook,
        bus: Bus,
        policy: Policy,
        *,
        clock: Callable[[], datetime],
        cluster: Callable[[], ClusterNow] = ClusterNow,
    ) -> None:
        self._store = store
        self._logs = logs
        self._searches = LogSearches(store, logs)
        self._bus = bus
        self._policy = policy
        self._clock = clock
        self._cluster = cluster
        self._draining = False

    def drain(self) -> None:
        """Take no new work from now on, and let every waiting reader return."""
        self._draining = True
        self._searches.stop()
        self._bus.ring_all()

    @property
    def draining(self) -> bool:
        """Whether :meth:`drain` was called."""
        return self._draining

    async def submit(self, body: object, *, idempotency_key: str | None = None) -> Submitted:
        """Accept one job, described by plain objects (as JSON gives them).

        Raises:
            InvalidSpec, IdConflict, IdempotencyConflict, QueueFull, Draining: nothing was stored.
        """
        [submitted] = await self._store_jobs([self._prepare(body, "#", idempotency_key)])
        return submitted

    async def submit_batch(self, bodies: Sequence[object]) -> Sequence[Submitted]:
        """Accept all jobs or none; faults are named by ``#/jobs/INDEX/...``. Raises as :meth:`submit`."""
        faults: list[Fault] = []
        jobs: list[NewJob] = []
        if len(bodies) > self._policy.queue_size:
            raise InvalidSpec(
                [Fault("#/jobs", f"{len(bodies)} jobs can never fit a queue of {self._policy.queue_size}", "too_many")]
            )
        for index, body in enumerate(bodies):
            try:
                jobs.append(self._prepare(body, f"#/jobs/{index}", None))
            except InvalidSpec as error:
                faults.extend(error.faults)
        if faults:
            raise InvalidSpec(faults)
        return await self._store_jobs(jobs)

    async def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """The job; with ``wait``, as soon as it is over or after that many seconds. While it is QUEUED, with the time at
        which it is expected to start, if that can be known.

        Raises:
            JobNotFound: there is none.
        """
        if wait is None:
            return await self._shown(job_id)
        deadline = asyncio.get_running_loop().time() + wait
        with self._bus.subscribe(job_id) as changed:
            while True:
                job = await self._shown(job_id)
                left = deadline - asyncio.get_running_loop().time()
                if job.state.is_terminal or left <= 0 or self._draining:
                    return job
                await changed.wait(left)

    async def _shown(self, job_id: str) -> Job:
        job, standing = await self._store.standing(job_id)
        if standing is not None:
            outlook = self._outlook(standing.use, paused=standing.paused)
            job = msgspec.structs.replace(job, estimated_start_at=outlook.start_of(standing.place))
        return mask_job(job)

    def _outlook(self, use: SlotUse, *, paused: bool) -> Outlook:
        """What is known now of when jobs will start."""
        away = self._cluster().away_since
        return Outlook(now=self._clock(), slots=self._policy.slots, use=use, paused=paused, away_since=away)

    async def list(self, which: JobFilter, *, page_size: int = 50, after: int | None = None) -> JobPage:
        """A page of jobs, newest first, without attempts and env."""
        return await self._store.list(which, page_size=page_size, after=after)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a queued job now, ask a started one to stop. Raises JobNotFound, NotCancellable."""
        return mask_job(await self._store.request_cancel(job_id, self._clock()))

    async def retry(self, job_id: str) -> Job:
        """A new job with the same spec. Raises JobNotFound, NotRetryable, InvalidSpec, QueueFull, Draining.

        The limits of today count, which may be others than those of the day when the job was submitted.
        """
        old = await self._store.get(job_id)
        if not old.state.is_terminal:
            raise NotRetryable(f"job {job_id} is {old.state}: only a job that is over can be retried")
        spec = msgspec.structs.replace(await self._store.submitted_spec(job_id), id=None)
        self._check(spec, "#")
        [submitted] = await self._store_jobs([self._new_job(spec, digest(spec), None, retry_of=job_id)])
        return submitted.job

    async def delete(self, job_id: str) -> None:
        """Forget a job that is over, with its log. Raises JobNotFound, NotDeletable."""
        await self._store.delete(job_id)
        self._bus.ring(job_id)

    async def queue(self) -> QueueView:
        """The queue now."""
        status = await self._store.queue_status(first=SHOWN)
        outlook = self._outlook(status.use, paused=status.paused)
        oldest = status.oldest_created_at
        return QueueView(
            depth=status.depth,
            backoff=status.backoff,
            capacity=self._policy.queue_size,
            running=status.running,
            slots=self._policy.slots,
            oldest_wait=max(0.0, (outlook.now - oldest).total_seconds()) if oldest else None,
            paused=status.paused,
            limiter_wait=self._cluster().limiter_wait,
            waiting=[outlook.of(each, position) for position, each in enumerate(status.first, 1)],
            lost=status.lost,
        )

    async def set_paused(self, paused: bool) -> QueueView:
        """Pause or resume starts; durable. Running jobs go on."""
        await self._store.set_paused(paused)
        return await self.queue()

    async def event_place(self, after: int | None, job_id: str | None) -> int:
        """Where a reader begins who asks for events after ``after``, null: from now on. Raises EventsGone."""
        if after is None:
            return await self._store.last_event()
        await self._store.events(after, job_id=job_id, limit=1)
        return after

    async def events(self, *, after: int | None = None, job_id: str | None = None) -> AsyncIterator[JobEvent]:
        """State changes as they are committed, after ``after`` (null: from now on, 0: all that are kept), until draining;
        those of one job until it is deleted.

        Raises:
            EventsGone: some events after that number are no longer kept.
        """
        with self._bus.subscribe(job_id or EVERY_JOB) as changed:
            seen = await self.event_place(after, job_id)
            while not self._draining:
                events = await self._store.events(seen, job_id=job_id, limit=EVENTS_AT_ONCE)
                for event in events:
                    seen = event.seq
                    yield event
                if events:
                    continue
                if job_id is not None and not await self._exists(job_id):
                    return
                # A job that is forgotten for its age rings nothing.
                await changed.wait(None if job_id is None else LOOK_AGAIN)

    async def _exists(self, job_id: str) -> bool:
        try:
            await self._store.get(job_id)
        except JobNotFound:
            return False
        return True

    async def logs(self, job_id: str, part: LogPart = WHOLE_LOG) -> AsyncIterator[LogPiece]:
        """The part of the stored log, in small pieces.

        With ``follow``, on through later attempts until the job is over and its log settled; without, what there is now
        (after waiting for a finished attempt's log that is still being collected).

        Raises:
            JobNotFound, AttemptNotFound: there is none, or it was deleted while it was read.
        """
        job = await self._store.get(job_id)
        number = 1 if part.all_attempts else _chosen(job, part.attempt)
        there, offset = max(len(job.attempts), number), part.offset
        while True:
            key = AttemptKey(job_id, number)
            if number <= there:  # later ones are read from their beginning
                offset = max(offset, await self._logs.seek(key, tail=part.tail, since=part.since))
            yield LogPiece(attempt=number, chunk=LogChunk(offset=offset, line=0, data=b"", stamps=()))
            done = partial(self._log_done, key, part.follow)
            async for chunk in self._logs.stream(key, offset=offset, times=part.timestamps, done=done):
                yield LogPiece(attempt=number, chunk=chunk)
            goes_on = part.all_attempts or (part.follow and part.attempt is None)
            if not goes_on or len((await self._store.get(job_id)).attempts) <= number:
                return
            number, offset = number + 1, 0

    async def log_extent(self, job_id: str, attempt: int | None = None) -> LogExtent:
        """How much there is now of the log that :meth:`logs` would give. Raises JobNotFound, AttemptNotFound."""
        job = await self._store.get(job_id)
        number = _chosen(job, attempt)
        found = _attempt_of(job, number)
        collecting = not job.state.is_terminal if found is None else found.log.state is LogState.COLLECTING
        return LogExtent(
            created_at=job.created_at,
            attempt=number,
            bytes=await self.log_end(job_id, number),  # read last: what is settled can't have grown since
            settled=not collecting,
            awaited=collecting and found is not None and found.state.is_terminal,
        )

    def search(self, query: LogSearch) -> AsyncGenerator[LogMatch | SearchProgress, None]:
        """What is found in stored logs, as it is found: jobs newest first, attempts newest first, lines in their order.

        Says how far it is at least every two seconds, and once more as the last. Close the iterator to stop it.

        Raises:
            InvalidSpec: the pattern or a number is refused (before anything is looked at).
            JobNotFound: there is no job ``query.job_id``.
            TooManySearches: as many wait already as may.
        """
        return self._searches.run(query)

    async def log_end(self, job_id: str, attempt: int) -> int:
        """The byte where the stored log of an attempt ends now."""
        return await self._logs.seek(AttemptKey(job_id, attempt), tail=0)

    async def _log_done(self, key: AttemptKey, follow: bool) -> bool:
        """Whether nothing can be added to this attempt's log any more, or nobody wants to wait for it."""
        try:
            job = await self._store.get(key.job_id)
        except JobNotFound:
            return True
        if self._draining:
            return True
        state = _attempt_of(job, key.attempt)
        if state is None:
            return not follow or job.state.is_terminal
        if state.log.state is not LogState.COLLECTING:
            return job.state.is_terminal or len(job.attempts) > key.attempt or not follow
        return not follow and not state.state.is_terminal

    def _prepare(self, body: object, pointer: str, key: str | None) -> NewJob:
        spec = parse_spec(body, pointer=pointer)
        filled = fill(spec, self._policy.defaults, pointer=pointer)
        self._check(filled, pointer)
        return self._new_job(filled, digest(spec), key)

    def _check(self, spec: JobSpec, pointer: str) -> None:
        check_limits(spec, self._policy.limits, pointer=pointer)
        allowed = self._policy.namespaces
        if spec.namespace is not None and allowed and spec.namespace not in allowed:
            text = (
                f"namespace {spec.namespace!r} is not served here; allowed: {', '.join(allowed)} (setting `namespace`)"
            )
            raise InvalidSpec([Fault(f"{pointer}/namespace", text, "not_allowed")])
        if self._policy.command_required and not spec.command:
            text = "the local cluster does not use the image, so it needs a `command` to run"
            raise InvalidSpec([Fault(f"{pointer}/command", text, "required")])

    def _new_job(self, spec: JobSpec, spec_digest: str, key: str | None, *, retry_of: str | None = None) -> NewJob:
        job_id = spec.id or new_job_id()
        return NewJob(
            id=job_id,
            id_given=spec.id is not None,
            spec=spec,
            digest=spec_digest,
            idempotency_key=key,
            retry_of=retry_of,
            at=self._clock(),
        )

    async def _store_jobs(self, jobs: Sequence[NewJob]) -> Sequence[Submitted]:
        if self._draining:
            raise Draining("the server is about to stop and takes no new jobs; send it again to the next one")
        bound = QueueBound(self._policy.queue_size, self._policy.slots)
        submitted = await self._store.submit(jobs, bound)
        return [Submitted(mask_job(each.job), each.replayed) for each in submitted]


def mask_job(job: Job) -> Job:
    """The job with secret values hidden."""
    return msgspec.structs.replace(job, spec=mask(job.spec))


def _chosen(job: Job, attempt: int | None) -> int:
    """The number of the attempt to begin with; the first may be asked for before there is one. Raises AttemptNotFound."""
    latest = max(1, len(job.attempts))
    if attempt is None:
        return latest
    if not 1 <= attempt <= latest:
        raise AttemptNotFound(f"job {job.id} has no attempt {attempt}; it has had {len(job.attempts)}")
    return attempt


def _attempt_of(job: Job, number: int) -> Attempt | None:
    return next((attempt for attempt in job.attempts if attempt.attempt == number), None)
