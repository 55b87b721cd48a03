"""`spark grep`."""

from __future__ import annotations

import enum
import os
import sys
from typing import Annotated

import msgspec
import typer

from spark_jobs.cli.connection import Connection, connected
from spark_jobs.cli.matches import Matches, marker
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import with_client
from spark_jobs.cli.text import clean_json
from spark_jobs.client import Client, SearchOptions
from spark_jobs.domain.search import LONGEST_SHOWN, MOST_CONTEXT, MOST_MATCHES, LogMatch, SearchProgress

NOTHING_FOUND = 1
_MIB = 1024 * 1024


class Shown(enum.StrEnum):
    """How matches are printed."""

    TEXT = "text"
    NAME = "name"
    JSON = "json"


Pattern = Annotated[
    str, typer.Argument(metavar="PATTERN", help="A regular expression in the syntax of RE2, matched within a line.")
]
Fixed = Annotated[bool, typer.Option("--fixed-strings", "-F", help="The pattern is plain text.")]
IgnoreCase = Annotated[bool, typer.Option("--ignore-case", "-i", help="Upper and lower case are the same.")]
Context = Annotated[
    int,
    typer.Option(
        "--context", "-C", min=0, max=MOST_CONTEXT, metavar="NUMBER", help="Lines before and after each match."
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", metavar="KEY[=VALUE]", help="Only jobs with this label (repeatable: all of them)."),
]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state", metavar="STATE", help="Only jobs in these states; also active, finished (repeatable, or by commas)."
    ),
]
OfJob = Annotated[
    str | None,
    typer.Option(
        "--job", metavar="JOB", help="Only this job: an id, @latest, or at least 4 characters of an id's random part."
    ),
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only lines since this time, or this long ago: 2h.")
]


@connected
def grep(
    pattern: Pattern,
    fixed: Fixed = False,
    ignore_case: IgnoreCase = False,
    context: Context = 0,
    label: Labels = None,
    state: States = None,
    name: Annotated[str | None, typer.Option("--name", help="Only jobs with this name.")] = None,
    job: OfJob = None,
    since: Since = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MOST_MATCHES, metavar="NUMBER", help="End after so many matches.")
    ] = 1000,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Put each line's time before it.")] = False,
    output: Annotated[
        Shown, typer.Option("--output", "-o", help="Lines, ids of jobs, or JSON by the line.")
    ] = Shown.TEXT,
    *,
    connection: Connection,
) -> None:
    """Search the logs of all jobs, newest first: JOB:LINE:text for each line that matches.

    Ends with 0 if a line was found, with 1 if none was.
    """

    async def work(client: Client) -> int:
        options = SearchOptions(
            fixed=fixed,
            ignore_case=ignore_case,
            context=context,
            states=state or (),
            labels=label or (),
            name=name,
            job_id=None if job is None else await client.resolve(job),
            since=since,
            limit=limit,
        )
        return await _Search(Screen(), pattern, options, output, timestamps=timestamps).run(client)

    with_client(connection, work)


class _Search:
    """A search, what it shows, and what there is to say at its end."""

    def __init__(
        self, screen: Screen, pattern: str, options: SearchOptions, output: Shown, *, timestamps: bool
    ) -> None:
        self._screen = screen
        self._pattern = pattern
        self._options = options
        self._output = output
        self._progress: SearchProgress | None = None
        self._found = self._cut = 0
        self._named: set[str] = set()
        terminal = sys.stdout.isatty()
        mark = marker(pattern, fixed=options.fixed, ignore_case=options.ignore_case) if _coloured(terminal) else str
        self._matches = Matches(
            screen.output, terminal=terminal, timestamps=timestamps, mark=mark, grouped=options.context > 0
        )

    async def run(self, client: Client) -> int:
        """The exit code."""
        try:
            async for match in client.search(self._pattern, self._options, on_progress=self._on_progress):
                self._found += 1
                self._cut += sum(line.cut for line in (*match.before, match.found, *match.after))
                self._show(match)
        finally:
            self._screen.close()
        self._notes()
        return 0 if self._found else NOTHING_FOUND

    def _show(self, match: LogMatch) -> None:
        if self._output is Shown.TEXT:
            self._matches.show(match)
        elif self._output is Shown.JSON:
            self._screen.output(f"{clean_json(msgspec.json.encode(match).decode())}\n".encode())
        elif match.job_id not in self._named:
            self._named.add(match.job_id)
            self._screen.output(f"{match.job_id}\n".encode())

    def _on_progress(self, progress: SearchProgress) -> None:
        self._progress = progress
        if not progress.complete:
            text = f"searched {progress.logs} logs, {progress.bytes // _MIB} MiB; found {progress.matches} lines"
            self._screen.status(text)

    def _notes(self) -> None:
        if self._progress is None:
            return
        for problem in self._progress.problems:
            self._screen.note(problem)
        if self._cut and self._output is Shown.TEXT:
            text = f"of lines longer than {LONGEST_SHOWN} bytes ({self._cut} here) only a part is shown"
            self._screen.note(f"{text}; `spark logs` has them whole")
        if not self._progress.complete:
            more = "older jobs were not looked at" if self._output is Shown.NAME else "there may be more"
            self._screen.note(f"the limit of {self._options.limit} matches is reached: {more} (--limit)")


def _coloured(terminal: bool) -> bool:
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
