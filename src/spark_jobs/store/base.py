"""The store's contract, in words, split by who reads it: the service, the engine, and everybody who touches logs.

Whatever a coroutine here has returned from is committed and survives ``kill -9`` (invariant 1). One write either happens
whole or not at all. Reads never wait for writes. All times are UTC. A store that can't write raises ``StoreUnavailable``
and goes on once it can again.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from spark_jobs.domain.attempt import AttemptChanges, AttemptKey, AttemptRecord, Transition
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.schedule import Place, Queued, SlotUse
from spark_jobs.domain.spec import JobSpec
from spark_jobs.domain.state import JobState

_SECOND = 1_000_000_000
_RESUME_EARLIER_NS = 100_000_000  # a line of stderr may be written down behind one of stdout that is so much newer


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A submission that passed every check. ``id_given``: the id is the user's own, so a repeat of it is a replay."""

    id: str
    id_given: bool
    spec: JobSpec
    digest: str
    idempotency_key: str | None = None
    retry_of: str | None = None
    at: datetime


class QueueBound(msgspec.Struct, frozen=True):
    """How many jobs may wait: a submission is refused when queued jobs >= ``queue_size`` + free slots.

    Free slots are ``slots`` less those in use, never negative, and 0 while the queue is paused; jobs that wait for a
    retry are not counted as queued.
    """

    queue_size: int
    slots: int


class Submitted(msgspec.Struct, frozen=True):
    """The job, and whether it existed already (the same id or key with the same digest)."""

    job: Job
    replayed: bool


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list; everything given must hold. ``labels``: value null means that the key is there."""

    states: frozenset[JobState] = frozenset()
    labels: tuple[tuple[str, str | None], ...] = ()
    name: str | None = None
    name_prefix: str | None = None
    id_prefix: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, newest first, without attempts and env; ``next_after`` goes into the next call, null at the end."""

    jobs: list[Job]
    next_after: int | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of when a QUEUED job will start: its place, the slots, and whether any are given out."""

    place: Place
    use: SlotUse
    paused: bool


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The queue now: jobs that wait, of them those in backoff, when the oldest was created, the first of them in their
    order (those in backoff come last), and the slots; ``lost`` of them are held for what may still run on a lost node."""

    depth: int
    backoff: int
    oldest_created_at: datetime | None
    first: Sequence[Queued]
    use: SlotUse
    paused: bool
    lost: int = 0

    @property
    def running(self) -> int:
        """Slots in use."""
        return len(self.use.held_since)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A queued job that may be claimed now. ``seq`` is the order of submission; ``attempt`` is the number that its next
    attempt will have; ``namespace`` is its spec's."""

    job_id: str
    seq: int
    priority: int
    attempt: int = 1
    namespace: str | None = None


class NewClaim(msgspec.Struct, frozen=True, kw_only=True):
    """The wish to start the next attempt of a queued job."""

    job_id: str
    claim: str
    kubernetes_name: str
    cluster: str
    namespace: str
    at: datetime


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit changed, told to listeners right after it and in commit order.

    ``events``: the state changes. ``wishes``: jobs whose cancellation was asked for. ``queue_changed``: there is
    something new to claim, or the queue was paused or resumed. ``archive_due``: there may be a log to send to the sink.
    """

    events: tuple[JobEvent, ...] = ()
    wishes: tuple[str, ...] = ()
    queue_changed: bool = False
    archive_due: bool = False


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """How many logs were forgotten for want of room, and how many of them the sink did not have yet."""

    logs: int
    unsent: int


class LogPoint(msgspec.Struct, frozen=True, kw_only=True):
    """How far an attempt's stored log goes: bytes and lines, and where to resume: the largest stamp (ns since 1970)
    stored so far. ``last_line`` is the last stored line, without its newline, cut at 4 KiB; ``open_bytes`` is how much of
    it is stored while its newline has not come, 0 once it has."""

    bytes: int = 0
    lines: int = 0
    stamp_ns: int | None = None
    last_line: builtins.bytes = b""
    open_bytes: int = 0

    @property
    def since_ns(self) -> int | None:
        """The whole second to resume from: a cluster gives each line whose stamp is not before it, and stamps are not
        quite in order."""
        return None if self.stamp_ns is None else (self.stamp_ns - _RESUME_EARLIER_NS) // _SECOND * _SECOND


class LogChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an attempt's log as it came: ``data`` begins at byte ``offset``; ``stamps`` has one time (ns since 1970)
    for each line that begins in ``data``, the first of which is line ``line`` (both from 0).

    Where bytes that were stored can't be read any more, a chunk without stamps stands for them. Its ``data`` is a line
    that says how many are missing, and takes the place of the last of them: what follows keeps its offset."""

    offset: int
    line: int
    data: bytes
    stamps: tuple[int, ...]


