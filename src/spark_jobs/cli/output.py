"""Jobs as tables, JSON, YAML or names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import msgspec

from spark_jobs.cli.options import Format
from spark_jobs.cli.text import clean, clean_json, is_safe, short_span
from spark_jobs.domain.job import Job
from spark_jobs.domain.plain import spec_to_plain

COLUMNS = ("ID", "NAME", "STATE", "REASON", "EXIT", "AGE", "DURATION")
WIDE_COLUMNS = (*COLUMNS, "IMAGE", "COMMAND", "LABELS")
NAME_WIDTH = 32
_COMMAND_WIDTH = 48


def job_plain(job: Job) -> dict[str, Any]:
    """A job as the REST interface shows it: every key, null when unknown."""
    plain: dict[str, Any] = msgspec.to_builtins(job)
    plain["spec"] = spec_to_plain(job.spec)
    return plain


def item_plain(job: Job) -> dict[str, Any]:
    """A job as lists have it: they know nothing of attempts and env."""
    plain = job_plain(job)
    del plain["attempts"], plain["spec"]["env"]
    return plain


def to_json(plain: object) -> str:
    """JSON for people and programs; safe on a terminal."""
    return clean_json(json.dumps(plain, indent=2, ensure_ascii=False))


def job_json(job: Job) -> str:
    """One job as JSON."""
    return to_json(job_plain(job))


def to_yaml(plain: object) -> str:
    """YAML 1.2 for people and programs; what can't be printed is escaped."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        """Writes null as a word, so that every key has a value."""

    Representer.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))
    yaml = YAML(pure=True)
    yaml.Representer = Representer
    # What stands twice is written twice: not every reader takes anchors.
    yaml.representer.ignore_aliases = lambda *_: True
    yaml.width = 1_000_000
    shown = StringIO()
    yaml.dump(plain, shown)
    if not is_safe(shown.getvalue()):
        # What ruamel.yaml leaves as it is may still reorder what a terminal shows.
        yaml.allow_unicode = False
        shown = StringIO()
        yaml.dump(plain, shown)
    return shown.getvalue().rstrip("\n")


def row(job: Job, now: datetime, *, wide: bool = False) -> list[str]:
    """The cells of a job's line in a table."""
    end = job.finished_at or now
    cells = [
        job.id,
        cut(job.spec.name or "", NAME_WIDTH),
        job.state,
        job.reason or "",
        "" if job.exit_code is None else str(job.exit_code),
        short_span((now - job.created_at).total_seconds()),
        "" if job.started_at is None else short_span((end - job.started_at).total_seconds()),
    ]
    if wide:
        words = [*(job.spec.command or ()), *(job.spec.args or ())]
        labels = ",".join(f"{key}={value}" for key, value in job.spec.labels.items())
        cells += [job.spec.image, cut(" ".join(words), _COMMAND_WIDTH), labels]
    return [clean(cell) for cell in cells]


def table(rows: Sequence[Sequence[str]], *, header: Sequence[str]) -> str:
    """Lines with aligned columns."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def print_document(plain: object, output: Format) -> None:
    """Print plain objects as JSON or YAML."""
    print(to_json(plain) if output is Format.JSON else to_yaml(plain))


def print_jobs(jobs: Sequence[Job], output: Format) -> None:
    """Print jobs as names or as a table."""
    if output is Format.NAME:
        for job in jobs:
            print(job.id)
        return
    wide = output is Format.WIDE
    now = datetime.now(UTC)
    print(table([row(job, now, wide=wide) for job in jobs], header=WIDE_COLUMNS if wide else COLUMNS))


def cut(text: str, width: int) -> str:
    """The text, shortened to a column's width."""
    return text if len(text) <= width else text[: width - 1] + "…"
