"""What Spark counts about itself, for Prometheus. Labels are few and bounded: never a job's id, a name or an image."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from spark_jobs.domain.errors import SparkError
from spark_jobs.domain.state import JobState

_log = logging.getLogger(__name__)

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_CALLS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
_JOBS = (0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)

Refresh = Callable[[], Awaitable[None]]


class Metrics:
    """One registry and the methods that write to it. For use in one event loop; all times are seconds."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._refreshers: list[Refresh] = []
        ProcessCollector(registry=self._registry)
        self._make_job_metrics()
        self._make_cluster_metrics()
        self._make_store_metrics()
        self._make_sink_metrics()

    def _make_job_metrics(self) -> None:
        own = self._registry
        self._jobs = Gauge("spark_jobs", "Jobs by state and reason.", ["state", "reason"], registry=own)
        self._depth = Gauge("spark_queue_depth", "Jobs that wait, those in backoff included.", registry=own)
        self._backoff = Gauge("spark_queue_backoff", "Jobs that wait for their next attempt's time.", registry=own)
        self._paused = Gauge("spark_queue_paused", "1 while the queue gives out no slots.", registry=own)
        self._running = Gauge("spark_slots_in_use", "Slots in use.", registry=own)
        self._slots = Gauge("spark_slots", "Slots there are.", registry=own)
        self._queue_wait = Histogram(
            "spark_queue_wait_seconds", "From submission to the slot.", buckets=_JOBS, registry=own
        )
        self._run_time = Histogram(
            "spark_job_run_seconds", "From the container's start to the end.", ["state"], buckets=_JOBS, registry=own
        )

    def _make_cluster_metrics(self) -> None:
        own = self._registry
        self._requests = Counter("spark_kubernetes_requests", "Requests to Kubernetes.", ["verb", "code"], registry=own)
        self._request_time = Histogram(
            "spark_kubernetes_request_seconds", "To the answer's head.", ["verb"], buckets=_CALLS, registry=own
        )
        self._limiter_wait = Histogram(
            "spark_kubernetes_limiter_wait_seconds", "Wait for the request limiter.", buckets=_CALLS, registry=own
        )
        self._watch_restarts = Counter("spark_watch_restarts", "Watches opened again.", ["kind"], registry=own)
        self._unknown = Gauge(
            "spark_unknown_objects", "Objects that carry our label and no claim of ours; left alone.", registry=own
        )
        self._crashes = Counter("spark_unexpected_errors", "Errors that should not happen.", ["where"], registry=own)

    def _make_store_metrics(self) -> None:
        own = self._registry
        self._log_bytes = Counter("spark_log_bytes", "Bytes of logs stored.", registry=own)
        self._commit_time = Histogram("spark_commit_seconds", "Time of a commit.", buckets=_FAST, registry=own)
        self._writes = Counter("spark_commit_writes", "Writes in all commits.", registry=own)
        self._http = Counter("spark_http_requests", "Requests to Spark itself.", ["method", "code"], registry=own)
        self._grpc = Counter("spark_grpc_calls", "Calls to Spark itself that ended.", ["method", "code"], registry=own)

    def _make_sink_metrics(self) -> None:
        own = self._registry
        self._sent = Counter("spark_sink_logs_sent", "Logs that the sink has taken.", registry=own)
        self._sent_bytes = Counter("spark_sink_bytes_sent", "Packed bytes of these logs.", registry=own)
        self._send_failures = Counter("spark_sink_failures", "Attempts to send a log that failed.", registry=own)
        self._unsent = Gauge("spark_sink_logs_waiting", "Logs that wait to be sent.", registry=own)
        self._lost_unsent = Counter(
            "spark_sink_logs_lost", "Logs forgotten for want of room before they were sent.", registry=own
        )

    def set_jobs(self, counts: Mapping[tuple[JobState, str | None], int]) -> None:
        """How many jobs there are now by state and reason; what is not named is gone."""
        self._jobs.clear()
        for state in JobState:
            self._jobs.labels(state, "").set(0)
        for (state, reason), count in counts.items():
            self._jobs.labels(state, reason or "").set(count)

    def set_queue(self, *, depth: int, backoff: int, running: int, slots: int, paused: bool) -> None:
        """The queue and the slots now."""
        self._depth.set(depth)
        self._backoff.set(backoff)
        self._running.set(running)
        self._slots.set(slots)
        self._paused.set(paused)

    def queue_waited(self, seconds: float) -> None:
        """A job got a slot after this time."""
        self._queue_wait.observe(max(0.0, seconds))

    def job_ran(self, state: JobState, seconds: float) -> None:
        """A job ended in this state after running this long."""
        self._run_time.labels(state).observe(max(0.0, seconds))

    def kubernetes_request(self, verb: str, code: int | str, seconds: float | None = None) -> None:
        """A request was answered; ``code`` is the HTTP status or a word such as ``timeout`` where there was none."""
        self._requests.labels(verb, str(code)).inc()
        if seconds is not None:
            self._request_time.labels(verb).observe(seconds)

    def limiter_waited(self, seconds: float) -> None:
        """A request waited this long for the limiter."""
        self._limiter_wait.observe(seconds)

    def watch_restarted(self, kind: str) -> None:
        """A watch over ``jobs``, ``pods`` or ``nodes`` was opened again."""
        self._watch_restarts.labels(kind).inc()

    def set_unknown_objects(self, count: int) -> None:
        """How many objects of our instance have a claim that we do not know."""
        self._unknown.set(count)

    def unexpected_error(self, where: str) -> None:
        """Something that should not happen did; ``where`` is a part of Spark (``api``, ``engine``, ``watch``)."""
        self._crashes.labels(where).inc()

    def log_stored(self, size: int) -> None:
        """This many bytes of a log were stored."""
        self._log_bytes.inc(size)

    def log_sent(self, size: int) -> None:
        """The sink has taken a log of this many packed bytes."""
        self._sent.inc()
        self._sent_bytes.inc(size)

    def log_not_sent(self) -> None:
        """A log could not be sent; it is tried again."""
        self._send_failures.inc()

    def set_unsent_logs(self, count: int) -> None:
        """How many logs wait to be sent."""
        self._unsent.set(count)

    def logs_lost_unsent(self, count: int) -> None:
        """So many logs had to be forgotten before they were sent."""
        self._lost_unsent.inc(count)

    def committed(self, seconds: float, writes: int) -> None:
        """A commit took this long and held this many writes."""
        self._commit_time.observe(seconds)
        self._writes.inc(writes)

    def http_request(self, method: str, code: int) -> None:
        """Spark answered a request."""
        self._http.labels(method if method in _METHODS else "other", str(code)).inc()

    def grpc_call(self, method: str, code: str) -> None:
        """A call over gRPC ended with this code; ``method`` is one of Spark's own."""
        self._grpc.labels(method, code).inc()

    def before_scrape(self, refresh: Refresh) -> None:
        """Await ``refresh`` before each scrape: it sets the gauges that nobody keeps current."""
        self._refreshers.append(refresh)

    async def render(self) -> bytes:
        """All metrics in the text format whose media type is :data:`CONTENT_TYPE`."""
        for refresh in self._refreshers:
            try:
                await refresh()
            except SparkError as error:
                # The counters are worth having most of all while the store has trouble.
                _log.warning("a figure for /metrics could not be refreshed: %s", error)
        return generate_latest(self._registry)


_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
CONTENT_TYPE = CONTENT_TYPE_LATEST