def lines_before(data: bytes, lines: int, at: int) -> int:
    """How many of the ``lines`` lines that begin in ``data`` begin before its byte ``at``. The first may begin at byte 0,
    or behind the end of an older line: their number tells."""
    if at <= 0:
        return 0
    first = lines - data.count(b"\n", 0, len(data) - 1)  # 1: the data begins with a line
    return first + data.count(b"\n", 0, at - 1)


class StoredLog(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt's log as far as it is stored: where it ends, and the largest stamp in it (ns since 1970)."""

    key: AttemptKey
    end: int
    latest_ns: int


class LogBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a log as it is stored, still packed: ``size`` bytes from byte ``offset`` on, in which ``lines`` lines
    begin, the first of them line ``line``. ``data`` and ``stamps`` unpack it, which is work for a thread, and raise
    DataDirDamaged with the job, the attempt and the bytes that are lost."""

    offset: int
    size: int
    line: int
    lines: int
    data: Callable[[], bytes]
    stamps: Callable[[], Sequence[int]]


class ServiceStore(Protocol):
    """What the service needs."""

    async def submit(self, jobs: Sequence[NewJob], bound: QueueBound) -> Sequence[Submitted]:
        """Store the jobs, all or none, and count the bound in the same transaction.

        A job whose key exists, or whose given id exists, with the same digest is a replay and needs no room.

        Raises:
            IdConflict: the id belongs to another job.
            IdempotencyConflict: the key was used with another digest.
            QueueFull: no room for all of them.
        """

    async def get(self, job_id: str) -> Job:
        """The job with its attempts and, while QUEUED, its position (1 is next).

        Raises:
            JobNotFound: there is none.
        """

    async def standing(self, job_id: str) -> tuple[Job, Standing | None]:
        """The job as :meth:`get` gives it, and at the same moment what its start depends on; null unless it is QUEUED.

        Raises:
            JobNotFound: there is none.
        """

    async def submitted_spec(self, job_id: str) -> JobSpec:
        """The spec with its real values, which :meth:`get` gives too; raises JobNotFound."""

    async def list(self, which: JobFilter, *, page_size: int, after: int | None = None) -> JobPage:
        """A page of jobs, by keyset: jobs that come or go between two pages neither repeat nor hide others."""

    async def request_cancel(self, job_id: str, at: datetime) -> Job:
        """Cancel a QUEUED job at once; record the wish for one that has started; a second time changes nothing.

        Raises:
            JobNotFound: there is none.
            NotCancellable: it ended otherwise.
        """

    async def delete(self, job_id: str) -> None:
        """Forget a terminal job whose attempts are CLOSED, with its log.

        Raises:
            JobNotFound, NotDeletable: not there; not over, or the cluster still holds its objects.
        """

    async def queue_status(self, *, first: int = 0) -> QueueStatus:
        """The queue now, with so many of the first that wait."""

    async def set_paused(self, paused: bool) -> None:
        """Stop or start giving out slots; durable."""

    async def events(self, after: int, *, job_id: str | None = None, limit: int = 500) -> Sequence[JobEvent]:
        """Events with a larger sequence number, in order; after 0, all that are kept: they go with their job.

        Raises:
            EventsGone: some of those after another number are no longer kept, or ``after`` was not given out yet: this is
                an older copy of the store that it comes from.
        """

    async def last_event(self) -> int:
        """The largest sequence number given out so far; 0 before the first."""

    async def counts(self) -> dict[tuple[JobState, str | None], int]:
        """How many jobs there are by state and reason."""


class EngineStore(Protocol):
    """What the engine needs."""

    async def open_attempts(self) -> list[AttemptRecord]:
        """Every attempt that is not CLOSED, in the order of their claims: all that a restart has to handle."""

    async def attempt(self, key: AttemptKey) -> AttemptRecord:
        """One attempt; raises AttemptNotFound."""

    async def candidates(self, now: datetime, *, limit: int) -> list[Candidate]:
        """Queued jobs whose ``not_before`` has passed, by priority (higher first), then by submission."""

    async def next_due(self) -> datetime | None:
        """The earliest ``not_before`` or queue limit in the queue that lies ahead; null if there is none."""

    async def usage(self) -> tuple[int, bool]:
        """Slots in use (attempts not yet OVER: a query, never a counter) and whether the queue is paused."""

    async def claim(self, claims: Sequence[NewClaim], *, slots: int) -> list[AttemptRecord]:
        """Turn queued jobs into STARTING with a new attempt, compare-and-set: jobs no longer QUEUED are left out, and
        no more are taken than leave ``slots`` not exceeded (invariant 2), none while paused."""

    async def note(self, key: AttemptKey, changes: AttemptChanges) -> AttemptRecord:
        """Write to an attempt's row without a change of state; the first ``stop_cause`` written stays, with all ``stop_*``.

        A slot is free exactly where ``over_at`` is set, and an attempt CLOSED where ``closed_at`` is: a phase that says
        so fills them where they are left out. Raises AttemptNotFound.
        """

    async def apply(self, transition: Transition) -> AttemptRecord | None:
        """Change a job's state, with its event, in one transaction: the only function that does.

        Returns the attempt's new record (null for a transition without attempt).

        Raises:
            IllegalTransition: the table does not allow it (a terminal job, say: invariant 5).
        """

    async def queue_overdue(self, now: datetime, *, limit: int = 100) -> list[str]:
        """Queued jobs whose ``queue_timeout`` has passed; it counts from the submission until the first start."""

    async def sweep(self, *, jobs_before: datetime, logs_before: datetime, limit: int = 500, sink: bool = False) -> int:
        """Forget terminal jobs finished before ``jobs_before`` and the logs of those before ``logs_before`` (all with
        CLOSED attempts); at most ``limit`` of each. With ``sink``, jobs stay as long as one of their logs waits to be
        sent. Returns how many it dealt with; call again while that is not 0."""

    async def prune_logs(self, max_bytes: int) -> Pruned:
        """Forget the oldest closed attempts' logs until what all stored logs take is at most ``max_bytes``, those that
        wait to be sent last; gives the space back to the file system."""


class LogStore(Protocol):
    """What those who write or read logs need."""

    def on_forgotten(self, listener: Callable[[AttemptKey], None]) -> None:
        """Tell this one of each log that is gone, before another one can get its name."""

    async def log_append(self, key: AttemptKey, chunks: Sequence[LogChunk], point: LogPoint) -> None:
        """Store chunks and the new resume point in one transaction of the log database."""

    async def log_point(self, key: AttemptKey) -> LogPoint:
        """How far the stored log goes; an empty point for one that has nothing yet."""

    def log_read(self, key: AttemptKey, *, offset: int = 0, times: bool = True) -> AsyncIterator[LogChunk]:
        """The stored log from the chunk that holds byte ``offset`` on (its data cut to begin there), up to what is
        committed now; chunk by chunk, so that memory stays small. What is damaged is stood in for (see LogChunk).

        Without ``times`` the chunks have no stamps, which with short lines saves most of the work."""

    async def log_list(self, job_ids: Sequence[str], *, since_ns: int | None = None) -> Sequence[StoredLog]:
        """The stored logs of these jobs that hold something (from ``since_ns`` on); the jobs in the order given, each
        one's latest attempt first."""

    async def log_blocks(self, places: Sequence[tuple[AttemptKey, int]]) -> Sequence[Sequence[LogBlock]]:
        """For each of the first of these logs the next blocks, still packed, from the one that holds the byte named with
        it on, up to its end or to about a MiB for all together; none for a log that has no more. At least one log's."""

    async def log_seek(self, key: AttemptKey, *, tail: int | None = None, since_ns: int | None = None) -> int:
        """The byte where the last ``tail`` lines begin, or the first line stamped at or after ``since_ns``; the later
        of the two if both are given; the end if there is none."""


class Unsent(msgspec.Struct, frozen=True, kw_only=True):
    """A log that waits to be sent to the sink, ``due_at`` since when; its attempt is over."""

    key: AttemptKey
    claim: str
    due_at: datetime


class ArchiveStore(LogStore, Protocol):
    """What sending logs to a sink needs."""

    async def get(self, job_id: str) -> Job:
        """As ``ServiceStore.get``."""

    async def archive_due(self, *, limit: int) -> Sequence[Unsent]:
        """Logs that wait to be sent, of attempts that have their end, the longest waiting first.

        A log waits from the moment that ``archive_due_at`` is noted, which goes with its last byte, until
        :meth:`archived`, or until it is forgotten here."""

    async def archived(self, unsent: Unsent, to: str) -> bool:
        """The sink has the log, under the address ``to``. False where it did not wait: it was forgotten meanwhile, though
        another job may have its id by now."""

    async def archive_waiting(self) -> int:
        """How many logs wait, those of attempts that have no end yet included."""


class Store(ServiceStore, EngineStore, ArchiveStore, Protocol):
    """The whole store, as the composition root sees it."""

    async def open(self) -> None:
        """Lock the data folder, bring the schema to the newest revision, start the writer.

        Raises:
            DataDirInUse, DataDirNewer, DataDirForeign, DataDirDamaged, DataDirNotWritable: see there.
        """

    async def close(self) -> None:
        """Commit what waits, and let go of the folder."""

    @property
    def instance(self) -> str:
        """The installation's random name, made with the data folder: 8 of [a-z0-9]."""

    def listen(self, listener: Callable[[Commit], None]) -> None:
        """Call ``listener`` in the event loop after every commit that changed jobs or the queue, in commit order."""

    def observe_commits(self, observer: Callable[[float, int], None]) -> None:
        """Call ``observer`` in the event loop with every commit's duration (seconds) and number of writes in it."""
