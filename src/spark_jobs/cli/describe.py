"""All about one job, for people."""

from __future__ import annotations

import json
import shlex
from datetime import datetime

from spark_jobs.cli.outcome import log_problems
from spark_jobs.cli.text import clean, moment, short_span
from spark_jobs.domain.job import Attempt, Job, PodEvent, Timings
from spark_jobs.domain.plain import spec_to_plain

_WIDTH = 22
_LOCAL = "local (a process of the server's machine; the image was not used)"


def description(job: Job, now: datetime) -> str:
    """Several lines; what is not known or not set is left out."""
    lines = [_line(name, text) for name, text in _facts(job, now) if text]
    lines.append("Spec:")
    lines += [_line(f"  {name}", text) for name, text in _spec(job)]
    for attempt in job.attempts:
        lines.append(f"Attempt {attempt.attempt}:")
        lines += [_line(f"  {name}", text) for name, text in _attempt(attempt) if text]
        lines += _events(attempt)
    lines += [clean(f"Note: {problem}") for problem in log_problems(job)]
    return "\n".join(lines)


def _line(name: str, text: str) -> str:
    return f"{clean(name) + ':':<{_WIDTH}}{clean(text)}".rstrip()


def _facts(job: Job, now: datetime) -> list[tuple[str, str]]:
    return [
        ("ID", job.id),
        ("Name", job.spec.name or ""),
        ("State", _state(job.state, job.reason)),
        ("Message", job.message or ""),
        ("Hint", job.hint or ""),
        ("Activity", str(job.activity or "")),
        ("Queue position", "" if job.position is None else str(job.position)),
        ("Estimated start", moment(job.estimated_start_at)),
        ("Not before", moment(job.not_before)),
        ("Cancel requested", moment(job.cancel_requested_at)),
        ("Exit code", "" if job.exit_code is None else str(job.exit_code)),
        ("Result", job.result or ""),
        ("Retry of", job.retry_of or ""),
        ("Created", f"{moment(job.created_at)} ({short_span((now - job.created_at).total_seconds())} ago)"),
        ("Started", moment(job.started_at)),
        ("Finished", moment(job.finished_at)),
    ]


def _state(state: str, reason: str | None) -> str:
    return f"{state} ({reason})" if reason else str(state)


def _spec(job: Job) -> list[tuple[str, str]]:
    plain = spec_to_plain(job.spec)
    shown = {name: value for name, value in plain.items() if value not in (None, [], {}) and name not in {"id", "name"}}
    return [(name, _value(name, value)) for name, value in shown.items()]


def _value(name: str, value: object) -> str:
    if name in {"command", "args"} and isinstance(value, list):
        return shlex.join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _attempt(attempt: Attempt) -> list[tuple[str, str]]:
    log = f"{attempt.log.bytes} bytes, {attempt.log.lines} lines, {attempt.log.state}"
    return [
        ("State", _state(attempt.state, attempt.reason)),
        ("Message", attempt.message or ""),
        ("Exit code", "" if attempt.exit_code is None else str(attempt.exit_code)),
        ("Result", attempt.result or ""),
        ("Cluster", _LOCAL if attempt.cluster == "local" else attempt.cluster),
        ("Namespace", attempt.namespace or ""),
        ("Kubernetes job", attempt.kubernetes_job or ""),
        ("Pod", attempt.pod or ""),
        ("Node", attempt.node or ""),
        ("Claimed", moment(attempt.claimed_at)),
        ("Started", moment(attempt.started_at)),
        ("Finished", moment(attempt.finished_at)),
        ("Took", _took(attempt.timings)),
        ("Log", log),
        ("Archived", attempt.log.archived or ""),
    ]


def _took(timings: Timings) -> str:
    """``queued 2.1 s, starting 0.4 s, …``: the stretches that are over."""
    found = ((name, getattr(timings, name)) for name in timings.__struct_fields__)
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found if seconds is not None)


def _events(attempt: Attempt) -> list[str]:
    """The last events of its pod, the newest last."""
    if not attempt.events:
        return []
    return ["  Last events of the pod:", *(f"    {clean(_event(event))}" for event in attempt.events)]


def _event(event: PodEvent) -> str:
    often = f" (seen {event.count} times)" if event.count > 1 else ""
    return f"{moment(event.time)} {event.type} {event.reason or ''}{often}: {event.message or ''}"
